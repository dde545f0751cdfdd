import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { beginFolder, endFolder, folderOf, makeDataDir } from './folder.js'
import { type Lock, takeLock } from './lock.js'
import { type EmbeddedLog, silent } from './log.js'
import { Supervisor } from './supervise.js'

export interface EmbeddedOptions {
  /** The folder, made when absent. The database lies in its `pg`. */
  readonly dataDir: string
  /** Default: says nothing. */
  readonly log?: EmbeddedLog
  /** Longest a transaction may wait for its client's next statement, in milliseconds. Default 30 s. */
  readonly idleInTransactionMs?: number
  /** Longest statement with its parameters, in bytes. Default 64 MiB. */
  readonly statementBytesMax?: number
}

/** A Postgres with pgvector in a process of its own, on a loopback port. */
export interface EmbeddedDatabase {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  /** `postgres://…` with all of these. */
  readonly url: string
  /** Of the database's process; undefined while it is being restarted. */
  readonly pid: number | undefined
  /** Ends the process, after its current statement, and gives the folder back. May be called again. */
  close(): Promise<void>
  /** Calls back when the process ended too often to be started again. Returns how to stop listening. */
  onExit(listener: (error: CodedError) => void): () => void
}

const HOST = '127.0.0.1'
/** PGlite's own user and database; there are no others. */
const [USER, DATABASE] = ['postgres', 'postgres']

/**
 * Opens the embedded database of a data folder, for this process alone. It outlives crashes of its own process
 * (restarted on the same port, so pools reconnect) and ends with this one, however this one ends.
 *
 * Throws DATA_DIR_LOCKED when the folder is in use, DATA_DIR_UNUSABLE when it cannot be written or opened.
 */
export async function openEmbedded(options: EmbeddedOptions): Promise<EmbeddedDatabase> {
  const dataDir = resolve(options.dataDir)
  await makeDataDir(dataDir)
  const lock = await takeLock(dataDir).catch((error: unknown) => {
    throw unusable(dataDir, error)
  })
  try {
    return await openLocked(dataDir, lock, options)
  } catch (error) {
    await lock.release()
    throw unusable(dataDir, error)
  }
}

async function openLocked(dataDir: string, lock: Lock, options: EmbeddedOptions): Promise<EmbeddedDatabase> {
  const log = options.log ?? silent
  const aside = await beginFolder(dataDir, new Date())
  if (aside !== undefined) log.warn({ aside }, 'put aside a database that was never finished')
  const password = randomBytes(24).toString('hex')
  const supervisor = new Supervisor(
    {
      type: 'open',
      folder: folderOf(dataDir),
      host: HOST,
      port: 0,
      user: USER,
      password,
      database: DATABASE,
      idleInTransactionMs: options.idleInTransactionMs ?? 30_000,
      bytesMax: options.statementBytesMax ?? 64 * 1024 * 1024,
    },
    (pid) => lock.noteChild(pid),
    log,
  )
  const port = await supervisor.start()
  await endFolder(dataDir).catch(async (error: unknown) => {
    await supervisor.close()
    throw error
  })
  let closed: Promise<void> | undefined
  return {
    host: HOST,
    port,
    user: USER,
    password,
    database: DATABASE,
    url: `postgres://${USER}:${password}@${HOST}:${port}/${DATABASE}`,
    get pid() {
      return supervisor.pid
    },
    close() {
      closed ??= supervisor.close().finally(() => lock.release())
      return closed
    },
    onExit: (listener) => supervisor.onExit(listener),
  }
}

/** System errors (EACCES, EROFS, ENOSPC) mean the folder; what has a meaning of its own keeps it. */
function unusable(dataDir: string, error: unknown): unknown {
  if (error instanceof CodedError) return error
  return new CodedError(
    'DATA_DIR_UNUSABLE',
    `Cannot use the data folder ${dataDir}: ${messageOf(error)} (${codeOf(error)})`,
    { hint: 'Choose another DATA_DIR: writable, with free space and hard links', cause: error },
  )
}
