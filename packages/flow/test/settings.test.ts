import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { CodedError } from '@millrace/errors'
import { type Env, readSettings } from '@millrace/flow'
import { modelPlaces } from '@millrace/models/place'
import { describe, expect, test } from 'vitest'

function refusal(env: Env): CodedError {
  try {
    readSettings(env)
  } catch (error) {
    if (error instanceof CodedError) return error
    throw error
  }
  throw new Error(`${JSON.stringify(env)} was taken`)
}

test('with nothing set: embedded, on loopback, with the limits of the contract', () => {
  expect(readSettings({})).toEqual({
    host: '127.0.0.1',
    port: 8080,
    apiKeys: [],
    dataDir: resolve('./data'),
    databaseUrl: undefined,
    redisUrl: undefined,
    queuePrefix: 'millrace',
    // Who has pulled models into ./data has them here too.
    modelDirs: modelPlaces(undefined, './data').dirs,
    defaultModel: undefined,
    isolation: 'process',
    provider: 'cpu',
    threads: undefined,
    sessions: undefined,
    batchTokens: undefined,
    slots: 4,
    leaseTokens: 16_384,
    leaseSeconds: 600,
    ownedSeconds: 30,
    sweepSeconds: 30,
    stalledSeconds: 15,
    drainSeconds: 10,
    indexRowsMin: 20_000,
    queryCache: 1_000,
    queryLog: 'off',
    queryLogDays: 30,
    logLevel: 'info',
    urlAllow: { names: new Set(), ranges: [] },
    urlSeconds: 30,
    urlRedirects: 5,
    fileSeconds: 120,
    limits: {
      bodyBytes: 32 * 1024 * 1024,
      documents: 1_000,
      textBytes: 16 * 1024 * 1024,
      lineBytes: 16 * 1024 * 1024,
      fileBytes: 64 * 1024 * 1024,
      filePages: 10_000,
      idBytes: 512,
      titleChars: 2_000,
      metadataBytes: 64 * 1024,
      queryChars: 100_000,
      requests: 512,
    },
  })
})

test('an empty variable, or one of spaces, is one that is not set', () => {
  const names = ['HOST', 'PORT', 'DATABASE_URL', 'REDIS_URL', 'LOG_LEVEL', 'THREADS', 'MILLRACE_API_KEYS']
  for (const value of ['', '  ']) {
    expect(readSettings(Object.fromEntries(names.map((name) => [name, value])))).toEqual(readSettings({}))
  }
})

test('spaces around a value do not count', () => {
  expect(readSettings({ PORT: ' 9000 ', DEFAULT_MODEL: ' bge-m3' })).toMatchObject({
    port: 9_000,
    defaultModel: 'bge-m3',
  })
})

test('MODELS_DIR comes before the models of the repository', () => {
  const { modelDirs } = readSettings({ MODELS_DIR: './mine' })
  expect(modelDirs).toHaveLength(2)
  expect(modelDirs[0]).toBe(resolve('./mine'))
})

test('without MODELS_DIR the models of DATA_DIR come first, when there are any', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'millrace-data-'))
  try {
    const [own] = readSettings({ DATA_DIR: dataDir }).modelDirs
    await mkdir(join(dataDir, 'models'))
    expect(readSettings({ DATA_DIR: dataDir }).modelDirs).toEqual([join(dataDir, 'models'), own])
    expect(readSettings({ DATA_DIR: dataDir, MODELS_DIR: './mine' }).modelDirs).toEqual([
      resolve('./mine'),
      own,
    ])
  } finally {
    await rm(dataDir, { recursive: true })
  }
})

describe('a wrong value stops the start and names the variable', () => {
  const integers = [
    'PORT',
    'THREADS',
    'BATCH_TOKENS',
    'WORKER_SLOTS',
    'LEASE_TOKENS',
    'LEASE_SECONDS',
    'OWNED_SECONDS',
    'SWEEP_SECONDS',
    'STALLED_SECONDS',
    'DRAIN_SECONDS',
    'INDEX_ROWS_MIN',
    'BODY_BYTES_MAX',
    'DOCUMENTS_MAX',
    'TEXT_BYTES_MAX',
    'ID_BYTES_MAX',
    'TITLE_CHARS_MAX',
    'METADATA_BYTES_MAX',
    'QUERY_CHARS_MAX',
  ]
  test.each(integers)(
    '%s: a word, a fraction, a sign, hexadecimal, a number that is out of range',
    (name) => {
      for (const value of ['many', '1.5', '-1', '+1', '0x10', '1e3', '1 000', '99999999999']) {
        expect(refusal({ [name]: value })).toMatchObject({
          code: 'SETTING_INVALID',
          message: `${name} is "${value}"`,
          hint: expect.stringMatching(/^Write a whole number from \d+ to \d+$/),
          details: { setting: name },
        })
      }
    },
  )

  test.each([
    { PORT: '65536' },
    { THREADS: '0' },
    { THREADS: String(4 * availableParallelism() + 1) },
    { WORKER_SLOTS: '65' },
    { LEASE_SECONDS: '1' },
    { ID_BYTES_MAX: '513' },
    { BODY_BYTES_MAX: '1023' },
  ])('one past the limit: %o', (env) => {
    const [name] = Object.keys(env)
    expect(refusal(env).details).toEqual({ setting: name })
  })

  test.each([{ PORT: '0' }, { PORT: '65535' }, { DRAIN_SECONDS: '0' }, { ID_BYTES_MAX: '512' }])(
    'the limit itself is taken: %o',
    (env) => {
      expect(() => readSettings(env)).not.toThrow()
    },
  )

  test('LOG_LEVEL: what it may be is in the hint', () => {
    expect(refusal({ LOG_LEVEL: 'loud' })).toMatchObject({
      message: 'LOG_LEVEL is "loud"',
      hint: 'Choose one of debug, info, warn, error, silent',
    })
  })

  const SECRET = 'hunter2'
  test.each([
    { DATABASE_URL: `mysql://me:${SECRET}@db/x` },
    { DATABASE_URL: `postgres//me:${SECRET}@db/x` },
    { DATABASE_URL: `me:${SECRET}@db` },
    { DATABASE_URL: 'postgres://db/x', REDIS_URL: `http://me:${SECRET}@redis` },
    { REDIS_URL: `redis://me:${SECRET}@redis` },
  ])('a URL is refused without repeating it: it may carry a password (case %#)', (env) => {
    const { message, hint, details, code } = refusal(env)
    expect(code).toBe('SETTING_INVALID')
    expect(message).toContain(Object.keys(env).at(-1))
    expect(JSON.stringify([message, hint, details])).not.toContain(SECRET)
  })
})

test('REDIS_URL alone is refused: the rows have to be somewhere', () => {
  expect(refusal({ REDIS_URL: 'redis://redis' })).toMatchObject({
    message: 'REDIS_URL is set without DATABASE_URL',
    hint: 'Set DATABASE_URL too, or unset REDIS_URL',
  })
})

test('both kinds of each URL are taken', () => {
  for (const DATABASE_URL of ['postgres://db/x', 'postgresql://db/x']) {
    for (const REDIS_URL of ['redis://redis', 'rediss://redis']) {
      expect(readSettings({ DATABASE_URL, REDIS_URL })).toMatchObject({
        databaseUrl: DATABASE_URL,
        redisUrl: REDIS_URL,
      })
    }
  }
})

describe('who may reach it', () => {
  test.each(['127.0.0.1', 'localhost', '::1'])('loopback needs no key: %s', (HOST) => {
    expect(readSettings({ HOST }).host).toBe(HOST)
  })

  test.each(['0.0.0.0', '::', '192.168.1.5', 'millrace.example'])(
    'any other address without a key is refused: %s',
    (HOST) => {
      expect(refusal({ HOST })).toMatchObject({
        code: 'OPEN_REFUSED',
        message: expect.stringContaining(`HOST is ${HOST}`),
        hint: expect.stringMatching(/MILLRACE_API_KEYS.*MILLRACE_OPEN=1/),
      })
    },
  )

  test('a list of no keys is no key', () => {
    expect(refusal({ HOST: '0.0.0.0', MILLRACE_API_KEYS: ' , ' }).code).toBe('OPEN_REFUSED')
  })

  test('with keys it listens, and the keys are what stands between the commas', () => {
    expect(readSettings({ HOST: '0.0.0.0', MILLRACE_API_KEYS: 'one, two,,' }).apiKeys).toEqual(['one', 'two'])
  })

  test('MILLRACE_OPEN=1 opens it on purpose, nothing else does', () => {
    expect(readSettings({ HOST: '0.0.0.0', MILLRACE_OPEN: '1' }).apiKeys).toEqual([])
    expect(refusal({ HOST: '0.0.0.0', MILLRACE_OPEN: '0' }).code).toBe('OPEN_REFUSED')
    for (const MILLRACE_OPEN of ['true', 'yes']) {
      for (const HOST of ['0.0.0.0', '127.0.0.1']) {
        expect(refusal({ HOST, MILLRACE_OPEN }).message).toContain('MILLRACE_OPEN')
      }
    }
  })
})
