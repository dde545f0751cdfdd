import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '@millrace/flow'

export interface Loop {
  /** Ends it and waits for the pass that is running. */
  stop(): Promise<void>
}

/** Runs `pass` now and again after `everyMs`; an error is logged and the loop goes on. */
export function every(everyMs: number, log: Log, name: string, pass: () => Promise<unknown>): Loop {
  const stopped = new AbortController()
  const run = async () => {
    while (!stopped.signal.aborted) {
      await pass().catch((error: unknown) => log.warn({ err: error }, `${name} broke off, it goes on`))
      await sleep(everyMs, undefined, { signal: stopped.signal }).catch(() => undefined)
    }
  }
  const running = run()
  return {
    stop: () => {
      stopped.abort()
      return running
    },
  }
}

/**
 * Runs `pass` when asked to, one at a time; being asked while it runs makes it run once more, however often.
 * Resolves when a pass that began after the call has ended.
 */
export function coalesce(pass: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  const start = (): Promise<void> => {
    running = pass().finally(() => {
      running = undefined
    })
    return running
  }
  return () => {
    if (running === undefined) return start()
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = undefined
        return start()
      })
    return next
  }
}
