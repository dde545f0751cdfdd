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
  const hasM3 = engine.models().some((model) => model.id === 'bge-m3')
  return engine.manifest(wanted ?? (hasM3 ? 'bge-m3' : 'bge-small-zh-v1.5')).id
}
