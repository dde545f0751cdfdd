import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { CodedError } from '@millrace/errors'
import type { ChildMessage, OpenMessage, ParentMessage } from './ipc.js'

/** A database's process that accepts connections. */
export interface DatabaseProcess {
  readonly pid: number
  readonly port: number
  /** Resolves, with a word on how, when the process is no more. */
  readonly ended: Promise<string>
  /** Asks it to end and waits; kills it when that takes longer than `ms`. */
  stop(ms: number): Promise<void>
}

const ENTRY = fileURLToPath(new URL('./child.js', import.meta.url))

/** Of the parent's own flags, how V8 compiles Postgres is the child's too; a debugger's port is not. */
const isOfWasm = (flag: string): boolean => /^--(liftoff|wasm|no-liftoff|no-wasm)-/.test(flag)

/**
 * Starts a process that opens and serves a database. `onPid` is awaited before the folder is touched. Throws what
 * the process says (DATA_DIR_UNUSABLE, EADDRINUSE), or DATABASE_GONE when it ends without a word.
 */
export async function startProcess(
  open: OpenMessage,
  onPid: (pid: number) => Promise<void>,
  onLine: (line: string) => void,
): Promise<DatabaseProcess> {
  // Its stdout would mix with the parent's.
  const child = fork(ENTRY, {
    execArgv: process.execArgv.filter(isOfWasm),
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => onLine(text.trimEnd()))
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
    child.once('error', (error) => resolve(error.message))
  })
  try {
    const pid = child.pid
    if (pid === undefined)
      throw new CodedError('DATABASE_GONE', `The database's process did not start: ${await ended}`)
    await onPid(pid)
    const ready = answer(child, ended)
    say(child, open)
    return { pid, port: await ready, ended, stop: (ms) => stop(child, ended, ms) }
  } catch (error) {
    child.kill('SIGKILL')
    await ended
    throw error
  }
}

async function answer(child: ChildProcess, ended: Promise<string>): Promise<number> {
  const silent = ended.then((how) => {
    throw new CodedError('DATABASE_GONE', `The database's process ended before it was ready: ${how}`)
  })
  const [message] = (await Promise.race([once(child, 'message'), silent])) as [ChildMessage]
  if (message.type === 'ready') return message.port
  throw new CodedError(
    message.code,
    message.message,
    message.hint === undefined ? {} : { hint: message.hint },
  )
}

async function stop(child: ChildProcess, ended: Promise<string>, ms: number): Promise<void> {
  const timer = setTimeout(() => child.kill('SIGKILL'), ms)
  say(child, { type: 'close' })
  await ended
  clearTimeout(timer)
}

/** A process that is just ending cannot be told anything; that it ended is seen elsewhere. */
function say(child: ChildProcess, message: ParentMessage): void {
  if (child.connected) child.send(message, () => undefined)
}
