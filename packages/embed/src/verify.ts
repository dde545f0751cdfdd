import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { type ModelFile, type ModelFolder, readFolder } from './manifest.js'

/**
 * Files up to this size are hashed at every load: 24 MB took 90 ms. Larger ones only by `verifyModel`: at some
 * 250 MB/s the 2.3 GB of bge-m3 would cost every start 9 s.
 */
const HASHED_AT_LOAD_BYTES = 1 << 26

/**
 * Compares every file of a model with its manifest, bytes and sha256, streamed.
 * @param dir the model's folder
 * @throws CodedError MODEL_FILE_ALTERED or MODEL_FILE_MISSING, naming the file; INVALID_MANIFEST
 */
export async function verifyModel(dir: string): Promise<ModelFolder> {
  const folder = readFolder(dir)
  for (const file of folderFiles(folder)) await checkFile(dir, file, true)
  return folder
}

/** The files of all variants, each once. */
export function folderFiles({ files, variants }: ModelFolder): ModelFile[] {
  const all = [...files, ...variants.flatMap((variant) => variant.files)]
  return [...new Map(all.map((file) => [file.path, file])).values()]
}

/** The same as far as it is cheap, before a load: existence and bytes of all files, sha256 up to 64 MiB a file. */
export async function checkFiles(dir: string, files: readonly ModelFile[]): Promise<void> {
  for (const file of files) await checkFile(dir, file, file.bytes <= HASHED_AT_LOAD_BYTES)
}

async function checkFile(dir: string, file: ModelFile, isHashed: boolean): Promise<void> {
  const path = join(dir, file.path)
  const { size } = await stat(path).catch((error: unknown) => {
    throw new CodedError(
      'MODEL_FILE_MISSING',
      `Cannot read ${path} (${codeOf(error)}): ${messageOf(error)}`,
      {
        hint: 'Copy or pull the model again',
        cause: error,
      },
    )
  })
  if (size !== file.bytes) throw altered(path, `${size} bytes`, `${file.bytes}`)
  if (!isHashed) return
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash)
  const sha256 = hash.digest('hex')
  if (sha256 !== file.sha256) throw altered(path, `sha256 ${sha256}`, file.sha256)
}

const altered = (path: string, has: string, wanted: string): CodedError =>
  new CodedError('MODEL_FILE_ALTERED', `${path} has ${has}, its manifest says ${wanted}`, {
    hint: 'Copy or pull the model again',
  })
