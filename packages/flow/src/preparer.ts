import { Worker } from 'node:worker_threads'
import { CodedError } from '@millrace/errors'
import type { PreparedChunk } from '@millrace/store'
import type { Log } from './log.js'
import type { Preparation, PreparedText } from './preparation.js'
import type { Recipe } from './recipe.js'

export interface PrepareRequest {
  readonly id: number
  readonly modelDir: string
  readonly recipe: Pick<Recipe, 'cleaning' | 'chunking' | 'instructions'>
  readonly document: PreparedText
}
export type PrepareReply =
  | ({ readonly id: number } & Preparation)
  | { readonly id: number; readonly code: string; readonly message: string }

export interface Preparer {
  /**
   * @throws CodedError with the code of what went wrong in the document; PREPARE_CRASHED (retryable) when the
   * thread died, PREPARE_TIMEOUT when a document took longer than the limit.
   */
  prepare(request: Omit<PrepareRequest, 'id'>): Promise<Preparation>
  close(): Promise<void>
}

interface Waiting {
  readonly resolve: (preparation: Preparation) => void
  readonly reject: (error: CodedError) => void
  readonly timer: NodeJS.Timeout
}

/** A text of 16 MiB takes some 10 s; what takes this long will not end. */
const TIMEOUT_MS = 300_000

/** Cleans and chunks in a thread, started at the first document and anew after it died. */
export function openPreparer(log: Log, timeoutMs: number = TIMEOUT_MS): Preparer {
  const waiting = new Map<number, Waiting>()
  let thread: Worker | undefined
  let lastId = 0

  function settle(id: number): Waiting | undefined {
    const one = waiting.get(id)
    if (one !== undefined) clearTimeout(one.timer)
    waiting.delete(id)
    return one
  }

  function start(): Worker {
    const started = new Worker(new URL('./prepare-thread.js', import.meta.url))
    started.on('message', (reply: PrepareReply) => {
      const one = settle(reply.id)
      if ('code' in reply) one?.reject(new CodedError(reply.code, reply.message))
      else {
        const { id: _request, ...preparation } = reply
        one?.resolve({ ...preparation, chunks: preparation.chunks.map(asBuffer) })
      }
    })
    started.on('error', (error) => log.error({ err: error }, 'the thread that prepares documents broke'))
    started.on('exit', () => {
      if (thread === started) thread = undefined
      for (const id of [...waiting.keys()]) {
        settle(id)?.reject(
          new CodedError('PREPARE_CRASHED', 'The thread that prepares documents died', { retryable: true }),
        )
      }
    })
    started.unref()
    return started
  }

  return {
    prepare: (request) =>
      new Promise((resolve, reject) => {
        thread ??= start()
        const id = ++lastId
        const timer = setTimeout(() => {
          settle(id)?.reject(
            new CodedError('PREPARE_TIMEOUT', `The document was not prepared within ${timeoutMs / 1_000} s`),
          )
          void thread?.terminate()
        }, timeoutMs)
        waiting.set(id, { resolve, reject, timer })
        thread.postMessage({ ...request, id } satisfies PrepareRequest)
      }),
    close: async () => {
      await thread?.terminate()
    },
  }
}

/** A Buffer crosses to another thread as a bare Uint8Array. */
const asBuffer = (chunk: PreparedChunk): PreparedChunk => ({ ...chunk, hash: Buffer.from(chunk.hash) })
