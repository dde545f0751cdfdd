import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'

import { type Isolation, PROVIDERS, type Provider } from '@millrace/embed'

import { CodedError } from '@millrace/errors'
import { type Allow, parseAllow } from '@millrace/fetch'
import { modelPlaces } from '@millrace/models/place'

import { QUERY_LOG_MODES, type QueryLogMode } from './search/log.js'

export type Env = Readonly<Record<string, string | undefined>>

/** Everything the two programs can be told, read once at the door. docs/settings.md has the table. */
export interface Settings {
  readonly host: string
  readonly port: number
  /** Bearer tokens that are let in; empty: nobody is asked. */
  readonly apiKeys: readonly string[]
  readonly dataDir: string
  readonly databaseUrl: string | undefined
  readonly redisUrl: string | undefined
  /** What the queue's keys begin with, so that several installations can share one Redis. */
  readonly queuePrefix: string
  /** Folders that hold model folders, the first one with an id wins. */
  readonly modelDirs: readonly string[]
  readonly defaultModel: string | undefined
  /** Whether models run in a process of their own or a thread. */
  readonly isolation: Isolation
  /** What they run on. */
  readonly provider: Provider
  /** Threads of one forward pass; undefined: the cores this process may use. */
  readonly threads: number | undefined
  /** Sessions of every model, which share the threads; undefined: one. */
  readonly sessions: number | undefined
  /** Padded tokens of a forward pass; undefined: what was measured for the model. */
  readonly batchTokens: number | undefined
  /** Leases a worker works on at once: one in the model, others being read, written or tokenized. */
  readonly slots: number
  /** Tokens a lease is filled to. */
  readonly leaseTokens: number
  /** How long a lease lives without a sign of life, in seconds. */
  readonly leaseSeconds: number
  /** How long a document may wait for a sign of life of whoever prepares it, in seconds. */
  readonly ownedSeconds: number
  readonly sweepSeconds: number
  /** After how many seconds without a sign of life the queue gives a job to another worker. */
  readonly stalledSeconds: number
  /** How long SIGTERM waits for what is running, in seconds. */
  readonly drainSeconds: number
  /** Vectors from which a domain gets an index on servers. */
  readonly indexRowsMin: number
  /** Queries whose vectors are kept; 0: none. */
  readonly queryCache: number
  /** What is kept of what was asked. */
  readonly queryLog: QueryLogMode
  /** For how many days. */
  readonly queryLogDays: number
  /** Addresses that are private and may be fetched from all the same: host names, addresses, ranges. */
  readonly urlAllow: Allow
  /** What a URL may take, in seconds, and how often it may send elsewhere. */
  readonly urlSeconds: number
  readonly urlRedirects: number
  /** What reading one file may take, in seconds. */
  readonly fileSeconds: number
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent'
  readonly limits: Limits
}

/** What a caller may send at most. */
export interface Limits {
  readonly bodyBytes: number
  readonly documents: number
  readonly textBytes: number
  /** Of a line of NDJSON. */
  readonly lineBytes: number
  /** Of a file that is sent or fetched. */
  readonly fileBytes: number
  /** Pages, sheets or slides of a file. */
  readonly filePages: number
  readonly idBytes: number
  readonly titleChars: number
  readonly metadataBytes: number
  readonly queryChars: number
  /** Requests in work at once. */
  readonly requests: number
}

const KIB = 1024
const MIB = 1024 * KIB
const HOUR_SECONDS = 3_600
const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost'])
const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

/**
 * Reads and checks the environment.
 * @throws CodedError SETTING_INVALID, with the variable's name; OPEN_REFUSED for an open door to the network.
 */
export function readSettings(env: Env): Settings {
  const host = text(env, 'HOST') ?? '127.0.0.1'
  const apiKeys = list(env, 'MILLRACE_API_KEYS')
  refuseOpenDoor(env, host, apiKeys)
  const databaseUrl = url(env, 'DATABASE_URL', ['postgres:', 'postgresql:'])
  const redisUrl = url(env, 'REDIS_URL', ['redis:', 'rediss:'])
  if (redisUrl !== undefined && databaseUrl === undefined) {
    throw invalid('REDIS_URL', 'set without DATABASE_URL', 'Set DATABASE_URL too, or unset REDIS_URL')
  }
  const dataDir = resolve(text(env, 'DATA_DIR') ?? './data')
  return {
    host,
    port: integer(env, 'PORT', { fallback: 8080, min: 0, max: 65_535 }),
    apiKeys,
    dataDir,
    databaseUrl,
    redisUrl,
    queuePrefix: text(env, 'QUEUE_PREFIX') ?? 'millrace',
    modelDirs: modelPlaces(text(env, 'MODELS_DIR'), dataDir).dirs,
    defaultModel: text(env, 'DEFAULT_MODEL'),
    isolation: choice(env, 'INFERENCE', ['process', 'thread'], 'process'),
    provider: choice(env, 'PROVIDER', PROVIDERS, 'cpu'),
    threads: optional(env, 'THREADS', { min: 1, max: 4 * availableParallelism() }),
    sessions: optional(env, 'SESSIONS', { min: 1, max: 64 }),
    batchTokens: optional(env, 'BATCH_TOKENS', { min: 16, max: 1_000_000 }),
    slots: integer(env, 'WORKER_SLOTS', { fallback: 4, min: 1, max: 64 }),
    leaseTokens: integer(env, 'LEASE_TOKENS', { fallback: 16_384, min: 1, max: 1_000_000 }),
    leaseSeconds: integer(env, 'LEASE_SECONDS', { fallback: 600, min: 2, max: HOUR_SECONDS }),
    ownedSeconds: integer(env, 'OWNED_SECONDS', { fallback: 30, min: 1, max: HOUR_SECONDS }),
    sweepSeconds: integer(env, 'SWEEP_SECONDS', { fallback: 30, min: 1, max: HOUR_SECONDS }),
    stalledSeconds: integer(env, 'STALLED_SECONDS', { fallback: 15, min: 1, max: HOUR_SECONDS }),
    drainSeconds: integer(env, 'DRAIN_SECONDS', { fallback: 10, min: 0, max: HOUR_SECONDS }),
    indexRowsMin: integer(env, 'INDEX_ROWS_MIN', { fallback: 20_000, min: 1, max: 1_000_000_000 }),
    queryCache: integer(env, 'QUERY_CACHE', { fallback: 1_000, min: 0, max: 100_000 }),
    queryLog: choice(env, 'QUERY_LOG', QUERY_LOG_MODES, 'off'),
    queryLogDays: integer(env, 'QUERY_LOG_DAYS', { fallback: 30, min: 1, max: 3_650 }),
    urlAllow: parseAllow(text(env, 'URL_ALLOW') ?? ''),
    urlSeconds: integer(env, 'URL_SECONDS_MAX', { fallback: 30, min: 1, max: HOUR_SECONDS }),
    urlRedirects: integer(env, 'URL_REDIRECTS_MAX', { fallback: 5, min: 0, max: 20 }),
    fileSeconds: integer(env, 'FILE_SECONDS_MAX', { fallback: 120, min: 1, max: HOUR_SECONDS }),
    logLevel: choice(env, 'LOG_LEVEL', LOG_LEVELS, 'info'),
    limits: {
      bodyBytes: integer(env, 'BODY_BYTES_MAX', { fallback: 32 * MIB, min: KIB, max: 512 * MIB }),
      documents: integer(env, 'DOCUMENTS_MAX', { fallback: 1_000, min: 1, max: 1_000_000 }),
      textBytes: integer(env, 'TEXT_BYTES_MAX', { fallback: 16 * MIB, min: KIB, max: 256 * MIB }),
      lineBytes: integer(env, 'LINE_BYTES_MAX', { fallback: 16 * MIB, min: KIB, max: 256 * MIB }),
      fileBytes: integer(env, 'FILE_BYTES_MAX', { fallback: 64 * MIB, min: KIB, max: 512 * MIB }),
      filePages: integer(env, 'FILE_PAGES_MAX', { fallback: 10_000, min: 1, max: 1_000_000 }),
      idBytes: integer(env, 'ID_BYTES_MAX', { fallback: 512, min: 1, max: 512 }),
      titleChars: integer(env, 'TITLE_CHARS_MAX', { fallback: 2_000, min: 1, max: 100_000 }),
      metadataBytes: integer(env, 'METADATA_BYTES_MAX', { fallback: 64 * KIB, min: 2, max: 16 * MIB }),
      queryChars: integer(env, 'QUERY_CHARS_MAX', { fallback: 100_000, min: 1, max: MIB }),
      requests: integer(env, 'REQUESTS_MAX', { fallback: 512, min: 1, max: 100_000 }),
    },
  }
}

function refuseOpenDoor(env: Env, host: string, apiKeys: readonly string[]): void {
  const open = choice(env, 'MILLRACE_OPEN', ['0', '1'], '0')
  if (LOOPBACK.has(host) || apiKeys.length > 0 || open === '1') return
  throw new CodedError('OPEN_REFUSED', `HOST is ${host}: everybody who reaches it could read and write`, {
    hint: 'Set MILLRACE_API_KEYS=<key>[,<key>…], or MILLRACE_OPEN=1 if that is meant',
  })
}

const invalid = (name: string, what: string, hint: string) =>
  new CodedError('SETTING_INVALID', `${name} is ${what}`, { hint, details: { setting: name } })

function text(env: Env, name: string): string | undefined {
  const value = env[name]?.trim()
  return value === undefined || value === '' ? undefined : value
}

const list = (env: Env, name: string): string[] =>
  (text(env, name) ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')

function url(env: Env, name: string, protocols: readonly string[]): string | undefined {
  const value = text(env, name)
  if (value === undefined) return undefined
  // The value is not repeated: it may carry a password.
  const protocol = URL.canParse(value) ? new URL(value).protocol : undefined
  if (protocol === undefined || !protocols.includes(protocol)) {
    throw invalid(name, 'not a URL it can use', `Write ${protocols[0]}//user:password@host:port/…`)
  }
  return value
}

interface Range {
  readonly min: number
  readonly max: number
}

function optional(env: Env, name: string, range: Range): number | undefined {
  const value = text(env, name)
  if (value === undefined) return undefined
  const number = Number(value)
  if (!/^\d+$/.test(value) || number < range.min || number > range.max) {
    throw invalid(name, `"${value}"`, `Write a whole number from ${range.min} to ${range.max}`)
  }
  return number
}

const integer = (env: Env, name: string, range: Range & { readonly fallback: number }): number =>
  optional(env, name, range) ?? range.fallback

function choice<const T extends readonly string[]>(
  env: Env,
  name: string,
  values: T,
  fallback: T[number],
): T[number] {
  const value = text(env, name)
  if (value === undefined) return fallback
  if (!values.includes(value)) throw invalid(name, `"${value}"`, `Choose one of ${values.join(', ')}`)
  return value
}
