import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError, codeOf } from '@millrace/errors'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import * as schema from './schema.js'

export type Orm = NodePgDatabase<typeof schema>
/** `embedded`: PGlite, one session behind its socket, no COPY FROM STDIN. `server`: PostgreSQL. */
export type DbKind = 'server' | 'embedded'

/** Where statements run: on any free connection (`Db`), or all on the one of a transaction (`Tx`). */
export interface Session {
  readonly kind: DbKind
  readonly orm: Orm
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>
}

export interface Tx extends Session {
  readonly client: pg.PoolClient
}

export interface TransactOptions {
  /**
   * Whether the commit waits until it is on disk. Default true. False for what is worked out from rows that are: should
   * the server's machine die, the last moments are gone as a whole and are worked out again.
   */
  readonly durable?: boolean
}

export interface Db extends Session {
  readonly pool: pg.Pool
  /**
   * Runs `work` in one transaction (read committed) and commits. Rolled back when it throws; begun again, at
   * most five times in all, when Postgres broke it up for a deadlock or a serialization failure, so `work`
   * must be repeatable. Never await a model inside: on PGlite everybody else waits for the end.
   */
  transact<T>(work: (tx: Tx) => Promise<T>, options?: TransactOptions): Promise<T>
  close(): Promise<void>
}

export interface DbOptions {
  readonly url: string
  readonly kind: DbKind
  /** Connections at most. Default 10, embedded 4 (they take turns there anyway). */
  readonly connectionsMax?: number
  /** Called for the error of a connection that nobody is using; the pool replaces it by itself. */
  readonly onIdleError?: (error: Error) => void
}

const ATTEMPTS_MAX = 5
/** Before another attempt, times its number and a random share: two that met must not meet again. */
const PAUSE_MS = 40
/** Deadlock detected, serialization failure: https://www.postgresql.org/docs/18/errcodes-appendix.html */
const REPEATABLE = new Set(['40P01', '40001'])

/** Counts and ids fit a double: 2^53 rows would be 10^15. */
const types = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === pg.types.builtins.INT8 && format !== 'binary'
      ? Number
      : pg.types.getTypeParser(oid, format ?? 'text')) as typeof pg.types.getTypeParser,
}

/** Opens a pool; connects at the first query. */
export function openDb(options: DbOptions): Db {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.connectionsMax ?? (options.kind === 'embedded' ? 4 : 10),
    connectionTimeoutMillis: 30_000,
    idleTimeoutMillis: 30_000,
    application_name: 'millrace',
    types,
  })
  pool.on('error', (error) => options.onIdleError?.(error))
  // A client that somebody holds has no listener of the pool's: without one its lost connection would end the
  // process. Whoever holds it gets the error from the statement that fails.
  pool.on('connect', (client) => client.on('error', () => undefined))
  const { kind } = options
  return {
    kind,
    pool,
    orm: drizzle(pool, { schema, casing: 'snake_case' }),
    query: (text, values) => rows(pool, text, values),
    transact: (work, options) => transact(pool, kind, work, options),
    close: () => pool.end(),
  }
}

async function rows<Row extends object>(
  on: pg.Pool | pg.PoolClient,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const result = await on.query<Row>(text, [...values])
  return result.rows
}

/** Postgres's code, also of an error that the query builder wrapped. */
const stateOf = (error: unknown): string => {
  const code = codeOf(error)
  return code === 'INTERNAL' && error instanceof Error ? codeOf(error.cause) : code
}

async function transact<T>(
  pool: pg.Pool,
  kind: DbKind,
  work: (tx: Tx) => Promise<T>,
  { durable = true }: TransactOptions = {},
): Promise<T> {
  const begin = durable || kind === 'embedded' ? 'begin' : 'begin; set local synchronous_commit to off'

  for (let attempt = 1; ; attempt++) {
    const client = await pool.connect()
    let broken: Error | undefined
    let pause = 0
    try {
      await client.query(begin)
      const tx: Tx = {
        kind,
        client,
        orm: drizzle(client, { schema, casing: 'snake_case' }),
        query: (text, values) => rows(client, text, values),
      }
      const result = await work(tx)
      await client.query('commit')
      return result
    } catch (error) {
      await client.query('rollback').catch((rollbackError: Error) => {
        broken = rollbackError
      })
      if (!REPEATABLE.has(stateOf(error)) || attempt === ATTEMPTS_MAX) throw error
      pause = PAUSE_MS * attempt * Math.random()
    } finally {
      client.release(broken ?? false)
    }
    await sleep(pause)
  }
}

/** The first row, or an error that says what was expected. */
export function one<Row>(found: readonly Row[], what: string): Row {
  const row = found[0]
  if (row === undefined) throw new CodedError('INTERNAL', `Expected a row: ${what}`)
  return row
}
