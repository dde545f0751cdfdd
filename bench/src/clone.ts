import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Figure, figure } from './figure.js'
import { ROOT } from './place.js'

const run = promisify(execFile)

/** What a stranger waits for: from a clean clone of what is committed to the demo's last answer. */
export async function benchClone(): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-clone-'))
  try {
    const started = performance.now()
    await run('git', ['clone', '--quiet', ROOT, folder])
    const cloned = performance.now()
    const { stdout } = await run('npm', ['run', '--silent', 'demo', '--', '--once'], { cwd: folder })
    const seconds = (performance.now() - started) / 1_000
    const last: { readonly seconds: number } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}')
    return [
      figure('clean clone to the end of the demo', seconds, 's'),
      figure('of that, git clone', (cloned - started) / 1_000, 's'),
      figure('of that, the demo itself', last.seconds, 's'),
    ]
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
