import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's models/, as seen from the compiled file. */
const REPO_MODELS = fileURLToPath(new URL('../../../models/', import.meta.url))

export interface ModelPlaces {
  /** Where a model that is pulled or imported goes; it need not be there yet. */
  readonly target: string
  /** Where models are looked for; the first folder with an id wins. */
  readonly dirs: readonly string[]
}

/**
 * Where models are: in `modelsDir`, or without one in `dataDir`/models if there is such a folder; and in the
 * repository.
 */
export function modelPlaces(modelsDir: string | undefined, dataDir: string): ModelPlaces {
  if (modelsDir !== undefined) {
    // Named by somebody: when it is missing, a start says so.
    return { target: resolve(modelsDir), dirs: [resolve(modelsDir), REPO_MODELS] }
  }
  const target = join(resolve(dataDir), 'models')
  return { target, dirs: existsSync(target) ? [target, REPO_MODELS] : [REPO_MODELS] }
}
