import { statSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import limit from 'p-limit'
import { checkFile } from '../check.js'
import type { WantedFile } from '../digest.js'
import { freeBytes, lockPath, requireSpace } from '../folder.js'
import { type DownloadDeps, download, interrupted } from './download.js'
import type { Hub, HubPlace } from './hub.js'
import { type Holder, lockFolder } from './lock.js'
import { partPath, unwritable } from './part.js'

/** What a pull tells while it runs. */
export interface PullProgress {
  /** Another process works on the same model; this one waits for it. */
  waiting(holder: Pick<Holder, 'pid' | 'host' | 'since'>): void
  /** A file that is there is compared with its hash. */
  checking(file: WantedFile): void
  /** The files that will be fetched, with the bytes of each that an earlier run has left. */
  start(files: readonly { readonly file: WantedFile; readonly there: number }[]): void
  /** Bytes of a file that are there. */
  bytes(path: string, bytes: number): void
  retry(path: string, why: string, pauseMs: number): void
  /** The file is complete and has its hash. */
  done(path: string): void
}

export interface PullDeps extends DownloadDeps {
  readonly freeBytes: (dir: string) => Promise<number>
}

export interface PullOptions {
  /** Where model folders are; made when it is missing. */
  readonly modelsDir: string
  readonly hub: Hub
  /** Files at once. Default 4. */
  readonly concurrency?: number
  /** How long no byte may come before a connection is made anew, in milliseconds. Default 30,000. */
  readonly stallMs?: number
  readonly signal?: AbortSignal | undefined
  readonly progress?: Partial<PullProgress>
  /** Default: fetch, the clock and the disk of this process. */
  readonly deps?: Partial<PullDeps>
}

const CONCURRENCY = 4
export const STALL_MS = 30_000

export const OWN_DEPS: PullDeps = {
  fetch,
  sleep: (ms, signal) => setTimeout(ms, undefined, signal === undefined ? {} : { signal }),
  random: Math.random,
  now: Date.now,
  freeBytes,
}

/** Runs something as the only one that works on a model, here and on other machines with the same disk. */
export async function asOnlyOne<T>(
  id: string,
  options: PullOptions,
  deps: PullDeps,
  run: (options: PullOptions) => Promise<T>,
): Promise<T> {
  const { modelsDir, signal, progress = {} } = options
  await mkdir(modelsDir, { recursive: true }).catch((error: unknown) => {
    throw unwritable(modelsDir, error)
  })
  const lock = await lockFolder(lockPath(modelsDir, id), {
    sleep: deps.sleep,
    signal,
    onWait: (holder) => progress.waiting?.(holder),
  })
  try {
    const signals = [lock.lost, ...(signal === undefined ? [] : [signal])]
    return await run({ ...options, signal: AbortSignal.any(signals) })
  } finally {
    await lock.release()
  }
}

export interface Gathered {
  readonly fetched: readonly string[]
  readonly bytes: number
}

/**
 * Fetches files into a folder, but for those that are there, or in one of the others, with their hashes.
 * @throws CodedError DISK_TOO_SMALL before anything is fetched, and those of `download`
 */
export async function gather(
  files: readonly WantedFile[],
  place: HubPlace,
  dirs: { readonly staging: string; readonly others: readonly string[] },
  options: PullOptions,
  deps: PullDeps,
): Promise<Gathered> {
  const { modelsDir, signal, progress = {} } = options
  const { staging, others } = dirs
  const missing: WantedFile[] = []
  for (const file of files) {
    if (signal?.aborted) throw interrupted()
    if (!(await isThere([...others, staging], file, options))) missing.push(file)
  }
  const wanted = missing.map((file) => ({ file, there: partBytes(join(staging, file.path), file.bytes) }))
  const needed = wanted.reduce((sum, { file, there }) => sum + file.bytes - there, 0)
  await requireSpace(modelsDir, needed, deps.freeBytes)
  progress.start?.(wanted)
  const bytes = await fetchAll(missing, place, staging, options, deps)
  return { fetched: missing.map(({ path }) => path), bytes }
}

/** Whether a file is in one of the folders with its bytes and its hash. */
async function isThere(dirs: readonly string[], file: WantedFile, options: PullOptions): Promise<boolean> {
  for (const dir of dirs) {
    if (statSync(join(dir, file.path), { throwIfNoEntry: false })?.size !== file.bytes) continue
    options.progress?.checking?.(file)
    const bad = await checkFile(dir, file, options.signal).catch((error: unknown) => {
      throw options.signal?.aborted ? interrupted() : error
    })
    if (bad === undefined) return true
  }
  return false
}

/** Bytes of a file that an earlier run left; more than the whole is no part of it. */
function partBytes(path: string, bytesMax: number): number {
  const bytes = statSync(partPath(path), { throwIfNoEntry: false })?.size ?? 0
  return bytes > bytesMax ? 0 : bytes
}

/** Several at once; the first that fails for good stops the others. Resolves to the bytes that came. */
async function fetchAll(
  files: readonly WantedFile[],
  place: HubPlace,
  staging: string,
  options: PullOptions,
  deps: PullDeps,
): Promise<number> {
  const { hub, concurrency = CONCURRENCY, stallMs = STALL_MS, progress = {}, signal } = options
  const stop = new AbortController()
  const together = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal])
  const slots = limit(concurrency)
  let came = 0
  let failure: unknown
  const fetchOne = async (file: WantedFile): Promise<void> => {
    if (together.aborted) return
    let last: number | undefined
    const onBytes = (bytes: number) => {
      if (last !== undefined && bytes > last) came += bytes - last
      last = bytes
      progress.bytes?.(file.path, bytes)
    }
    const onRetry = (why: string, pauseMs: number) => progress.retry?.(file.path, why, pauseMs)
    const path = join(staging, file.path)
    await download({ hub, place, file, path, stallMs, signal: together, onBytes, onRetry }, deps)
    progress.done?.(file.path)
  }
  await Promise.all(
    files.map((file) =>
      slots(() => fetchOne(file)).catch((error: unknown) => {
        failure ??= error
        stop.abort()
      }),
    ),
  )
  if (failure !== undefined) throw failure
  if (signal?.aborted) throw interrupted()
  return came
}
