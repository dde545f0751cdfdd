import { createHmac } from 'node:crypto'
import { type Db, insertQueries, type LoggedQuery, secretOf } from '@millrace/store'
import type { Log } from '../log.js'

export type QueryLogMode = 'off' | 'hash' | 'text'
export const QUERY_LOG_MODES = ['off', 'hash', 'text'] as const satisfies readonly QueryLogMode[]

/** What a search tells the log. */
export interface AskedQuery extends Omit<LoggedQuery, 'query' | 'queryHash' | 'at'> {
  /** As it was cleaned, or the vector that was sent instead. */
  readonly asked: string | Float32Array
}

/** Keeps what was asked. A search never waits for it, and never fails with it. */
export interface QueryLog {
  note(query: AskedQuery): void
  /** Writes what was noted until now, as far as the database takes it. */
  flush(): Promise<void>
  stats(): QueryLogStats
  /** Writes what is left, and gives up after a while. */
  close(): Promise<void>
}

export interface QueryLogStats {
  readonly written: number
  /** Lost: too many came in while the database did not take any. */
  readonly dropped: number
  readonly waiting: number
}

export interface QueryLogOptions {
  readonly mode: QueryLogMode
  /** Queries that wait to be written; more are dropped. */
  readonly waitingMax?: number
  /** How long they wait for others, in milliseconds. */
  readonly everyMs?: number
  readonly closeMs?: number
}

/** Written by one statement. */
const BATCH = 500
const WAITING_MAX = 10_000
const EVERY_MS = 250
const CLOSE_MS = 5_000
/** Hits that are kept of a query. */
const TOP = 10
/** Of a text that is kept; its hash is of all of it. */
const TEXT_CHARS = 4_000

const OFF: QueryLog = {
  note: () => undefined,
  flush: async () => undefined,
  stats: () => ({ written: 0, dropped: 0, waiting: 0 }),
  close: async () => undefined,
}

interface Waiting extends AskedQuery {
  readonly at: Date
}

export function openQueryLog(
  { db, log }: { readonly db: Db; readonly log: Pick<Log, 'warn'> },
  { mode, waitingMax = WAITING_MAX, everyMs = EVERY_MS, closeMs = CLOSE_MS }: QueryLogOptions,
): QueryLog {
  if (mode === 'off') return OFF
  let waiting: Waiting[] = []
  let written = 0
  let dropped = 0
  let droppedSaid = 0
  let isClosed = false
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> | undefined
  let secret: Promise<Buffer> | undefined

  function keySecret(): Promise<Buffer> {
    secret ??= secretOf(db, 'queries').catch((error: unknown) => {
      secret = undefined
      throw error
    })
    return secret
  }

  function schedule(): void {
    if (timer !== undefined || isClosed || waiting.length === 0) return
    timer = setTimeout(() => {
      timer = undefined
      void flush()
    }, everyMs)
    timer.unref()
  }

  /** One at a time; what cannot be written goes back to the others and is tried again. */
  function flush(): Promise<void> {
    writing ??= write()
      .catch((error: unknown) => log.warn({ err: error, waiting: waiting.length }, 'queries were not logged'))
      .finally(() => {
        writing = undefined
        schedule()
      })
    return writing
  }

  async function write(): Promise<void> {
    if (dropped > droppedSaid) {
      log.warn({ dropped: dropped - droppedSaid }, 'queries were dropped from the log')
      droppedSaid = dropped
    }
    while (waiting.length > 0) {
      const batch = waiting.slice(0, BATCH)
      waiting = waiting.slice(BATCH)
      try {
        const key = await keySecret()
        await insertQueries(
          db,
          batch.map((query) => asRow(query, mode === 'text', key)),
        )
        written += batch.length
      } catch (error) {
        const room = Math.max(0, waitingMax - waiting.length)
        dropped += Math.max(0, batch.length - room)
        waiting = [...batch.slice(0, room), ...waiting]
        throw error
      }
    }
  }

  return {
    note: (query) => {
      if (isClosed || waiting.length >= waitingMax) {
        dropped++
        return
      }
      waiting.push({ ...query, at: new Date(Date.now() - query.totalMs) })
      schedule()
    },
    flush: flushAll,
    stats: () => ({ written, dropped, waiting: waiting.length }),
    close: async () => {
      if (isClosed) return
      isClosed = true
      clearTimeout(timer)
      await Promise.race([flushAll(), after(closeMs)])
      dropped += waiting.length
      if (waiting.length > 0) log.warn({ dropped: waiting.length }, 'queries were dropped from the log')
      waiting = []
    },
  }

  /** What is being written, and then the rest. */
  async function flushAll(): Promise<void> {
    await writing
    if (waiting.length > 0) await flush()
  }
}

function asRow({ asked, ...query }: Waiting, keepText: boolean, key: Buffer): LoggedQuery {
  const isText = typeof asked === 'string'
  // Which documents came tells what was asked.
  const top = query.top.slice(0, TOP).map((hit) => (keepText ? hit : { score: hit.score }))
  return {
    ...query,
    top,
    query: isText && keepText ? storable(asked) : null,
    queryHash: hashQuery(asked, key),
  }
}

/** A keyed hash: who reads the table alone cannot find out a query by hashing what it may have been. */
export function hashQuery(asked: string | Float32Array, key: Buffer): Buffer {
  const hmac = createHmac('sha256', key)
  if (typeof asked === 'string') return hmac.update('text\0').update(asked).digest()
  return hmac
    .update('vector\0')
    .update(new Uint8Array(asked.buffer, asked.byteOffset, asked.byteLength))
    .digest()
}

/** Postgres keeps no NUL, and a cut may leave half of a surrogate pair. */
const storable = (text: string): string => text.slice(0, TEXT_CHARS).replaceAll('\0', '').toWellFormed()

const after = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
