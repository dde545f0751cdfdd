import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { isRunning } from '@millrace/store/embedded/processes'
import { expect, onTestFinished } from 'vitest'

/** What `own.mjs` said: who it is and where its database listens, or why it has none. */
export interface Said {
  readonly pid: number
  readonly databasePid?: number
  readonly url?: string
  readonly code?: string
  readonly message?: string
}

const PROGRAM = fileURLToPath(new URL('./own.mjs', import.meta.url))

/** Starts a program that opens the folder's database; ended with the test. */
export async function startOwner(dataDir: string): Promise<Said & { readonly process: ChildProcess }> {
  const child = spawn(process.execPath, [PROGRAM, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return { ...(JSON.parse(line) as Said), process: child }
}

export async function expectEnded(pid: number | undefined, ms = 5_000): Promise<void> {
  expect(pid).toBeTypeOf('number')
  await expect.poll(() => isRunning({ pid: pid ?? 0 }), { timeout: ms, interval: 20 }).toBe(false)
}
