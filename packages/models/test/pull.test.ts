import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type ModelFolder, readFolder } from '@millrace/embed'
import { checkFolder, type PullOptions, type PullProgress, pullModel, readHub } from '@millrace/models'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  chunked,
  cutAfter,
  type FakeHub,
  ignoringRange,
  instead,
  manifestOf,
  openHub,
  type Seen,
  slowly,
  someFiles,
  stallAfter,
  status,
  whole,
} from './hub.js'

const GRAPH = 'onnx/model.onnx'
const TOKENIZER = 'tokenizer.json'
const REPO = 'some/model'

let files: Map<string, Buffer>
let folder: ModelFolder
let hub: FakeHub
let modelsDir: string
/** Pauses that were taken, in milliseconds; they take no time here. */
let pauses: number[]
let retries: string[]

beforeEach(async () => {
  files = someFiles()
  folder = manifestOf('some-model', files)
  hub = await openHub(REPO, files)
  modelsDir = join(await mkdtemp(join(tmpdir(), 'millrace-pull-')), 'models')
  pauses = []
  retries = []
})
afterEach(async () => {
  await hub.close()
  await rm(dirname(modelsDir), { recursive: true })
})

const TOKEN = 'hf_secret'
/** Tuesday, 1 January 2030, midnight. */
const NOW = Date.UTC(2030, 0, 1)

function pull(options: Partial<PullOptions> = {}) {
  const progress: Partial<PullProgress> = { retry: (path, why) => retries.push(`${path}: ${why}`) }
  return pullModel(folder, {
    modelsDir,
    hub: readHub({ HF_ENDPOINT: `${hub.url}/`, HF_TOKEN: TOKEN }),
    stallMs: 2_000,
    ...options,
    progress: { ...progress, ...options.progress },
    deps: {
      sleep: async (ms) => {
        pauses.push(ms)
      },
      random: () => 0,
      now: () => NOW,
      ...options.deps,
    },
  })
}

const target = () => join(modelsDir, folder.id)
const partial = (path: string) => join(modelsDir, `.${folder.id}.partial`, `${path}.partial`)
const fromCdn = (path: string): Seen[] => hub.seen.filter((one) => one.at === 'cdn' && one.path === path)

/** All files are there with their hashes, the manifest too, and nothing besides. */
async function expectWhole(): Promise<void> {
  expect(readFolder(target())).toEqual(folder)
  expect(await checkFolder(target(), folder)).toEqual([])
  expect(await readdir(modelsDir)).toEqual([folder.id])
  const names = await readdir(target(), { recursive: true })
  expect(names.filter((name) => name.includes('partial'))).toEqual([])
}

/** Nothing that could be taken for a model. */
const expectNothing = async () => expect(await readdir(modelsDir)).not.toContain(folder.id)

describe('a pull', () => {
  test('brings all files and then the manifest, in the folder of the id', async () => {
    const pulled = await pull()
    await expectWhole()
    expect(pulled).toMatchObject({ id: folder.id, dir: target(), bytes: 630_002 })
    expect(pulled.fetched).toHaveLength(4)
    expect(pauses).toEqual([])
  })

  test('sends the token to the hub and never to where the hub redirects', async () => {
    await pull()
    const of = (at: Seen['at']) =>
      new Set(hub.seen.filter((one) => one.at === at).map((one) => one.authorization))
    expect(of('hub')).toEqual(new Set([`Bearer ${TOKEN}`]))
    expect(of('cdn')).toEqual(new Set([undefined]))
  })

  test('fetches nothing when everything is there, and what is missing or altered when not', async () => {
    await pull()
    const before = hub.seen.length
    expect(await pull()).toMatchObject({ fetched: [], bytes: 0 })
    expect(hub.seen).toHaveLength(before)
    await truncate(join(target(), GRAPH), 1_000)
    await rm(join(target(), '1_Pooling'), { recursive: true })
    await writeFile(join(target(), TOKENIZER), Buffer.alloc(30_000))
    expect((await pull()).fetched.toSorted()).toEqual(['1_Pooling/config.json', GRAPH, TOKENIZER])
    await expectWhole()
  })

  test('takes files that were copied without a manifest for what they are', async () => {
    for (const [path, content] of files) {
      await mkdir(dirname(join(target(), path)), { recursive: true })
      await writeFile(join(target(), path), content)
    }
    expect(await pull()).toMatchObject({ fetched: [], bytes: 0 })
    await expectWhole()
  })

  test('keeps a manifest that has got another variant since', async () => {
    await pull()
    const [variant] = folder.variants
    const more = { ...folder, variants: [...folder.variants, { ...variant, precision: 'int8-row' }] }
    await writeFile(join(target(), 'manifest.json'), JSON.stringify(more))
    await rm(join(target(), TOKENIZER))
    await pull()
    expect(readFolder(target()).variants).toHaveLength(2)
  })

  test('mends a manifest that cannot be read', async () => {
    await pull()
    await writeFile(join(target(), 'manifest.json'), '{"id":')
    expect(await pull()).toMatchObject({ fetched: [] })
    await expectWhole()
  })

  test('tells of each file and its bytes', async () => {
    const started: string[] = []
    const last = new Map<string, number>()
    const done: string[] = []
    await pull({
      progress: {
        start: (all) => started.push(...all.map(({ file, there }) => `${file.path} ${there}`)),
        bytes: (path, bytes) => last.set(path, bytes),
        done: (path) => done.push(path),
      },
    })
    expect(started.toSorted()).toEqual([...files.keys()].map((path) => `${path} 0`).toSorted())
    expect(done.toSorted()).toEqual([...files.keys()].toSorted())
    for (const [path, content] of files) expect(last.get(path)).toBe(content.length)
  })
})

describe('a connection that breaks', () => {
  test('in the middle of a file: the rest is asked for, and nothing twice', async () => {
    hub.next(GRAPH, cutAfter(100_000), cutAfter(50_000))
    let last = 0
    const kept: number[] = []
    const { bytes } = await pull({
      progress: {
        bytes: (path, at) => {
          if (path === GRAPH) last = at
        },
        retry: () => kept.push(last),
      },
    })
    await expectWhole()
    expect(kept).toHaveLength(2)
    expect(Math.min(...kept)).toBeGreaterThan(0)
    expect(fromCdn(GRAPH).map(({ range }) => range)).toEqual([undefined, ...kept.map((at) => `bytes=${at}-`)])
    expect(bytes).toBe(630_002)
    // Each brought bytes: no pause grows.
    expect(pauses).toEqual([250, 250])
  })

  test('again and again without a byte: longer pauses, then an error that says how far it came', async () => {
    hub.next(GRAPH, cutAfter(1_000))
    hub.always(GRAPH, cutAfter(0))
    await expect(pull({ concurrency: 1 })).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      retryable: true,
      message: expect.stringMatching(/^onnx\/model\.onnx stopped at 1000 of 400000 bytes: .*\/resolve\//),
    })
    expect(pauses).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000])
    await expectNothing()
  })

  test('what came before is not fetched again by the next pull', async () => {
    hub.next(GRAPH, cutAfter(300_000))
    hub.always(GRAPH, cutAfter(0))
    // The small files come first.
    await expect(pull({ concurrency: 1 })).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' })
    const kept = (await stat(partial(GRAPH))).size
    expect(kept).toBeGreaterThan(0)
    hub.always(GRAPH, whole)
    const before = hub.sent()
    const started: number[] = []
    const { bytes } = await pull({
      progress: { start: (all) => started.push(...all.map(({ there }) => there)) },
    })
    expect(started).toEqual([kept, 0])
    expect(bytes).toBe(600_000 - kept)
    expect(hub.sent() - before).toBe(600_000 - kept)
    await expectWhole()
  })

  test('that brings nothing any more is made anew', async () => {
    hub.next(GRAPH, stallAfter(5_000))
    await pull({ stallMs: 200 })
    expect(retries).toEqual([`${GRAPH}: no byte for 0.2 s`])
    await expectWhole()
  })

  test('that cannot be made at all is a network error', async () => {
    await hub.close()
    await expect(pull()).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      message: expect.stringContaining('ECONNREFUSED'),
    })
  })

  test('with a server that knows no ranges: the file is begun anew', async () => {
    hub.next(GRAPH, cutAfter(100_000), ignoringRange)
    await pull()
    await expectWhole()
  })

  test('with a part that was damaged meanwhile: the file is begun anew, once', async () => {
    await mkdir(dirname(partial(GRAPH)), { recursive: true })
    await writeFile(partial(GRAPH), Buffer.alloc(100_000, 1))
    await pull()
    await expectWhole()
    expect(fromCdn(GRAPH).map(({ range }) => range)).toEqual(['bytes=100000-', undefined])
  })

  test('with a part that is longer than the file: it is no part of it', async () => {
    await mkdir(dirname(partial(GRAPH)), { recursive: true })
    await writeFile(partial(GRAPH), Buffer.alloc(400_001, 1))
    await pull()
    await expectWhole()
  })
})

describe('a hub that lies', () => {
  const wrong = (bytes: number) => Buffer.alloc(bytes, 7)
  test.each([
    ['other bytes', () => instead(wrong(400_000)), /sha256 [0-9a-f]{64}, and should have/, 1],
    ['too few', () => instead(wrong(399_999)), /has 399999 bytes, and should have 400000/, 1],
    ['too many', () => instead(wrong(400_001)), /has 400001 bytes, and should have 400000/, 1],
    ['too many, not said before', () => chunked(wrong(500_000)), /more than 400000 bytes/, 1],
  ])('%s: refused by name, nothing of it kept', async (_, fault, message, requests) => {
    hub.always(GRAPH, fault())
    await expect(pull({ concurrency: 1 })).rejects.toMatchObject({
      code: 'DOWNLOAD_ALTERED',
      message: expect.stringMatching(message),
    })
    await expect(pull({ concurrency: 1 })).rejects.toMatchObject({ message: expect.stringContaining(GRAPH) })
    expect(fromCdn(GRAPH)).toHaveLength(2 * requests)
    await expect(stat(partial(GRAPH))).rejects.toThrow('ENOENT')
    await expectNothing()
  })

  test('too few, not said before: given up after some tries', async () => {
    hub.always(GRAPH, chunked(wrong(1_000)))
    await expect(pull()).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' })
    await expectNothing()
  })
})

describe('what a server says', () => {
  test.each([404, 410, 400])('%i: an error at once, with file and URL', async (code) => {
    hub.always(TOKENIZER, status(code))
    await expect(pull()).rejects.toMatchObject({
      code: 'DOWNLOAD_REFUSED',
      retryable: false,
      message: expect.stringMatching(
        new RegExp(
          `tokenizer\\.json: HTTP ${code} at ${hub.url}/some/model/resolve/[0-9a-f]{40}/tokenizer\\.json$`,
        ),
      ),
    })
    expect(pauses).toEqual([])
    expect(fromCdn(TOKENIZER)).toHaveLength(1)
  })

  test.each([401, 403])('%i: the hint names HF_TOKEN, whether there is one or not', async (code) => {
    hub.always(TOKENIZER, status(code))
    await expect(pull()).rejects.toMatchObject({
      code: 'DOWNLOAD_REFUSED',
      message: expect.not.stringContaining(TOKEN),
      hint: expect.stringMatching(/^The account of HF_TOKEN may not read it/),
    })
    await expect(pull({ hub: readHub({ HF_ENDPOINT: hub.url }) })).rejects.toMatchObject({
      hint: expect.stringMatching(/^Set HF_TOKEN/),
    })
  })

  test('429 with Retry-After in seconds: it is left alone so long', async () => {
    hub.next(TOKENIZER, status(429, { 'retry-after': '7' }))
    await pull()
    expect(pauses).toEqual([7_000])
    expect(retries).toEqual([`${TOKENIZER}: HTTP 429`])
    await expectWhole()
  })

  test('429 with a date: until then', async () => {
    hub.next(TOKENIZER, status(429, { 'retry-after': new Date(NOW + 90_000).toUTCString() }))
    await pull()
    expect(pauses).toEqual([90_000])
  })

  test('429 for hours: that is not waited for', async () => {
    hub.next(TOKENIZER, status(429, { 'retry-after': '7200' }))
    await expect(pull()).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      message: expect.stringContaining('asks to wait 7200 s'),
    })
    expect(pauses).toEqual([])
  })

  test('503, 500, 429 without a word: tried again with growing pauses', async () => {
    hub.next(TOKENIZER, status(503), status(500), status(429))
    await pull()
    expect(pauses).toEqual([250, 500, 1_000])
    await expectWhole()
  })
})

describe('before anything is fetched', () => {
  test('the disk is asked for room, with both numbers in the error', async () => {
    await expect(pull({ deps: { freeBytes: async () => 630_001 } })).rejects.toMatchObject({
      code: 'DISK_TOO_SMALL',
      message: `${modelsDir} has room for 630001 bytes, 630002 are needed`,
      details: { free: 630_001, needed: 630_002 },
    })
    expect(hub.seen).toEqual([])
  })

  test('what is there already needs no room', async () => {
    await mkdir(dirname(partial(GRAPH)), { recursive: true })
    await writeFile(partial(GRAPH), (files.get(GRAPH) ?? Buffer.alloc(0)).subarray(0, 300_000))
    await pull({ deps: { freeBytes: async () => 330_002 } })
    await expectWhole()
  })

  test('a model without a hub is refused', async () => {
    folder = { ...folder, hub: null }
    await expect(pull()).rejects.toMatchObject({ code: 'MODEL_NOT_ON_HUB' })
  })

  test.each([
    [{ HF_ENDPOINT: 'hub.example' }, 'HF_ENDPOINT'],
    [{ HF_TOKEN: 'a b' }, 'HF_TOKEN'],
  ])('a setting that cannot be is refused: %o', (env, setting) => {
    expect(() => readHub(env)).toThrow(
      expect.objectContaining({ code: 'SETTING_INVALID', details: { setting } }),
    )
  })
})

test('a pull that is stopped leaves what it has, and the next one goes on', async () => {
  hub.next(GRAPH, slowly(10_000))
  const stop = new AbortController()
  const bytes = (path: string, at: number) => {
    if (path === GRAPH && at >= 50_000) stop.abort()
  }
  await expect(pull({ signal: stop.signal, progress: { bytes } })).rejects.toMatchObject({
    code: 'INTERRUPTED',
  })
  await expectNothing()
  const kept = (await stat(partial(GRAPH))).size
  expect(kept).toBeGreaterThanOrEqual(50_000)
  await pull()
  expect(fromCdn(GRAPH).at(-1)?.range).toBe(`bytes=${kept}-`)
  await expectWhole()
  expect((await readFile(join(target(), GRAPH))).equals(files.get(GRAPH) ?? Buffer.alloc(0))).toBe(true)
})
