import { Worker } from 'node:worker_threads'
import { CodedError, messageOf } from '@millrace/errors'
import type { CountedOutput, SparseVector } from './outputs.js'
import { fromPlain } from './plain.js'
import type { PlainError } from './protocol.js'
import type { TermPlaces } from './words.js'

export interface CountMessage {
  readonly id: number
  /** The model's folder. */
  readonly dir: string
  readonly texts: readonly string[]
  /** Count terms too, of so many tokens at most, special ones included. */
  readonly terms?: { readonly tokensMax: number; readonly as: CountedOutput }
  /** Say where the tokens are, and nothing else. */
  readonly spans?: true
}

/** Where the tokens of a text are in it, with the terms that `countTerms` makes of them. */
export interface TermSpans extends TermPlaces {
  /** Where those terms are that `countWords` counts. */
  readonly words: TermPlaces
}

/** Tokens of each text, special ones included, and where terms were asked for also those; or spans alone. */
export interface Counts {
  readonly counts: readonly number[]
  readonly terms?: readonly SparseVector[]
  /** How many of the tokens are special. */
  readonly special?: number
  readonly spans?: readonly TermSpans[]
}

export type CountReply =
  | (Counts & { readonly id: number })
  | { readonly id: number; readonly error: PlainError }

/** Counts tokens in a thread of its own. */
export interface Counter {
  /** @throws CodedError INVALID_TOKENIZER, ENGINE_CRASHED and ENGINE_CLOSED (retryable) */
  count(dir: string, texts: readonly string[]): Promise<number[]>
  /** @throws the same */
  terms(
    dir: string,
    texts: readonly string[],
    how: { readonly tokensMax: number; readonly as: CountedOutput },
  ): Promise<Required<Omit<Counts, 'spans'>>>
  /** @throws the same */
  spans(dir: string, texts: readonly string[]): Promise<readonly TermSpans[]>
  close(): Promise<void>
}

interface Waiting {
  readonly resolve: (counts: Counts) => void
  readonly reject: (error: CodedError) => void
}

/**
 * The thread starts at the first call, and anew after it died. Not the inference process, which answers between two
 * passes only; not the calling thread, which reading a vocabulary of 250,000 pieces would block for a second.
 */
export function createCounter(): Counter {
  const waiting = new Map<number, Waiting>()
  let thread: Worker | undefined
  let lastId = 0
  let isClosed = false

  function settle(id: number): Waiting | undefined {
    const one = waiting.get(id)
    waiting.delete(id)
    if (waiting.size === 0) thread?.unref()
    return one
  }

  function failAll(error: CodedError): void {
    for (const id of [...waiting.keys()]) settle(id)?.reject(error)
  }

  function start(): Worker {
    const started = new Worker(new URL('./count-thread.js', import.meta.url), { execArgv: [] })
    let cause: unknown
    started.on('message', (reply: CountReply) => {
      if ('error' in reply) settle(reply.id)?.reject(fromPlain(reply.error))
      else settle(reply.id)?.resolve(reply)
    })
    started.on('error', (error) => {
      cause = error
    })
    started.on('exit', () => {
      thread = undefined
      const why = cause === undefined ? 'it ended' : messageOf(cause)
      failAll(
        isClosed
          ? closed()
          : new CodedError('ENGINE_CRASHED', `Counting tokens died: ${why}`, { retryable: true }),
      )
    })
    return started
  }

  const ask = (question: Omit<CountMessage, 'id'>): Promise<Counts> =>
    new Promise((resolve, reject) => {
      if (isClosed) return reject(closed())
      thread ??= start()
      const id = ++lastId
      waiting.set(id, { resolve, reject })
      thread.ref()
      thread.postMessage({ id, ...question } satisfies CountMessage)
    })

  return {
    count: async (dir, texts) => [...(await ask({ dir, texts })).counts],
    terms: async (dir, texts, how) => {
      const { counts, terms = [], special = 0 } = await ask({ dir, texts, terms: how })
      return { counts, terms, special }
    },
    spans: async (dir, texts) => (await ask({ dir, texts, spans: true })).spans ?? [],
    close: async () => {
      isClosed = true
      await thread?.terminate()
    },
  }
}

const closed = (): CodedError => new CodedError('ENGINE_CLOSED', 'The engine is closed', { retryable: true })
