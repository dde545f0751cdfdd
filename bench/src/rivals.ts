import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { ROOT } from './place.js'

const run = promisify(execFile)

/** Where what the bench compares with is installed, so that who only uses the repository does not download it. */
const RIVALS = join(ROOT, 'bench', 'rivals')
const INSTALLED = join(RIVALS, 'node_modules', '.millrace-installed')

/** Installs the rivals when their lock file is not the one of the last time. @returns their folder */
export async function openRivals(): Promise<string> {
  const lock = await readFile(join(RIVALS, 'package-lock.json'))
  const hash = createHash('sha256').update(lock).digest('hex')
  if ((await readFile(INSTALLED, 'utf8').catch(() => '')) !== hash) {
    process.stderr.write('Installing what is compared with…\n')
    await run('npm', ['ci'], { cwd: RIVALS })
    await writeFile(INSTALLED, hash)
  }
  return RIVALS
}

/**
 * A module of the rivals' folder; they are installed first when they are not there.
 * @typeParam T what of it is used; nothing checks that it is so
 */
export async function importRival<T>(file: string): Promise<T> {
  return import(pathToFileURL(join(await openRivals(), file)).href)
}
