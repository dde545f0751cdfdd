import { existsSync, statSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { folderFiles, type ModelFile, type ModelFolder, readFolder } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import limit from 'p-limit'
import { checkFile } from '../check.js'
import { freeBytes, lockPath, placeFiles, placeFolder, requireSpace, stagingDir } from '../folder.js'
import { type DownloadDeps, download, interrupted } from './download.js'
import type { Hub } from './hub.js'
import { type Holder, lockFolder } from './lock.js'
import { partPath, unwritable } from './part.js'

/** What a pull tells while it runs. */
export interface PullProgress {
  /** Another process works on the same model; this one waits for it. */
  waiting(holder: Pick<Holder, 'pid' | 'host' | 'since'>): void
  /** A file that is there is compared with its hash. */
  checking(file: ModelFile): void
  /** The files that will be fetched, with the bytes of each that an earlier run has left. */
  start(files: readonly { readonly file: ModelFile; readonly there: number }[]): void
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

export interface Pulled {
  readonly id: string
  readonly dir: string
  /** Files that were fetched, wholly or the rest of them; the others were there. */
  readonly fetched: readonly string[]
  /** What came over the network, in bytes. */
  readonly bytes: number
}

const CONCURRENCY = 4
const STALL_MS = 30_000

const OWN_DEPS: PullDeps = {
  fetch,
  sleep: (ms, signal) => setTimeout(ms, undefined, signal === undefined ? {} : { signal }),
  random: Math.random,
  now: Date.now,
  freeBytes,
}

/**
 * Fetches the files of a model from its hub into `modelsDir`/<id>. They are gathered in a hidden folder beside it,
 * which gets its name when all are there with their hashes; one that is there already gets what it lacks, file by
 * file. What an earlier run left, whole files or parts, is not fetched again. One process works on a model at a
 * time, on a shared disk too; others wait and then find it there.
 * @throws CodedError MODEL_NOT_ON_HUB, DOWNLOAD_REFUSED, DOWNLOAD_ALTERED, DOWNLOAD_FAILED, DISK_TOO_SMALL,
 * MODELS_DIR_UNUSABLE, INTERRUPTED
 */
export async function pullModel(folder: ModelFolder, options: PullOptions): Promise<Pulled> {
  const { modelsDir, signal, progress = {} } = options
  const deps = { ...OWN_DEPS, ...options.deps }
  if (folder.hub === null) {
    throw new CodedError('MODEL_NOT_ON_HUB', `No hub is known that has ${folder.id}`, {
      hint: 'Copy its folder from where it is, then run: millrace models verify',
    })
  }
  await mkdir(modelsDir, { recursive: true }).catch((error: unknown) => {
    throw unwritable(modelsDir, error)
  })
  const lock = await lockFolder(lockPath(modelsDir, folder.id), {
    sleep: deps.sleep,
    signal,
    onWait: (holder) => progress.waiting?.(holder),
  })
  try {
    const signals = [lock.lost, ...(signal === undefined ? [] : [signal])]
    return await pullLocked(folder, { ...options, signal: AbortSignal.any(signals) }, deps)
  } finally {
    await lock.release()
  }
}

async function pullLocked(folder: ModelFolder, options: PullOptions, deps: PullDeps): Promise<Pulled> {
  const { modelsDir, signal, progress = {} } = options
  const target = join(modelsDir, folder.id)
  const staging = stagingDir(modelsDir, folder.id)
  const missing: ModelFile[] = []
  for (const file of folderFiles(folder)) {
    if (signal?.aborted) throw interrupted()
    if (!(await isThere([target, staging], file, options))) missing.push(file)
  }
  const wanted = missing.map((file) => ({ file, there: partBytes(join(staging, file.path), file.bytes) }))
  const needed = wanted.reduce((sum, { file, there }) => sum + file.bytes - there, 0)
  await requireSpace(modelsDir, needed, deps.freeBytes)
  progress.start?.(wanted)
  const bytes = await fetchAll(missing, folder, staging, options, deps)
  const isNew = !existsSync(target)
  if (isNew) await placeFolder(staging, target, folder)
  else await placeFiles(staging, target, manifestFor(target, folder))
  return { id: folder.id, dir: target, fetched: missing.map(({ path }) => path), bytes }
}

/** Whether a file is in one of the folders with its bytes and its hash. */
async function isThere(dirs: readonly string[], file: ModelFile, options: PullOptions): Promise<boolean> {
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
  files: readonly ModelFile[],
  folder: ModelFolder,
  staging: string,
  options: PullOptions,
  deps: PullDeps,
): Promise<number> {
  const { hub, concurrency = CONCURRENCY, stallMs = STALL_MS, progress = {}, signal } = options
  const place = folder.hub
  if (place === null) return 0
  const stop = new AbortController()
  const together = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal])
  const slots = limit(concurrency)
  let came = 0
  let failure: unknown
  const fetchOne = async (file: ModelFile): Promise<void> => {
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

/**
 * The manifest of a folder that is there: its own where that has all the files that were pulled, since variants may
 * have been added to it; else, or when it cannot be read, the one that was pulled.
 */
function manifestFor(target: string, pulled: ModelFolder): ModelFolder {
  try {
    const own = readFolder(target)
    const has = new Map(folderFiles(own).map(({ path, sha256 }) => [path, sha256]))
    return folderFiles(pulled).every(({ path, sha256 }) => has.get(path) === sha256) ? own : pulled
  } catch {
    return pulled
  }
}
