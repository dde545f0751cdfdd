import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('../bin/millrace.js', import.meta.url))

/** What a user sees of a command that has ended. */
export interface Ended {
  readonly code: number | string
  readonly out: string
  readonly err: string
}

/** Runs the program as a process of its own, with an English terminal unless `env` says otherwise. `input`: what is piped into it. */
export const millrace = (
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  input = '',
): Promise<Ended> =>
  new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [PROGRAM, ...args],
      { maxBuffer: 1 << 26, env: { PATH: process.env.PATH, LANG: 'en_US.UTF-8', ...env } },
      (error, out, err) => resolve({ code: error === null ? 0 : (error.code ?? 'killed'), out, err }),
    )
    // It may not want it.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
  })
