import { randomUUID } from 'node:crypto'
import { link, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
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

/**
 * Takes a lock file, waiting for whoever has it. It holds the pid and the host, and is touched every 2 s. A holder
 * on this host is dead when its process is; any holder is when its heartbeat stops: seen by this process's own
 * clock, since those of two hosts differ. Not a guarantee against two holders under every schedule, and it need not
 * be one: what two pullers would write over each other are the same bytes, checked by hash.
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
      if (isGone(holder) || performance.now() - seen.at > silenceMs) {
        await clear(path, holder, mine.token)
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

/** True when the link was made, false when the name is taken. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw unwritable(to, error)
  }
}

/** Undefined when there is none. What nobody of ours wrote is a dead holder's. */
async function readHolder(path: string): Promise<Holder | undefined> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  try {
    return holderSchema.parse(JSON.parse(text))
  } catch {
    return { token: `unreadable ${text.length}`, pid: 0, host: hostname(), since: '' }
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

/** Takes a dead holder's lock away; one that a rival has taken meanwhile is put back. */
async function clear(path: string, dead: Holder, token: string): Promise<void> {
  const grave = `${path}.${token}.dead`
  try {
    await rename(path, grave)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw unwritable(path, error)
  }
  if ((await readHolder(grave))?.token !== dead.token) await linked(grave, path)
  await rm(grave, { force: true })
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
