import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Env } from '@millrace/flow'
import { ROOT } from './place.js'

export interface Program {
  readonly pid: number
  /** A field of the first log line with this message. */
  logged(message: string, field: string): Promise<string>
  stop(): Promise<void>
}

/** One of the programs in a process of its own, as in production. */
export function startProgram(path: string, env: Env): Program {
  const child = spawn(process.execPath, [`${ROOT}${path}`], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = once(child, 'exit')
  const entries: Readonly<Record<string, unknown>>[] = []
  const wake = new Set<() => void>()
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (!line.startsWith('{')) return
    const entry: Readonly<Record<string, unknown>> = JSON.parse(line)
    if (Number(entry.level) >= 40) process.stderr.write(`${line}\n`)
    entries.push(entry)
    for (const look of wake) look()
  })
  return {
    pid: child.pid ?? 0,
    logged: (message, field) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = entries.find((entry) => entry.msg === message)
          if (found === undefined) return
          wake.delete(look)
          resolve(String(found[field]))
        }
        wake.add(look)
        look()
        void ended.then(() => reject(new Error(`${path} ended before it said "${message}"`)))
      }),
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}
