import { setTimeout as sleep } from 'node:timers/promises'
import { isRunning, type ProcessId, placeOf } from './processes.js'

/** What a lock file says. */
export interface Holder {
  /** Unique to one taking of the lock. */
  readonly token: string
  /** Where the process numbers below mean something. */
  readonly place: string
  /** The process that users started. */
  readonly parent: ProcessId
  /** The database's process, once there is one. */
  readonly child?: ProcessId
  readonly startedAt: string
}

/** `changed`: the lock is no longer as it was seen, look again. */
export type HolderState = 'running' | 'dead' | 'changed'

/** How long a database whose parent is gone may take to notice; it may be in a long statement. Then it is killed. */
const ORPHAN_MS = 5_000
const POLL_MS = 50
/** More than three heartbeats without one: nobody is there. */
const SILENCE_MS = 7_000

/**
 * Whether a lock's holder still uses the folder. A holder elsewhere is watched for a heartbeat; `touched` gives
 * the time of the lock's last one, in milliseconds.
 */
export async function stateOf(
  holder: Holder,
  touched: () => Promise<number | undefined>,
): Promise<HolderState> {
  if (holder.place !== placeOf()) return await watch(touched)
  if (isRunning(holder.parent)) return 'running'
  return holder.child === undefined || (await outlived(holder.child)) ? 'dead' : 'running'
}

async function watch(touched: () => Promise<number | undefined>): Promise<HolderState> {
  const first = await touched()
  for (let waited = 0; waited < SILENCE_MS; waited += POLL_MS) {
    await sleep(POLL_MS)
    const now = await touched()
    if (now === undefined) return 'changed'
    if (now !== first) return 'running'
  }
  return 'dead'
}

/** Waits for an orphan to end by itself, and ends it when it does not: the folder must have one writer. */
async function outlived(child: ProcessId): Promise<boolean> {
  for (let waited = 0; isRunning(child); waited += POLL_MS) {
    // Only a process recognised by its start is surely the one meant.
    if (waited >= ORPHAN_MS && child.started !== undefined) process.kill(child.pid, 'SIGKILL')
    if (waited >= 2 * ORPHAN_MS) return false
    await sleep(POLL_MS)
  }
  return true
}
