import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { CodedError, messageOf } from '@millrace/errors'
import { MANIFEST_FILE, type ModelManifest, readManifest } from './manifest.js'

/** A model as found on the disk. */
export interface FoundModel {
  readonly dir: string
  readonly manifest: ModelManifest
}

/**
 * The models in these folders by id: every subfolder with a `manifest.json` is one. Of several with one id the
 * first folder's counts.
 * @throws CodedError MODELS_DIR_MISSING, INVALID_MANIFEST
 */
export function findModels(modelDirs: readonly string[]): Map<string, FoundModel> {
  const found = new Map<string, FoundModel>()
  for (const modelsDir of modelDirs) {
    for (const name of list(modelsDir)) {
      const dir = join(modelsDir, name)
      if (!existsSync(join(dir, MANIFEST_FILE))) continue
      const manifest = readManifest(dir)
      if (!found.has(manifest.id)) found.set(manifest.id, { dir, manifest })
    }
  }
  return found
}

/** In the same order everywhere. */
function list(modelsDir: string): string[] {
  try {
    return readdirSync(modelsDir).sort()
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
  const there = models.size === 0 ? 'there are none' : `there are ${[...models.keys()].join(', ')}`
  throw new CodedError('UNKNOWN_MODEL', `There is no model "${id}": ${there}`, {
    hint: 'Choose one of them, or put the folder of the model beside theirs',
  })
}
