import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { CodedError, messageOf } from '@millrace/errors'
import {
  type LocalManifest,
  MANIFEST_FILE,
  type ModelFolder,
  type ModelManifest,
  type RemoteManifest,
  readFolder,
  variantsOf,
} from './manifest.js'

/** A variant of a model as found on the disk. */
export interface FoundModel<Manifest extends ModelManifest = ModelManifest> {
  readonly dir: string
  readonly manifest: Manifest
}

export interface FoundFolder {
  readonly dir: string
  readonly folder: ModelFolder
}

/**
 * The model folders in these folders by id: every subfolder with a `manifest.json` is one. Of several with one id
 * the first folder's counts.
 * @param onBroken is told of a manifest that cannot be read, and the others are found; without it that is an error
 * @throws CodedError MODELS_DIR_MISSING, INVALID_MANIFEST
 */
export function findFolders(
  modelDirs: readonly string[],
  onBroken?: (dir: string, error: CodedError) => void,
): Map<string, FoundFolder> {
  const found = new Map<string, FoundFolder>()
  for (const modelsDir of modelDirs) {
    for (const name of list(modelsDir)) {
      const dir = join(modelsDir, name)
      if (!existsSync(join(dir, MANIFEST_FILE))) continue
      const folder = readOr(dir, onBroken)
      if (folder !== undefined && !found.has(folder.id)) found.set(folder.id, { dir, folder })
    }
  }
  return found
}

function readOr(
  dir: string,
  onBroken: ((dir: string, error: CodedError) => void) | undefined,
): ModelFolder | undefined {
  try {
    return readFolder(dir)
  } catch (error) {
    if (onBroken === undefined || !(error instanceof CodedError)) throw error
    onBroken(dir, error)
    return undefined
  }
}

/**
 * The models in these folders by the id they are asked for with: a folder's id for its default variant,
 * `id@precision` for each, the default one too.
 * @throws CodedError MODELS_DIR_MISSING, INVALID_MANIFEST
 */
export function findModels(modelDirs: readonly string[]): Map<string, FoundModel> {
  const found = new Map<string, FoundModel>()
  for (const { dir, folder } of findFolders(modelDirs).values()) {
    for (const manifest of variantsOf(folder)) {
      found.set(manifest.id, { dir, manifest })
      found.set(`${folder.id}@${manifest.precision}`, { dir, manifest })
    }
  }
  return found
}

/** In the same order everywhere. Hidden ones are on their way: a download that is not complete, for instance. */
function list(modelsDir: string): string[] {
  try {
    return readdirSync(modelsDir)
      .filter((name) => !name.startsWith('.'))
      .sort()
  } catch (error) {
    throw new CodedError('MODELS_DIR_MISSING', `Cannot read the folder of models: ${messageOf(error)}`, {
      hint: 'Name a folder that holds one folder a model',
      cause: error,
    })
  }
}

/** @throws CodedError UNKNOWN_MODEL, naming those that are there */
export function modelOf(models: ReadonlyMap<string, FoundModel>, id: string): FoundModel {
  const model = models.get(id)
  if (model !== undefined) return model
  const ids = [...new Set([...models.values()].map(({ manifest }) => manifest.id))]
  const there = ids.length === 0 ? 'there are none' : `there are ${ids.join(', ')}`
  throw new CodedError('UNKNOWN_MODEL', `There is no model "${id}": ${there}`, {
    hint: `Choose one of them, or fetch it: millrace models pull ${id}; a folder of your own goes beside theirs`,
  })
}

/** A model with a graph. @throws CodedError UNKNOWN_MODEL; INTERNAL when its vectors are computed elsewhere */
export function localOf(models: ReadonlyMap<string, FoundModel>, id: string): FoundModel<LocalManifest> {
  const { dir, manifest } = modelOf(models, id)
  if (manifest.remote === undefined) return { dir, manifest }
  throw new CodedError('INTERNAL', `The model ${id} is computed elsewhere: it has no graph to load`)
}

/** A model whose vectors a server computes, undefined when it has a graph. @throws CodedError UNKNOWN_MODEL */
export function remoteOf(
  models: ReadonlyMap<string, FoundModel>,
  id: string,
): FoundModel<RemoteManifest> | undefined {
  const { dir, manifest } = modelOf(models, id)
  return manifest.remote === undefined ? undefined : { dir, manifest }
}
