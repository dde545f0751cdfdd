import { createHash, randomUUID } from 'node:crypto'
import { link, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CodedError, codeOf } from '@millrace/errors'
import { type Holder, stateOf } from './holder.js'
import { identify, placeOf } from './processes.js'

/** The right to use a data folder; at most one process has it. */
export interface Lock {
  /** Notes the database's process, so that whoever comes after a crash waits for it. */
  noteChild(pid: number): Promise<void>
  release(): Promise<void>
}

/** How often a holder touches its lock, for those who cannot see its process. */
const HEARTBEAT_MS = 2_000

/**
 * Takes `<dataDir>/millrace.lock`. The file is always written whole (under another name, then linked), and holds
 * who took it. When the holder is dead its successor is decided by one exclusive link named after the dead one's
 * token; the winner renames its own file over the lock. A slower rival that still saw the dead holder finds the
 * link taken, or, when the winner has already cleared it away, a lock that is not the one it saw, and starts over.
 *
 * Throws DATA_DIR_LOCKED with the holder's pid.
 */
export async function takeLock(dataDir: string): Promise<Lock> {
  const path = join(dataDir, 'millrace.lock')
  const mine: Holder = {
    token: randomUUID(),
    place: placeOf(),
    parent: identify(process.pid),
    startedAt: new Date().toISOString(),
  }
  const draft = `${path}.${mine.token}.new`
  await writeFile(draft, JSON.stringify(mine), { flag: 'wx' })
  try {
    while (!(await attempt(path, draft, dataDir)));
  } finally {
    await rm(draft, { force: true })
  }
  return held(path, mine)
}

async function attempt(path: string, draft: string, dataDir: string): Promise<boolean> {
  if (await linked(draft, path)) return true
  const line = await readLine(path)
  const last = line.at(-1)
  if (last === undefined) return false
  const state = await stateOf(last, () => touchedAt(path))
  if (state === 'running') {
    // Looked at again: a rival that came too late stands at the end of the line for a moment, then steps back.
    if ((await readLine(path)).at(-1)?.token !== last.token) return false
    throw locked(dataDir, last)
  }
  if (state === 'changed') return false
  const claim = claimOn(path, last)
  if (!(await linked(draft, claim))) return false
  if ((await readHolder(path))?.token !== line[0]?.token) {
    await rm(claim, { force: true })
    return false
  }
  await rename(draft, path)
  for (const dead of line) await rm(claimOn(path, dead), { force: true })
  return true
}

/** The holder in the file, then whoever won the right to succeed it but died before writing that down, and so on. */
async function readLine(path: string): Promise<Holder[]> {
  const line: Holder[] = []
  for (let next = await readHolder(path); next !== undefined; ) {
    line.push(next)
    next = await readHolder(claimOn(path, next))
  }
  return line
}

/** Milliseconds; undefined when the lock is gone. */
async function touchedAt(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

const claimOn = (path: string, dead: Holder): string => `${path}.${dead.token}.next`

/** True when the link was made, false when the name is taken. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

async function readHolder(path: string): Promise<Holder | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
  return parseHolder(text)
}

/** A file that no holder wrote (cut off by a full disk, edited by hand) is a dead holder of that content. */
function parseHolder(text: string): Holder {
  try {
    const holder = JSON.parse(text) as Partial<Holder>
    const whole = typeof holder.token === 'string' && /^[0-9a-f-]{36}$/.test(holder.token)
    if (whole && Number.isInteger(holder.parent?.pid)) return holder as Holder
  } catch {
    // Not JSON: below.
  }
  const token = createHash('sha256').update(text).digest('hex').slice(0, 36)
  return { token, place: placeOf(), parent: { pid: 0 }, startedAt: '' }
}

function locked(dataDir: string, { parent, place, startedAt }: Holder): CodedError {
  const where = place === placeOf() ? '' : ` on ${place}`
  return new CodedError(
    'DATA_DIR_LOCKED',
    `The data folder ${dataDir} is in use by process ${parent.pid}${where}, since ${startedAt}`,
    {
      hint: 'Stop that process, or start this one with another DATA_DIR; if it is none of ours, delete millrace.lock',
      details: { pid: parent.pid },
    },
  )
}

function held(path: string, mine: Holder): Lock {
  const heartbeat = setInterval(() => {
    const now = new Date()
    // A lock that cannot be touched is still a lock; the next beat tries again.
    utimes(path, now, now).catch(() => undefined)
  }, HEARTBEAT_MS)
  heartbeat.unref()
  const isMine = async (): Promise<boolean> => (await readHolder(path))?.token === mine.token
  return {
    async noteChild(pid) {
      if (!(await isMine())) {
        throw new CodedError('DATA_DIR_LOCKED', `The lock ${path} was taken away from process ${process.pid}`)
      }
      const draft = `${path}.${mine.token}.new`
      await writeFile(draft, JSON.stringify({ ...mine, child: identify(pid) }))
      await rename(draft, path)
    },
    async release() {
      clearInterval(heartbeat)
      if (await isMine()) await rm(path, { force: true })
    },
  }
}
