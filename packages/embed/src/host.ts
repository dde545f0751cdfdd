import { Worker } from 'node:worker_threads'
import type { FromThread, ThreadData, ToThread } from './protocol.js'

/** The thread or process that runs models, as its host sees it. */
export interface InferenceHost {
  /** Its process; undefined when it could not be started. */
  readonly pid: number | undefined
  post(message: ToThread): void
  /** Whether the process must stay for it. */
  hold(isBusy: boolean): void
  /** Ends it: after the pass that is running, and its sessions are released; by force after `graceMs`. */
  stop(graceMs: number): Promise<void>
}

export interface InferenceEvents {
  message(message: FromThread): void
  /** It is gone; `error` says why, where it said so. Always the last event. */
  exit(error: unknown): void
}

/** A crash in native code ends a process of its own alone; with a thread it ends everything. */
export type Isolation = 'process' | 'thread'

export type StartInference = (data: ThreadData, events: InferenceEvents) => InferenceHost

/** Starts a thread that runs models: onnxruntime blocks the thread it is called in. */
export const startThread: StartInference = (data, events) => {
  // The process's own flags (--eval, --input-type, loaders) are not for a compiled file.
  const worker = new Worker(new URL('./thread.js', import.meta.url), { workerData: data, execArgv: [] })
  let cause: unknown
  worker.on('message', events.message)
  worker.on('error', (error) => {
    cause = error
  })
  const gone = new Promise<void>((resolve) => {
    worker.once('exit', (code) => {
      events.exit(cause ?? new Error(`the thread ended with exit code ${code}`))
      resolve()
    })
  })
  worker.unref()
  return {
    pid: process.pid,
    post: (message) => worker.postMessage(message),
    hold: (isBusy) => (isBusy ? worker.ref() : worker.unref()),
    stop: async (graceMs) => {
      worker.ref()
      worker.postMessage({ type: 'close' } satisfies ToThread)
      const force = setTimeout(() => void worker.terminate(), graceMs)
      await gone
      clearTimeout(force)
    },
  }
}
