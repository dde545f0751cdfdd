import { access, mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Long enough for a loaded machine. */
const WAIT_MS = 90_000

/**
 * A data folder as a first start leaves it, migrated, and closed: to be copied. A first start takes seconds of
 * one core, so the first file of a run that wants one makes it, and the others wait for it.
 */
export async function madeDataDir(): Promise<string> {
  const root = process.env.TEST_MADE_ONCE
  if (root === undefined) throw new Error('TEST_MADE_ONCE is not set: test/support/setup.ts did not run')
  const made = join(root, 'data')
  if (await isFirst(join(root, 'begun'))) await make(join(root, 'new'), made)
  const end = Date.now() + WAIT_MS
  while (!(await exists(made))) {
    if (Date.now() > end) throw new Error(`Nobody made ${made} within ${WAIT_MS} ms`)
    await sleep(50)
  }
  return made
}

async function make(dir: string, made: string): Promise<void> {
  const { openBackends, openLog, readSettings } = await import('@millrace/flow')
  const settings = readSettings({ DATA_DIR: dir, LOG_LEVEL: 'silent' })
  const backends = await openBackends(settings, openLog(settings.logLevel, 'test'))
  await backends.close()
  await rename(dir, made)
}

const isFirst = (mark: string): Promise<boolean> =>
  mkdir(mark).then(
    () => true,
    () => false,
  )

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
