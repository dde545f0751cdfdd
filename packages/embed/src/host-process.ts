import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { StartInference } from './host.js'
import type { FromThread, ToThread } from './protocol.js'

/** What the process is told first. */
export interface StartMessage {
  readonly type: 'start'
  readonly data: Parameters<StartInference>[0]
}

const ENTRY = fileURLToPath(new URL('./process.js', import.meta.url))

/**
 * Runs models in a process of its own. Whatever happens there, a crash in native code or the kernel's
 * out-of-memory killer, happens to it alone. It ends when this process does, however this one ends: its channel
 * closes.
 */
export const startProcess: StartInference = (data, events) => {
  const child = fork(ENTRY, [], {
    serialization: 'advanced', // typed arrays as they are, not as JSON
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // A group of its own: Ctrl+C at a terminal is for the host, which ends this one in order.
    detached: process.platform !== 'win32',
  })
  let cause: unknown
  let isGone = false
  // A message to a process that has just died is not delivered; its exit says so.
  const send = (message: StartMessage | ToThread) => {
    if (child.connected) child.send(message, () => undefined)
  }
  child.on('message', (message) => events.message(message as FromThread))
  child.on('error', (error) => {
    cause = error
  })
  const gone = Promise.race([once(child, 'exit'), once(child, 'error').then(() => [null, null])]).then(
    ([code, signal]: (number | string | null)[]) => {
      isGone = true
      events.exit(
        cause ?? new Error(`its process ended ${signal ? `by ${signal}` : `with exit code ${code}`}`),
      )
    },
  )
  const hold = (isBusy: boolean) => {
    if (isGone) return
    if (isBusy) {
      child.ref()
      child.channel?.ref()
    } else {
      child.unref()
      child.channel?.unref()
    }
  }
  send({ type: 'start', data })
  hold(false)
  return {
    pid: child.pid,
    post: send,
    hold,
    stop: async (graceMs) => {
      hold(true)
      send({ type: 'close' })
      const force = setTimeout(() => child.kill('SIGKILL'), graceMs)
      await gone
      clearTimeout(force)
    },
  }
}
