import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { folderFiles, type ModelFolder, readFolder } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { placeFiles, placeFolder, stagingDir } from '../folder.js'
import { asOnlyOne, gather, OWN_DEPS, type PullOptions } from './gather.js'

export interface Pulled {
  readonly id: string
  readonly dir: string
  /** Files that were fetched, wholly or the rest of them; the others were there. */
  readonly fetched: readonly string[]
  /** What came over the network, in bytes. */
  readonly bytes: number
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
  const { id, hub: place } = folder
  if (place === null) {
    throw new CodedError('MODEL_NOT_ON_HUB', `No hub is known that has ${id}`, {
      hint: 'Copy its folder from where it is, then run: millrace models verify',
    })
  }
  const deps = { ...OWN_DEPS, ...options.deps }
  return asOnlyOne(id, options, deps, async (locked) => {
    const target = join(options.modelsDir, id)
    const staging = stagingDir(options.modelsDir, id)
    const gathered = await gather(folderFiles(folder), place, { staging, others: [target] }, locked, deps)
    if (existsSync(target)) await placeFiles(staging, target, manifestFor(target, folder))
    else await placeFolder(staging, target, folder)
    return { id, dir: target, ...gathered }
  })
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
