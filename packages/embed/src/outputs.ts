import type { Output } from './manifest.js'

/** Lexical weights: what each different token of a text counts, special tokens left out, weights above 0. */
export interface SparseVector {
  /** Token ids, ascending. */
  readonly ids: Int32Array
  /** As many. */
  readonly weights: Float32Array
}

/** A unit vector a token, for all but the first one of the text (which stands for the whole of it). */
export interface ColbertVectors {
  /** Row-major, `count` × `dims`. */
  readonly values: Float32Array
  readonly count: number
  readonly dims: number
}

/** What a model gave for a row, a window or a text. */
export interface Vectors {
  /** Unit length; of length 0 where it was not asked for. */
  readonly dense: Float32Array
  readonly sparse?: SparseVector
  readonly colbert?: ColbertVectors
  /** How often each term is in it: `countWords`, or of `tokens` `countTerms`. */
  readonly terms?: SparseVector
}

/**
 * What is counted, of any model: `terms` every word, whatever the vocabulary has; `tokens` the model's own tokens alone, as
 * generations have them that were made before. At most one of the two is asked for.
 */
export type CountedOutput = 'terms' | 'tokens'
/** What can be asked for: what the model gives, and what is counted. */
export type EmbedOutput = Output | CountedOutput

export const isCounted = (output: EmbedOutput): output is CountedOutput =>
  output === 'terms' || output === 'tokens'

/** What a caller wants of a text longer than its window: all of it, pooled; an error; or only its beginning. */
export type LongTexts = 'pool' | 'refuse' | 'truncate'
export type WindowPooling = 'mean' | 'max'

/** How texts are to be encoded. */
export interface Encoding {
  readonly outputs: readonly EmbedOutput[]
  /** Tokens of a window, special ones included. */
  readonly window: number
  readonly windowPooling: WindowPooling
  readonly longTexts: LongTexts
}

/** The largest weight of each token id over the tokens of a text. */
export function sparseOf(
  ids: Int32Array,
  weights: Float32Array,
  isLeftOut: (id: number) => boolean,
): SparseVector {
  const most = new Map<number, number>()
  ids.forEach((id, i) => {
    const weight = weights[i] ?? 0
    if (!(weight <= 0) && !isLeftOut(id) && !(weight <= (most.get(id) ?? 0))) most.set(id, weight)
  })
  return fromMap(most)
}

/** The largest weight of each token id over the windows of a text. */
export function mergeSparse(windows: readonly SparseVector[]): SparseVector {
  const [first, ...others] = windows
  if (first !== undefined && others.length === 0) return first
  const most = new Map<number, number>()
  for (const { ids, weights } of windows) {
    ids.forEach((id, i) => {
      most.set(id, Math.max(most.get(id) ?? 0, weights[i] ?? 0))
    })
  }
  return fromMap(most)
}

function fromMap(weights: ReadonlyMap<number, number>): SparseVector {
  const ids = Int32Array.from(weights.keys()).sort()
  return { ids, weights: Float32Array.from(ids, (id) => weights.get(id) ?? 0) }
}

/** The vectors of all windows, in the order of the text. */
export function joinColbert(windows: readonly ColbertVectors[]): ColbertVectors {
  const [first, ...others] = windows
  if (first !== undefined && others.length === 0) return first
  const values = new Float32Array(windows.reduce((sum, window) => sum + window.values.length, 0))
  let at = 0
  for (const window of windows) {
    values.set(window.values, at)
    at += window.values.length
  }
  const dims = first?.dims ?? 1
  return { values, count: values.length / dims, dims }
}
