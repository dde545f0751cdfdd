import { CodedError } from '@millrace/errors'
import { type ModelPlaces, modelPlaces } from '@millrace/models/place'
import type { ClientOptions } from './client.js'

type Env = Readonly<Record<string, string | undefined>>

const DEFAULT_URL = 'http://127.0.0.1:8080'

/**
 * Where Millrace is, from MILLRACE_URL (default http://127.0.0.1:8080) and MILLRACE_API_KEY; levels are named in
 * the language of the terminal. An empty variable is one that is not set.
 * @throws CodedError SETTING_INVALID for a MILLRACE_URL that is not an http URL
 */
export function readEnvironment(env: Env): ClientOptions {
  const url = env.MILLRACE_URL || DEFAULT_URL
  const protocol = URL.canParse(url) ? new URL(url).protocol : undefined
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new CodedError('SETTING_INVALID', `MILLRACE_URL is "${url}", which is not an http URL`, {
      hint: `Write it like ${DEFAULT_URL}`,
    })
  }
  return { url, apiKey: env.MILLRACE_API_KEY || undefined, language: languageOf(env) }
}

/** Where models are, as for the server: MODELS_DIR, or DATA_DIR/models (DATA_DIR: default ./data). */
export const placesOf = ({ MODELS_DIR, DATA_DIR }: Env): ModelPlaces =>
  modelPlaces(MODELS_DIR || undefined, DATA_DIR || './data')

/** Chinese or else English. The first of these that is set decides, as for every program (POSIX, locale). */
export function languageOf({ LC_ALL, LC_MESSAGES, LANG }: Env): 'zh' | 'en' {
  const locale = LC_ALL || LC_MESSAGES || LANG || ''
  return /^zh/i.test(locale) ? 'zh' : 'en'
}
