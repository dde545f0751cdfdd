import { Worker } from 'node:worker_threads'
import { CodedError, messageOf } from '@millrace/errors'
import { extractHere } from './extract.js'
import type { Answer, Job, PlainError } from './protocol.js'

// The entry of the process that reads files; `extractor.ts` starts it, and kills it when it must.
if (process.send === undefined) throw new CodedError('INTERNAL', 'child.js must be started by fork')

// A thread watches memory and whether the parent is there, since a busy loop here would not.
const watch = new Worker(new URL('./watch.js', import.meta.url), { workerData: { parent: process.ppid } })
watch.unref()

const answer = (message: Answer) => {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined)
}

process.on('message', ({ file, limits }: Job) => {
  watch.postMessage(limits.memoryBytes)
  const isSpent = () => process.memoryUsage.rss() > limits.memoryBytes / 2
  extractHere(file, limits).then(
    (extracted) => answer({ type: 'done', extracted, isSpent: isSpent() }),
    (error: unknown) => answer({ type: 'failed', error: plain(error), isSpent: isSpent() }),
  )
})
// A library drops a promise of a broken file; what it awaits says what is wrong, or the file's time runs out.
process.on('unhandledRejection', () => undefined)
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => undefined)
process.on('disconnect', () => process.exit())

function plain(error: unknown): PlainError {
  if (!(error instanceof CodedError)) {
    return {
      code: 'INTERNAL',
      message: messageOf(error),
      hint: undefined,
      details: undefined,
      retryable: false,
    }
  }
  const { code, message, hint, details, retryable } = error
  return { code, message, hint, details, retryable }
}
