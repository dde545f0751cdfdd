import { statSync } from 'node:fs'
import { join } from 'node:path'
import { checkProvider, type Engine, openEngine } from '@millrace/embed'
import type { Log } from './log.js'
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
 * The model of a domain that names none: the setting's, else bge-m3 when its files are there, else
 * bge-small-zh-v1.5.
 * @throws CodedError UNKNOWN_MODEL when that one is not there
 */
export function chooseModel(engine: Engine, wanted: string | undefined): string {
  return engine.manifest(wanted ?? (isThere(engine, 'bge-m3') ? 'bge-m3' : 'bge-small-zh-v1.5')).id
}

/** Whether a model is there with every file in its size: a manifest alone, or half a copy, would fail at its load. */
function isThere(engine: Engine, id: string): boolean {
  if (!engine.models().some((model) => model.id === id)) return false
  const dir = engine.dir(id)
  return engine
    .manifest(id)
    .files.every(({ path, bytes }) => statSync(join(dir, path), { throwIfNoEntry: false })?.size === bytes)
}
