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

/** Installs from the lock file when it has changed since the last install, or never was. */
export function install() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  process.stderr.write('Installing dependencies…\n')
  const npm = process.env.npm_execpath
  if (npm?.endsWith('.js')) run(process.execPath, [npm, 'ci'], { stdio: ['ignore', 2, 2] })
  else run(process.platform === 'win32' ? 'npm.cmd' : 'npm', ['ci'], { stdio: ['ignore', 2, 2] })
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
