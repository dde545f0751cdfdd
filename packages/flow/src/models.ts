import { statSync } from 'node:fs'
import { join } from 'node:path'
import { checkProvider, type Engine, openEngine, requireEmbedder } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { isExternal } from './external.js'
import type { Log } from './log.js'
import type { Recipe } from './recipe.js'
import type { Settings } from './settings.js'

/**
 * The engine as the settings want it.
 * @throws CodedError PROVIDER_UNAVAILABLE, MODELS_DIR_MISSING, INVALID_MANIFEST
 */
export async function startEngine(settings: Settings, log: Log): Promise<Engine> {
  await checkProvider(settings.provider)
  return openEngine({ ...settings, log })
}

/**
 * Why a domain's model may not be used for it any more: its files are of another revision than the vectors that are
 * there, and those of two do not compare. Undefined when all is well.
 * @throws CodedError UNKNOWN_MODEL
 */
export function modelChanged(
  engine: Pick<Engine, 'manifest'>,
  { model, revision }: Pick<Recipe, 'model' | 'revision'>,
): CodedError | undefined {
  // Whoever brings vectors sees to it that they compare.
  if (isExternal({ model })) return undefined
  const now = engine.manifest(model).revision
  if (now === revision) return undefined
  return new CodedError(
    'MODEL_CHANGED',
    `The vectors were made with revision ${revision} of ${model}; the model that is here is revision ${now}`,
    { hint: 'Put the old files back, or build another generation of the domain with those that are here' },
  )
}

/** @throws CodedError MODEL_CHANGED, UNKNOWN_MODEL */
export function requireSameModel(
  engine: Pick<Engine, 'manifest'>,
  recipe: Pick<Recipe, 'model' | 'revision'>,
): void {
  const changed = modelChanged(engine, recipe)
  if (changed !== undefined) throw changed
}

/**
 * The model of a domain that names none: the setting's, else bge-m3 when its files are there, else
 * bge-small-zh-v1.5.
 * @throws CodedError UNKNOWN_MODEL when that one is not there, NOT_AN_EMBEDDER when it reranks
 */
export function chooseModel(engine: Engine, wanted: string | undefined): string {
  const chosen = engine.manifest(wanted ?? (isThere(engine, 'bge-m3') ? 'bge-m3' : 'bge-small-zh-v1.5'))
  requireEmbedder(chosen)
  return chosen.id
}

/** Whether a model is there with every file in its size: a manifest alone, or half a copy, would fail at its load. */
function isThere(engine: Engine, id: string): boolean {
  if (!engine.models().some((model) => model.id === id)) return false
  const dir = engine.dir(id)
  return engine
    .manifest(id)
    .files.every(({ path, bytes }) => statSync(join(dir, path), { throwIfNoEntry: false })?.size === bytes)
}
