import { CodedError } from '@millrace/errors'
import type { RowOutcome } from './pass.js'
import { fromPlain, toPlain } from './plain.js'
import type { PassFigures, ResultsMessage, TextResult } from './protocol.js'

/** A text that is done: what it was, and its vector or why there is none. */
export interface DoneText {
  readonly request: number
  readonly index: number
  readonly tokens: number
  readonly windows: number
  readonly outcome: RowOutcome
}

const NO_PASS: PassFigures = { rows: 0, paddedTokens: 0, ms: 0 }

/** One message for many texts, their vectors end to end in one buffer that can be handed over. */
export function packResults(texts: readonly DoneText[], pass: PassFigures = NO_PASS): ResultsMessage {
  const vectors: Float32Array[] = []
  const results = texts.map(({ request, index, tokens, windows, outcome }): TextResult => {
    if (outcome instanceof CodedError) return { request, index, tokens, windows, error: toPlain(outcome) }
    vectors.push(outcome)
    return { request, index, tokens, windows }
  })
  const packed = new Float32Array(vectors.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const vector of vectors) {
    packed.set(vector, at)
    at += vector.length
  }
  return { type: 'results', results, vectors: packed, pass }
}

/** A text's vector out of the message, in memory of its own, or why it has none; in the order of the results. */
export function* unpackResults(message: ResultsMessage): Generator<DoneText> {
  const { results, vectors } = message
  const count = results.filter(({ error }) => error === undefined).length
  const dims = count === 0 ? 0 : vectors.length / count
  let at = 0
  for (const { error, ...text } of results) {
    if (error !== undefined) {
      yield { ...text, outcome: fromPlain(error) }
      continue
    }
    // A copy: a view would keep the vectors of the whole batch in memory, and posting it would send them all.
    yield { ...text, outcome: vectors.slice(at, at + dims) }
    at += dims
  }
}
