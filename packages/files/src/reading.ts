import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { messageOf } from '@millrace/errors'
import type { SourceFile } from './contract.js'
import type { Limits } from './limits.js'
import { type Answer, type Job, MEMORY_WORD } from './protocol.js'

/** How the reading of one file ended. After the last kinds the process is gone; `said` is its standard error's end. */
export type Outcome =
  | Answer
  | { readonly type: 'timeout' | 'memory' | 'died'; readonly how: string; readonly said: string }

/** A process that reads one file after the other. */
export interface Reading {
  readonly pid: number | undefined
  readonly read: (file: SourceFile) => Promise<Outcome>
  /** Kills it, and is fulfilled when it is gone. */
  readonly stop: () => Promise<void>
}

const ENTRY = fileURLToPath(new URL('./child.js', import.meta.url))
const STDERR_KEPT = 4096

/** The heap may have most of what the process may: buffers and code are beside it. */
const heapMib = (limits: Limits): number => Math.max(32, Math.floor((limits.memoryBytes * 0.75) / 2 ** 20))

/** Starts a process that reads files. It knows none of our settings, and what it prints is kept for its end. */
export function startReading(limits: Limits): Reading {
  const child = fork(ENTRY, [], {
    serialization: 'advanced', // bytes as they are, not as base64
    execArgv: [`--max-old-space-size=${heapMib(limits)}`],
    env: environment(),
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    detached: process.platform !== 'win32',
  })
  let said = ''
  let isTimeUp = false
  let isGone = false
  let answered: ((outcome: Outcome) => void) | null = null
  const settle = (outcome: Outcome) => {
    const settled = answered
    answered = null
    settled?.(outcome)
  }
  const hold = (isBusy: boolean) => {
    if (isBusy) {
      child.ref()
      child.channel?.ref()
    } else {
      child.unref()
      child.channel?.unref()
    }
  }
  const gone = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      settle({ type: 'died', how: messageOf(error), said })
      if (child.pid === undefined) resolve() // it never started
    })
    // Not `exit`: what it said last may come after that.
    child.once('close', (code, signal) => {
      settle(outcomeOf(said, isTimeUp, signal ?? `exit code ${code}`))
      isGone = true
      resolve()
    })
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-STDERR_KEPT)
  })
  // A pipe is a socket; unheld, it must not keep this process alive either.
  if (child.stderr !== null && 'unref' in child.stderr) (child.stderr as { unref: () => void }).unref()
  child.on('message', (message) => settle(message as Answer))
  hold(false)

  return {
    pid: child.pid,
    read: async (file) => {
      if (isGone) return { type: 'died', how: 'it was gone before', said }
      hold(true)
      const timer = setTimeout(() => {
        isTimeUp = true
        child.kill('SIGKILL')
      }, limits.timeMs)
      try {
        return await new Promise<Outcome>((resolve) => {
          answered = resolve
          const job: Job = { file: { name: file.name, mediaType: file.mediaType, bytes: file.bytes }, limits }
          // One that has just died is not reached; its end says so.
          if (child.connected) child.send(job, () => undefined)
        })
      } finally {
        clearTimeout(timer)
        if (!isGone) hold(false)
      }
    },
    stop: async () => {
      if (!isGone) hold(true)
      child.kill('SIGKILL')
      await gone
    },
  }
}

/** What Node itself may need to start, and nothing else: no passwords, no NODE_OPTIONS. */
function environment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'LD_LIBRARY_PATH', 'SystemRoot'].flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return { ...Object.fromEntries(kept), TZ: 'UTC' }
}

/** Why it ended: killed for its time, ended by its watch or by V8 for its memory, or something else. */
function outcomeOf(said: string, isTimeUp: boolean, how: string): Outcome {
  if (isTimeUp) return { type: 'timeout', how, said }
  if (said.includes(MEMORY_WORD) || /heap out of memory|allocation failed/i.test(said)) {
    return { type: 'memory', how, said }
  }
  return { type: 'died', how, said }
}
