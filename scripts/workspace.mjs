// What the README's commands share: an install and a build when they are due. Node alone runs this.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stamp = join(root, 'node_modules', '.millrace-installed')

/** Runs a program in the repository's root; stops this one with its exit code when it fails. */
export function run(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options })
  if (done.error) throw done.error
  if (done.status !== 0) {
    if (options.stdio === 'pipe') process.stderr.write(`${done.stdout ?? ''}${done.stderr ?? ''}`)
    process.exit(done.status ?? 1)
  }
}

function npm(args) {
  const script = process.env.npm_execpath
  const options = { cwd: root, stdio: ['ignore', 2, 2] }
  if (script?.endsWith('.js')) return spawnSync(process.execPath, [script, ...args], options)
  return spawnSync(process.platform === 'win32' ? 'npm.cmd' : 'npm', args, options)
}

/** Installs from the lock file when it has changed since the last install, or never was. */
export function install() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  process.stderr.write('Installing dependencies…\n')
  // What npm already has is taken without asking whether there is news: the lock file names each package with its
  // hash. Where npm last looked before a package was published, it has to ask after all.
  if (npm(['ci', '--prefer-offline']).status !== 0) {
    process.stderr.write('Once more, with a look at the registry…\n')
    const done = npm(['ci'])
    if (done.error) throw done.error
    if (done.status !== 0) process.exit(done.status ?? 1)
  }
  writeFileSync(stamp, lock)
}

/** Compiles what has changed. */
export function build() {
  const turbo = join(root, 'node_modules', 'turbo', 'bin', 'turbo')
  run(process.execPath, [turbo, 'run', 'build', '--output-logs=errors-only', '--no-update-notifier'], {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' },
  })
}
