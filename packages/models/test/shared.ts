import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const ROOT = new URL('../../../', import.meta.url)
const SHARED = new URL(`${process.env.MILLRACE_SHARED ?? '../shared'}/`, ROOT)

/** The models of this repository. */
export const MODELS_DIR = fileURLToPath(new URL('models/', ROOT))

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
