import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { folderFiles, type ModelFile, type ModelFolder } from '@millrace/embed'
import { digestFor, hashFor, type WantedFile } from './digest.js'

/** Why a file is not the one its manifest means. */
export interface BadModelFile {
  readonly path: string
  readonly problem: 'missing' | 'bytes' | 'sha256'
  /** What is there: bytes, or a hash; null when nothing is. */
  readonly has: string | null
  readonly wanted: string
}

/** Called before a file is read. */
export type OnCheck = (file: ModelFile) => void

/** A file's sha256 in hex, streamed. */
export const sha256Of = (path: string): Promise<string> => hashOf(path, createHash('sha256'))

async function hashOf(path: string, hash: Hash, signal?: AbortSignal): Promise<string> {
  const options = signal === undefined ? {} : { signal }
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash, options)
  return hash.digest('hex')
}

/** Compares a file with what it should be, by bytes, then by hash; undefined when it is right. */
export async function checkFile(
  dir: string,
  file: WantedFile,
  signal?: AbortSignal,
): Promise<BadModelFile | undefined> {
  const path = join(dir, file.path)
  const found = await stat(path).catch(() => undefined)
  if (found === undefined || !found.isFile()) {
    return { path: file.path, problem: 'missing', has: null, wanted: `${file.bytes}` }
  }
  if (found.size !== file.bytes) {
    return { path: file.path, problem: 'bytes', has: `${found.size}`, wanted: `${file.bytes}` }
  }
  const digest = await hashOf(path, hashFor(file), signal)
  const wanted = digestFor(file)
  return digest === wanted ? undefined : { path: file.path, problem: 'sha256', has: digest, wanted }
}

/** Compares every file of a model with its manifest. All that are wrong, in the manifest's order. */
export async function checkFolder(
  dir: string,
  folder: ModelFolder,
  onCheck: OnCheck = () => undefined,
): Promise<BadModelFile[]> {
  const bad: BadModelFile[] = []
  for (const file of folderFiles(folder)) {
    onCheck(file)
    const wrong = await checkFile(dir, file)
    if (wrong !== undefined) bad.push(wrong)
  }
  return bad
}
