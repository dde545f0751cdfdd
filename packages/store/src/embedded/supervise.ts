import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError, messageOf } from '@millrace/errors'
import type { OpenMessage } from './ipc.js'
import type { EmbeddedLog } from './log.js'
import { type DatabaseProcess, startProcess } from './spawn.js'

/** How long the database may take to finish its statement and close; then it is killed, which loses nothing. */
const STOP_MS = 10_000
/** Ends by itself within `WINDOW_MS` after which it is not started again. */
const ENDS_MAX = 5
const WINDOW_MS = 60_000

/** How long to wait before starting again, given when it ended so far (ms); undefined: give up. */
export function restartDelayMs(ends: readonly number[], now: number): number | undefined {
  const recent = ends.filter((at) => now - at < WINDOW_MS).length
  if (recent >= ENDS_MAX) return undefined
  // The first time at once: pools are knocking already. Then 0.2, 0.4, 0.8 s.
  return recent <= 1 ? 0 : 100 * 2 ** (recent - 1)
}

/** Keeps one database process running, on one port, until it is closed or gives up. */
export class Supervisor {
  readonly #log: EmbeddedLog
  readonly #onPid: (pid: number) => Promise<void>
  readonly #listeners = new Set<(error: CodedError) => void>()
  readonly #closing = new AbortController()
  readonly #ends: number[] = []
  #open: OpenMessage
  #running: DatabaseProcess | undefined
  #watching: Promise<void> = Promise.resolve()

  constructor(open: OpenMessage, onPid: (pid: number) => Promise<void>, log: EmbeddedLog) {
    this.#open = open
    this.#onPid = onPid
    this.#log = log
  }

  /** The process there is now; undefined between two. */
  get pid(): number | undefined {
    return this.#running?.pid
  }

  /** Resolves to the port, once it is served. */
  async start(): Promise<number> {
    const first = await this.#start()
    // Later ones take its place: pools know no other.
    this.#open = { ...this.#open, port: first.port }
    this.#watching = this.#watch(first)
    return first.port
  }

  onExit(listener: (error: CodedError) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running?.stop(STOP_MS)
    await this.#watching
  }

  async #start(): Promise<DatabaseProcess> {
    const log = this.#log
    this.#running = await startProcess(this.#open, this.#onPid, (line) =>
      log.warn({ line }, 'embedded database says'),
    )
    return this.#running
  }

  async #watch(first: DatabaseProcess): Promise<void> {
    for (let process: DatabaseProcess | undefined = first; process !== undefined; ) {
      const how = await process.ended
      this.#running = undefined
      if (this.#closing.signal.aborted) return
      this.#log.warn({ pid: process.pid, how }, 'embedded database ended by itself')
      process = await this.#restart(how)
    }
  }

  /** A running process again, or undefined: closed meanwhile, or given up. */
  async #restart(how: string): Promise<DatabaseProcess | undefined> {
    let reason = how
    for (;;) {
      this.#ends.push(Date.now())
      const delay = restartDelayMs(this.#ends, Date.now())
      if (delay === undefined) return this.#giveUp(reason)
      await sleep(delay, undefined, { signal: this.#closing.signal }).catch(() => undefined)
      if (this.#closing.signal.aborted) return undefined
      try {
        const process = await this.#start()
        if (this.#closing.signal.aborted) {
          await process.stop(STOP_MS)
          return undefined
        }
        this.#log.info({ pid: process.pid }, 'embedded database runs again')
        return process
      } catch (error) {
        reason = messageOf(error)
        this.#log.warn({ reason }, 'embedded database did not start again')
      }
    }
  }

  #giveUp(reason: string): undefined {
    const error = new CodedError(
      'DATABASE_GONE',
      `The embedded database ended ${ENDS_MAX} times within ${WINDOW_MS / 1000} s: ${reason}`,
      { hint: 'Look at its last words in the log; free disk space and memory; then start again' },
    )
    this.#log.warn({ reason }, error.message)
    for (const listener of this.#listeners) listener(error)
    return undefined
  }
}
