import { PGlite } from '@electric-sql/pglite'
import { vector } from '@electric-sql/pglite-pgvector'
import { CodedError, messageOf } from '@millrace/errors'

/** Postgres in WASM: one session, in this process, which it blocks while it works. */
export interface Engine {
  /** What Postgres reports at the start of a session. */
  readonly parameters: Readonly<Record<string, string>>
  /** Runs protocol messages; `onData` gets pieces of the answer, valid only during the call. One call at a time. */
  run(messages: Uint8Array, onData: (piece: Uint8Array) => void): Promise<void>
  /** Runs one statement of this program's own, outside of any transaction. */
  query<Row extends object>(sql: string): Promise<Row[]>
  close(): Promise<void>
}

/**
 * BullMQ's functions are found by the search path, and its `options: -c search_path=…` does not reach the engine;
 * as a command-line setting it is also what RESET returns to.
 */
const SEARCH_PATH = 'bullmq, public'

const REPORTED = [
  'server_version',
  'server_encoding',
  'client_encoding',
  'DateStyle',
  'IntervalStyle',
  'TimeZone',
  'integer_datetimes',
  'standard_conforming_strings',
]

/**
 * Opens the database in a folder, made when it is absent (4 to 6 s; later 0.9 s). Writes are with the operating
 * system when a statement is answered, so a kill loses nothing; they are not synced to the disk, a power cut may.
 *
 * Throws DATA_DIR_UNUSABLE with Postgres's own reason: another major version, a damaged folder, no space.
 */
export async function openEngine(folder: string): Promise<Engine> {
  const said: string[] = []
  try {
    const db = await PGlite.create({
      dataDir: folder,
      extensions: { vector },
      startParams: PGlite.defaultStartParams.map((param) =>
        param.startsWith('search_path=') ? `search_path=${SEARCH_PATH}` : param,
      ),
      onStderr: (line) => {
        said.push(line)
        if (said.length > 20) said.shift()
        return true
      },
    })
    await db.exec(
      'create extension if not exists vector with schema public; create schema if not exists bullmq',
    )
    return {
      parameters: await readParameters(db),
      run: (messages, onData) => db.execProtocolRawStream(messages, { onRawData: onData }),
      query: async <Row extends object>(sql: string) => (await db.query<Row>(sql)).rows,
      close: () => db.close(),
    }
  } catch (error) {
    throw new CodedError(
      'DATA_DIR_UNUSABLE',
      `Cannot open the database in ${folder}: ${reason(said, error)}`,
      {
        hint: 'Choose another DATA_DIR, or put the folder right: writable, with free space, made by this version',
        cause: error,
      },
    )
  }
}

/** What Postgres wrote before it gave up says more than the exception it ended in. */
function reason(said: readonly string[], error: unknown): string {
  const lines = said
    .filter((line) => !/\b(LOG|NOTICE|WARNING):/.test(line) && !line.startsWith('Aborted'))
    .map((line) => line.replace(/^.*\[\d+\] /, ''))
  return lines.length > 0 ? lines.join('; ') : messageOf(error)
}

async function readParameters(db: PGlite): Promise<Record<string, string>> {
  const { rows } = await db.query<{ name: string; setting: string }>(
    'select name, setting from pg_settings where name = any($1)',
    [REPORTED],
  )
  return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))
}
