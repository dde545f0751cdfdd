import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type LocalManifest, readManifest } from '@millrace/embed'

/** The models of this repository. */
export const MODELS_DIR = fileURLToPath(new URL('../../../models/', import.meta.url))
export const MINILM = 'all-minilm-l6-v2'
export const BGE_ZH = 'bge-small-zh-v1.5'

const ROOT = new URL('../../../', import.meta.url)
const SHARED = new URL(`${process.env.MILLRACE_SHARED ?? '../shared'}/`, ROOT)

/**
 * A file of the development data beside the repository, undefined where that is not there: what needs it is
 * said and skipped, and on CI fails.
 */
export function sharedFile(path: string, what: string): string | undefined {
  const file = fileURLToPath(new URL(path, SHARED))
  if (existsSync(file)) return file
  if (process.env.CI === 'true') throw new Error(`${what} needs ${file}: set MILLRACE_SHARED`)
  console.log(`did not run: ${what} (no ${file}; MILLRACE_SHARED names the folder)`)
  return undefined
}

const WORDS =
  'the letter of your last order was sent to this address and can be paid by card within fourteen days ' +
  'unless another date was agreed with our service in which case please answer the message you received'

/** An English text of this many words; each `seed` gives another one. */
export function prose(words: number, seed = 0): string {
  const all = WORDS.split(' ')
  return Array.from({ length: words }, (_, i) => all[(i * (seed + 1) + seed * 7) % all.length] ?? '').join(
    ' ',
  )
}

/** The default variant of a model that runs here. */
export function localManifest(dir: string): LocalManifest {
  const manifest = readManifest(dir)
  if (manifest.remote === undefined) return manifest
  throw new Error(`${manifest.id} is computed elsewhere`)
}
