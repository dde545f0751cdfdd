import { constants, existsSync, statSync } from 'node:fs'
import { copyFile, mkdir, realpath, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import {
  folderFiles,
  MANIFEST_FILE,
  type ModelFile,
  type ModelFolder,
  parseFolder,
  readFolder,
} from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { checkFolder, sha256Of } from '../check.js'
import { freeBytes, lockPath, placeFolder, requireSpace, writeManifest } from '../folder.js'
import { knownModels } from '../known.js'
import { lockFolder } from '../pull/lock.js'
import { unwritable } from '../pull/part.js'
import type { TokenPooling } from './decide.js'
import { type Described, describe, manifestOf } from './describe.js'

export interface ImportOptions {
  readonly id: string
  /** Where its folder is made. */
  readonly modelsDir: string
  /** The graph's file; default onnx/model.onnx, model.onnx, or the only one. */
  readonly graph?: string | undefined
  /** Default: what 1_Pooling or the graph says. */
  readonly pooling?: TokenPooling | undefined
  /** Put before every query; default none. */
  readonly queryInstruction?: string | undefined
  /** Put before every document; default none. */
  readonly documentInstruction?: string | undefined
  /** Default `unknown`. */
  readonly licence?: string | undefined
  /** Default `und`, undetermined. */
  readonly languages?: readonly string[] | undefined
  /** Before a file is copied, or hashed where it is. */
  readonly onFile?: (file: { readonly path: string; readonly bytes: number }) => void
  readonly deps?: { readonly freeBytes?: (dir: string) => Promise<number> }
}

export interface Imported {
  readonly id: string
  readonly dir: string
  readonly folder: ModelFolder
  /** What was decided, and why, for whoever imports. */
  readonly notes: readonly string[]
}

/**
 * Makes a model of a folder as it is on a hub: copies its files (sharing blocks where the disk can), runs the graph a
 * few times to see what it takes and gives, and writes its manifest. A folder that has a manifest, or all files of a
 * known model of that id, is compared with that instead. A folder that is in its place already is not copied.
 * @throws CodedError INVALID_MODEL_ID, INVALID_MODEL_FOLDER, MODEL_EXISTS, MODEL_FILE_ALTERED, NO_POOLING,
 * UNSUPPORTED_POOLING, UNSUPPORTED_PRECISION, OTHER_TOKENIZER, INVALID_GRAPH, INVALID_TOKENIZER, DISK_TOO_SMALL,
 * MODELS_DIR_UNUSABLE
 */
export async function importModel(dir: string, options: ImportOptions): Promise<Imported> {
  const { modelsDir } = options
  const id = requireId(options.id)
  if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory()) {
    throw new CodedError('INVALID_MODEL_FOLDER', `There is no folder ${dir}`, { hint: 'Check the path' })
  }
  await mkdir(modelsDir, { recursive: true }).catch((error: unknown) => {
    throw unwritable(modelsDir, error)
  })
  const lock = await lockFolder(lockPath(modelsDir, id), {
    sleep: (ms) => setTimeout(ms),
    onWait: () => undefined,
  })
  try {
    return await importLocked(dir, options)
  } finally {
    await lock.release()
  }
}

/** @throws CodedError INVALID_MODEL_ID */
export function requireId(id: string): string {
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(id)) {
    throw new CodedError('INVALID_MODEL_ID', `"${id}" cannot be the id of a model`, {
      hint: 'Lower-case letters, digits, . _ and -, 64 at most, beginning with a letter or digit',
    })
  }
  return id
}

async function importLocked(dir: string, options: ImportOptions): Promise<Imported> {
  const { id, modelsDir } = options
  const target = join(modelsDir, id)
  const isInPlace = existsSync(target) && (await realpath(target)) === (await realpath(dir))
  if (existsSync(target) && !isInPlace) {
    throw new CodedError('MODEL_EXISTS', `There is a folder ${target} already`, {
      hint: 'Choose another id, or remove that folder first',
    })
  }
  const ready = readyManifest(dir, id)
  const described = ready === undefined ? await describe(dir, options) : undefined
  const paths = ready === undefined ? (described?.paths ?? []) : folderFiles(ready).map(({ path }) => path)
  const staging = join(modelsDir, `.${id}.import`)
  const place = isInPlace ? target : staging
  try {
    if (!isInPlace) await copyFiles(dir, staging, paths, options)
    const { folder, notes } =
      described === undefined
        ? await compared(place, ready)
        : await manifestOf(place, described, await hashed(place, paths, options), options)
    const checked = parseFolder(folder, `What was found in ${dir}`)
    if (isInPlace) await writeManifest(target, checked)
    else await placeFolder(staging, target, checked)
    return { id, dir: target, folder: checked, notes }
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

/**
 * The folder's own manifest, or that of the known model whose files it has; undefined when the id is nobody's.
 * @throws CodedError ID_TAKEN for other files under the id of a known model
 */
function readyManifest(dir: string, id: string): ModelFolder | undefined {
  if (existsSync(join(dir, MANIFEST_FILE))) return { ...readFolder(dir), id }
  const known = knownModels().get(id)
  if (known === undefined) return undefined
  const isWhole = folderFiles(known).every(
    ({ path, bytes }) => statSync(join(dir, path), { throwIfNoEntry: false })?.size === bytes,
  )
  if (isWhole) return known
  throw new CodedError('ID_TAKEN', `"${id}" is a known model, and these are not its files`, {
    hint: `Choose another id; millrace models pull ${id} fetches that model`,
  })
}

async function compared(
  place: string,
  folder: ModelFolder | undefined,
): Promise<Pick<Imported, 'folder' | 'notes'>> {
  if (folder === undefined) throw new RangeError('neither described nor ready')
  const bad = await checkFolder(place, folder)
  if (bad.length === 0) return { folder, notes: ['described by its manifest; every file as it should be'] }
  const files = bad.map(({ path, problem }) =>
    problem === 'missing' ? `${path} is missing` : `${path} is another file`,
  )
  throw new CodedError('MODEL_FILE_ALTERED', `The files are not those of the manifest: ${files.join(', ')}`, {
    hint: 'Copy the model again; without its manifest.json the folder is imported as it is',
    details: { files: bad },
  })
}

async function copyFiles(
  dir: string,
  staging: string,
  paths: readonly string[],
  { modelsDir, onFile, deps }: ImportOptions,
): Promise<void> {
  await rm(staging, { recursive: true, force: true })
  const files = await Promise.all(paths.map(async (path) => ({ path, bytes: await sizeOf(dir, path) })))
  const needed = files.reduce((sum, { bytes }) => sum + bytes, 0)
  await requireSpace(modelsDir, needed, deps?.freeBytes ?? freeBytes)
  for (const file of files) {
    onFile?.(file)
    const to = join(staging, file.path)
    await mkdir(dirname(to), { recursive: true })
    // Follows links, as those of a hub's cache, and shares blocks where the disk can.
    await copyFile(join(dir, file.path), to, constants.COPYFILE_FICLONE).catch((error: unknown) => {
      throw unwritable(to, error)
    })
  }
}

async function sizeOf(dir: string, path: string): Promise<number> {
  const found = await stat(join(dir, path)).catch(() => undefined)
  if (found !== undefined) return found.size
  throw new CodedError('INVALID_MODEL_FOLDER', `${dir} has no ${path}`, {
    hint: 'Copy the whole folder of the model, external data of its graph included',
  })
}

/** The files of a folder with their bytes and hashes. */
export async function hashed(
  place: string,
  paths: Described['paths'],
  { onFile }: ImportOptions,
): Promise<ModelFile[]> {
  const files: ModelFile[] = []
  for (const path of paths) {
    const bytes = await sizeOf(place, path)
    onFile?.({ path, bytes })
    files.push({ path, bytes, sha256: await sha256Of(join(place, path)) })
  }
  return files
}
