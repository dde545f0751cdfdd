import { mkdir, open, readdir, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { folderFiles, MANIFEST_FILE, type ModelFolder } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { unwritable } from './pull/part.js'

/** Bytes that this user can still write where the folder is. */
export async function freeBytes(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir)
  return bavail * bsize
}

/**
 * @param needed bytes that will be written
 * @throws CodedError DISK_TOO_SMALL
 */
export async function requireSpace(
  dir: string,
  needed: number,
  free: (dir: string) => Promise<number>,
): Promise<void> {
  const has = await free(dir)
  if (needed <= has) return
  throw new CodedError('DISK_TOO_SMALL', `${dir} has room for ${has} bytes, ${needed} are needed`, {
    hint: 'Make room, or choose another disk with MODELS_DIR',
    details: { free: has, needed },
  })
}

/** Where a model is gathered until it is whole: hidden, so that nobody takes it for one. */
export const stagingDir = (modelsDir: string, id: string): string => join(modelsDir, `.${id}.partial`)
export const lockPath = (modelsDir: string, id: string): string => join(modelsDir, `.${id}.lock`)

/** The manifest of a folder, written whole or not at all. */
export async function writeManifest(dir: string, folder: ModelFolder): Promise<void> {
  const path = join(dir, MANIFEST_FILE)
  const draft = `${path}.partial`
  try {
    await writeFile(draft, `${JSON.stringify(folder, null, 2)}\n`, { flush: true })
    await rename(draft, path)
  } catch (error) {
    throw unwritable(path, error)
  }
}

/** Makes folder of complete files the model's: its manifest first, then its name, in one step. */
export async function placeFolder(staging: string, target: string, folder: ModelFolder): Promise<void> {
  await removeStrangers(staging, folder)
  await writeManifest(staging, folder)
  await syncDir(staging)
  await rename(staging, target).catch((error: unknown) => {
    throw unwritable(target, error)
  })
  await syncDir(dirname(target))
}

/** Moves complete files into a folder that is there already, one by one, then its manifest; `staging` goes. */
export async function placeFiles(staging: string, target: string, folder: ModelFolder): Promise<void> {
  const wanted = new Set(folderFiles(folder).map(({ path }) => path))
  for (const path of await filesBelow(staging)) {
    if (!wanted.has(path)) continue
    await mkdir(dirname(join(target, path)), { recursive: true })
    await rename(join(staging, path), join(target, path)).catch((error: unknown) => {
      throw unwritable(join(target, path), error)
    })
  }
  await writeManifest(target, folder)
  await syncDir(target)
  await rm(staging, { recursive: true, force: true })
}

/** What an earlier try for other files has left. */
async function removeStrangers(staging: string, folder: ModelFolder): Promise<void> {
  const wanted = new Set(folderFiles(folder).map(({ path }) => path))
  for (const path of await filesBelow(staging)) if (!wanted.has(path)) await rm(join(staging, path))
}

/** Relative, with slashes. */
export async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)).split(sep).join('/'))
}

/** A name is on the disk when its folder is. Not every system lets a folder be opened. */
async function syncDir(dir: string): Promise<void> {
  const handle = await open(dir, 'r').catch(() => undefined)
  await handle?.sync().catch(() => undefined)
  await handle?.close()
}
