import { CodedError } from '@millrace/errors'
import type { Vectors } from './outputs.js'
import type { RowOutcome } from './pass.js'
import { fromPlain, toPlain } from './plain.js'
import type { PassFigures, ResultsMessage, TextResult } from './protocol.js'

/** A text that is done: what it was, and its vectors or why there are none. */
export interface DoneText {
  readonly request: number
  readonly index: number
  readonly tokens: number
  readonly windows: number
  readonly truncated: boolean
  readonly outcome: RowOutcome
}

const NO_PASS: PassFigures = { rows: 0, paddedTokens: 0, ms: 0 }

/** One message for many texts, their numbers end to end in two buffers that can be handed over. */
export function packResults(texts: readonly DoneText[], pass: PassFigures = NO_PASS): ResultsMessage {
  const floats: Float32Array[] = []
  const ids: Int32Array[] = []
  const results = texts.map(({ request, index, tokens, windows, truncated, outcome }): TextResult => {
    const text = { request, index, tokens, windows, truncated }
    if (outcome instanceof CodedError) return { ...text, error: toPlain(outcome) }
    const { dense, sparse, colbert, terms } = outcome
    floats.push(dense)
    if (sparse !== undefined) {
      floats.push(sparse.weights)
      ids.push(sparse.ids)
    }
    if (colbert !== undefined) floats.push(colbert.values)
    if (terms !== undefined) {
      floats.push(terms.weights)
      ids.push(terms.ids)
    }
    return {
      ...text,
      dense: dense.length,
      ...(sparse === undefined ? {} : { sparse: sparse.ids.length }),
      ...(colbert === undefined ? {} : { colbert: { count: colbert.count, dims: colbert.dims } }),
      ...(terms === undefined ? {} : { terms: terms.ids.length }),
    }
  })
  return {
    type: 'results',
    results,
    floats: joined(floats, (length) => new Float32Array(length)),
    ids: joined(ids, (length) => new Int32Array(length)),
    pass,
  }
}

function joined<T extends Float32Array | Int32Array, Joined extends T>(
  parts: readonly T[],
  make: (length: number) => Joined,
): Joined {
  const whole = make(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** A text's vectors out of the message, in memory of their own, or why it has none; in the order of the results. */
export function* unpackResults({ results, floats, ids }: ResultsMessage): Generator<DoneText> {
  // Copies: a view would keep the vectors of the whole batch in memory, and posting it would send them all.
  const takeFloats = takerOf(floats)
  const takeIds = takerOf(ids)
  for (const { error, dense, sparse, colbert, terms, ...text } of results) {
    if (error !== undefined) {
      yield { ...text, outcome: fromPlain(error) }
      continue
    }
    const vectors: Vectors = {
      dense: takeFloats(dense ?? 0),
      ...(sparse === undefined ? {} : { sparse: { weights: takeFloats(sparse), ids: takeIds(sparse) } }),
      ...(colbert === undefined
        ? {}
        : { colbert: { ...colbert, values: takeFloats(colbert.count * colbert.dims) } }),
      ...(terms === undefined ? {} : { terms: { weights: takeFloats(terms), ids: takeIds(terms) } }),
    }
    yield { ...text, outcome: vectors }
  }
}

/** Takes the next so many numbers off the front. */
function takerOf<T>(all: { slice(from: number, to: number): T }): (length: number) => T {
  let at = 0
  return (length) => {
    at += length
    return all.slice(at - length, at)
  }
}
