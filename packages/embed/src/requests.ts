import type { CodedError } from '@millrace/errors'
import type { Priority } from './batch.js'
import type { ColbertVectors, SparseVector } from './outputs.js'
import type { PairsMessage, TextsMessage } from './protocol.js'

/** A text's vectors, and what it took. */
export interface Embedded {
  /** Dense: unit length, memory of its own; of length 0 where it was not asked for. */
  readonly vector: Float32Array
  readonly sparse?: SparseVector
  readonly colbert?: ColbertVectors
  /** How often each term is in the text: `weights` are counts. */
  readonly terms?: SparseVector
  /** Of the whole text, special tokens included once. */
  readonly tokens: number
  /** More than 1: the text is longer than a window, and the vector is that of its windows, pooled. */
  readonly windows: number
  /** Whether its end was left out, which happens only to who asks for it. */
  readonly truncated: boolean
}

/** Why one text has no vector; its neighbours have theirs. */
export interface EmbedFailure {
  readonly error: CodedError
}

export type EmbedResult = Embedded | EmbedFailure

/** What is wanted of the texts: their vectors, or how well each answers a query. */
export type Wanted = Pick<TextsMessage, 'type' | 'kind' | 'encoding'> | Pick<PairsMessage, 'type' | 'query'>

/** A call of `embed` or `rerank` that is not answered yet. */
export interface Request {
  readonly id: number
  readonly model: string
  readonly wanted: Wanted
  readonly priority: Priority
  readonly texts: readonly string[]
  readonly results: EmbedResult[]
  /** Texts handed to the thread: those before this index. */
  sent: number
  answered: number
  /** Characters with the thread. */
  charsOut: number
  readonly resolve: (results: EmbedResult[]) => void
  readonly reject: (error: CodedError) => void
}

/** One message to the thread: small enough to be cloned within a millisecond. */
export const SLICE_TEXTS = 64
export const SLICE_CHARS = 1 << 16

/** The next texts of a request as a message, at least one; the request takes note that they are sent. */
export function takeSlice(request: Request): TextsMessage | PairsMessage {
  const { id, model, wanted, priority, texts, sent } = request
  let to = sent
  let chars = 0
  while (to < texts.length && to - sent < SLICE_TEXTS) {
    const length = texts[to]?.length ?? 0
    if (to > sent && chars + length > SLICE_CHARS) break
    chars += length
    to++
  }
  request.sent = to
  request.charsOut += chars
  return { ...wanted, request: id, first: sent, model, priority, texts: texts.slice(sent, to) }
}

/** Keeps a text's result. @returns whether it was the last one. */
export function keepResult(request: Request, index: number, result: EmbedResult): boolean {
  if (request.results[index] === undefined) request.answered++
  request.results[index] = result
  request.charsOut -= request.texts[index]?.length ?? 0
  return request.answered === request.texts.length
}

/**
 * Texts of each priority that may be with the thread at once: enough to find texts of like length among them, little enough
 * that the memory of the thread is bounded whatever is submitted.
 */
export const OUT_TEXTS_MAX = 2_048
export const OUT_CHARS_MAX = 1 << 20

/**
 * The messages that may go out now: those of the interactive requests first, then the bulk ones, each kind in turns, a
 * slice each, until as much of it as it takes is with the thread.
 * @param requests in the order of their last turn; those that had one are moved to the end
 */
export function* takeSlices(requests: Map<number, Request>): Generator<TextsMessage | PairsMessage> {
  yield* takeTurns(requests, 'interactive')
  yield* takeTurns(requests, 'bulk')
}

function* takeTurns(requests: Map<number, Request>, which: Priority): Generator<TextsMessage | PairsMessage> {
  for (;;) {
    const alike = [...requests.values()].filter(({ priority }) => priority === which)
    const next = alike.find(hasMore)
    if (next === undefined) return
    const texts = alike.reduce((sum, { sent, answered }) => sum + sent - answered, 0)
    const chars = alike.reduce((sum, { charsOut }) => sum + charsOut, 0)
    if (texts >= OUT_TEXTS_MAX || chars >= OUT_CHARS_MAX) return
    requests.delete(next.id)
    requests.set(next.id, next)
    yield takeSlice(next)
  }
}

const hasMore = ({ sent, texts }: Request): boolean => sent < texts.length
