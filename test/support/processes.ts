import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Env } from '@millrace/flow'
import { TEST_ENV } from './world.js'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** What vitest.config.ts says of the embedded database holds in programs too. */
const QUICK_DATABASE = process.execArgv.filter((flag) => flag === '--liftoff-only')

/** One of our programs in a process of its own, as a person would start it. */
export interface Program {
  readonly process: ChildProcess
  /** Waits for a log line with this message and returns it. */
  logged(message: string): Promise<Readonly<Record<string, unknown>>>
  /** Resolves to exit code or signal. */
  readonly ended: Promise<number | string>
  kill(signal: NodeJS.Signals): Promise<void>
  readonly lines: readonly string[]
}

export function startProgram(path: string, env: Env, args: readonly string[] = []): Program {
  const child = spawn(process.execPath, [...QUICK_DATABASE, `${ROOT}${path}`, ...args], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...TEST_ENV, LOG_LEVEL: 'info', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  const waiting: { message: string; resolve: (line: Readonly<Record<string, unknown>>) => void }[] = []
  const seen: Readonly<Record<string, unknown>>[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  createInterface({ input: child.stderr }).on('line', (line) => {
    lines.push(line)
    const entry = parse(line)
    if (entry === undefined) return
    seen.push(entry)
    for (const one of waiting) if (one.message === entry.msg) one.resolve(entry)
  })
  const ended = once(child, 'exit').then(
    ([code, signal]: (number | string | null)[]) => code ?? signal ?? 'unknown',
  )
  return {
    process: child,
    lines,
    ended,
    logged: (message) => {
      const before = seen.find((entry) => entry.msg === message)
      if (before !== undefined) return Promise.resolve(before)
      return Promise.race([
        new Promise<Readonly<Record<string, unknown>>>((resolve) => waiting.push({ message, resolve })),
        ended.then((how) => {
          throw new Error(`${path} ended (${how}) before it said "${message}":\n${lines.join('\n')}`)
        }),
      ])
    },
    kill: async (signal) => {
      child.kill(signal)
      await ended
    },
  }
}

function parse(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return JSON.parse(line) as Readonly<Record<string, unknown>>
  } catch {
    return undefined
  }
}
