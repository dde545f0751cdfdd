import { createHash, randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, link, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { CodedError, codeOf } from '@millrace/errors'
import { z } from 'zod'
import { unwritable } from './part.js'

/** Who works on a folder. */
const holderSchema = z.object({
  token: z.string(),
  pid: z.int(),
  host: z.string(),
  since: z.string(),
})
export type Holder = z.infer<typeof holderSchema>

export interface FolderLock {
  /** Aborts when somebody took the lock for a dead one's: this process was stopped for too long. */
  readonly lost: AbortSignal
  release(): Promise<void>
}

export interface LockOptions {
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>
  readonly signal?: AbortSignal | undefined
  /** Somebody else has it; called once for each holder. */
  readonly onWait: (holder: Holder) => void
  /** After how many milliseconds without a heartbeat a holder is dead. Default 20,000. */
  readonly silenceMs?: number
}

const HEARTBEAT_MS = 2_000
const SILENCE_MS = 20_000
const POLL_MS = 250
/** Until a rival that is faster has done its two steps. */
const RETRY_MS = 20

/**
 * Takes a lock file, waiting for whoever has it. It holds the pid and the host, and is touched every 2 s. A holder
 * on this host is dead when its process is; any holder is when its heartbeat stops: seen by this process's own
 * clock, since those of two hosts differ. A process that was stopped for so long finds that it has lost the lock; what
 * it may have written meanwhile are the same bytes as the other's, checked by hash.
 * @throws CodedError INTERRUPTED, MODELS_DIR_UNUSABLE
 */
export async function lockFolder(path: string, options: LockOptions): Promise<FolderLock> {
  const { signal, sleep, onWait, silenceMs = SILENCE_MS } = options
  const mine = { token: randomUUID(), pid: process.pid, host: hostname(), since: new Date().toISOString() }
  const draft = `${path}.${mine.token}`
  await writeFile(draft, `${JSON.stringify(mine)}\n`, { flag: 'wx' }).catch((error: unknown) => {
    throw unwritable(draft, error)
  })
  try {
    let seen = { beat: '', at: performance.now() }
    let waitingFor: string | undefined
    while (!(await linked(draft, path))) {
      if (signal?.aborted) throw new CodedError('INTERRUPTED', 'Stopped while another process had the model')
      const holder = await readHolder(path)
      const beat = await beatOf(path)
      if (holder === undefined || beat === undefined) continue
      const sight = `${holder.token} ${beat}`
      if (sight !== seen.beat) seen = { beat: sight, at: performance.now() }
      const silence = performance.now() - seen.at
      if (isGone(holder) || silence > silenceMs) {
        if (await succeed(path, draft, holder)) break
        await clearClaim(path, holder, silence > 2 * silenceMs)
        await sleep(RETRY_MS, signal).catch(() => undefined)
        continue
      }
      if (waitingFor !== holder.token) onWait(holder)
      waitingFor = holder.token
      await sleep(POLL_MS, signal).catch(() => undefined)
    }
  } finally {
    await rm(draft, { force: true })
  }
  return held(path, mine)
}

/** What a disk without hard links says, exFAT for instance. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

/** True when the file has got its second name, false when that is taken. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to).catch((error: unknown) => {
      if (!NO_LINKS.has(codeOf(error))) throw error
      // As exclusive, but for a moment there is a name without a content.
      return copyFile(from, to, constants.COPYFILE_EXCL)
    })
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw unwritable(to, error)
  }
}

/** Undefined when there is none. What is no holder, or not yet, counts as one elsewhere that is silent. */
async function readHolder(path: string): Promise<Holder | undefined> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  try {
    return holderSchema.parse(JSON.parse(text))
  } catch {
    return { token: `unreadable ${text}`, pid: 0, host: 'an unknown host', since: 'an unknown time' }
  }
}

const beatOf = (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  )

/** A process of this host that has ended. Others cannot be asked. */
function isGone({ pid, host }: Holder): boolean {
  if (host !== hostname()) return false
  // 0 and below mean whole groups of processes.
  if (pid <= 0) return true
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return codeOf(error) === 'ESRCH'
  }
}

/** One exclusive name for each dead holder, so that it has one successor. */
const claimOn = (path: string, { token }: Holder): string =>
  `${path}.${createHash('sha256').update(token).digest('hex').slice(0, 32)}.next`

/**
 * Puts the draft in the place of a dead holder's lock. Who saw the dead one and comes late finds the claim taken, or,
 * when the winner has cleared it away, a lock that is not the one it saw.
 */
async function succeed(path: string, draft: string, dead: Holder): Promise<boolean> {
  const claim = claimOn(path, dead)
  if (!(await linked(draft, claim))) return false
  const isStill = (await readHolder(path))?.token === dead.token
  // Over the dead one's, in one step.
  if (isStill) await rename(draft, path)
  await rm(claim, { force: true })
  return isStill
}

/** A successor that died before it took the lock over has left its claim. */
async function clearClaim(path: string, dead: Holder, isOld: boolean): Promise<void> {
  const claim = claimOn(path, dead)
  const claimant = await readHolder(claim)
  if (claimant === undefined) return
  if (isOld || isGone(claimant)) await rm(claim, { force: true })
}

function held(path: string, mine: Holder): FolderLock {
  const lost = new AbortController()
  const isMine = async () => (await readHolder(path).catch(() => mine))?.token === mine.token
  const heartbeat = setInterval(async () => {
    const now = new Date()
    if (await isMine()) await utimes(path, now, now).catch(() => undefined)
    else lost.abort()
  }, HEARTBEAT_MS)
  heartbeat.unref()
  return {
    lost: lost.signal,
    release: async () => {
      clearInterval(heartbeat)
      if (await isMine()) await rm(path, { force: true })
    },
  }
}
