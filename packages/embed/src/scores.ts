import { CodedError } from '@millrace/errors'
import type { ColbertVectors, SparseVector, Vectors } from './outputs.js'
import { dot } from './pool.js'
import type { Embedded } from './requests.js'

/**
 * The scores of bge-m3, as FlagEmbedding's `compute_score` defines them
 * (https://github.com/FlagOpen/FlagEmbedding, inference/embedder/encoder_only/m3.py).
 */
export interface Scores {
  /** Cosine, -1 to 1. */
  readonly dense: number
  /** Sum of products of the weights of shared tokens, 0 and more. */
  readonly sparse: number
  /** Mean over the query's tokens of the largest dot product with a token of the document, -1 to 1. */
  readonly colbert: number
  readonly 'sparse+dense': number
  readonly 'colbert+sparse+dense': number
}

/** What each score counts in a combination; what is left out counts 1. */
export interface ScoreWeights {
  readonly dense?: number
  readonly sparse?: number
  readonly colbert?: number
}

/** The dot product of two sparse vectors. */
export function sparseScore(a: SparseVector, b: SparseVector): number {
  let sum = 0
  for (let i = 0, j = 0; i < a.ids.length && j < b.ids.length; ) {
    const left = a.ids[i] ?? 0
    const right = b.ids[j] ?? 0
    if (left === right) sum += (a.weights[i++] ?? 0) * (b.weights[j++] ?? 0)
    else if (left < right) i++
    else j++
  }
  return sum
}

/**
 * Late interaction: for each token of the query the best one of the document, on average. 0 where one has none.
 * @throws RangeError when their dims differ
 */
export function colbertScore(query: ColbertVectors, document: ColbertVectors): number {
  if (query.dims !== document.dims) {
    throw new RangeError(`Cannot compare token vectors of ${query.dims} dims with those of ${document.dims}`)
  }
  const { dims } = query
  if (query.count === 0 || document.count === 0) return 0
  let sum = 0
  for (let q = 0; q < query.count; q++) {
    const token = query.values.subarray(q * dims, (q + 1) * dims)
    let best = Number.NEGATIVE_INFINITY
    for (let d = 0; d < document.count; d++) {
      best = Math.max(best, dot(token, document.values.subarray(d * dims, (d + 1) * dims)))
    }
    sum += best
  }
  return sum / query.count
}

/** What was embedded, as the engine gave it, or its vectors. */
export type Scorable = Vectors | Pick<Embedded, 'vector' | 'sparse' | 'colbert'>

/**
 * All scores of a pair. A combination is the weighted sum over the sum of the weights.
 * @throws CodedError MISSING_OUTPUT when one of them lacks an output, BAD_WEIGHTS when the weights of a
 * combination do not sum to more than 0
 */
export function computeScores(query: Scorable, document: Scorable, weights: ScoreWeights = {}): Scores {
  const dense = dot(denseOf(query), denseOf(document))
  const sparse = sparseScore(given(query.sparse, 'sparse'), given(document.sparse, 'sparse'))
  const colbert = colbertScore(given(query.colbert, 'colbert'), given(document.colbert, 'colbert'))
  const { dense: d = 1, sparse: s = 1, colbert: c = 1 } = weights
  return {
    dense,
    sparse,
    colbert,
    'sparse+dense': combine([
      [dense, d],
      [sparse, s],
    ]),
    'colbert+sparse+dense': combine([
      [dense, d],
      [sparse, s],
      [colbert, c],
    ]),
  }
}

function combine(parts: readonly (readonly [score: number, weight: number])[]): number {
  const whole = parts.reduce((sum, [, weight]) => sum + weight, 0)
  const isWeight = (weight: unknown) => typeof weight === 'number' && weight >= 0
  if (!(whole > 0) || !Number.isFinite(whole) || !parts.every(([, weight]) => isWeight(weight))) {
    throw new CodedError(
      'BAD_WEIGHTS',
      `The weights ${parts.map(([, weight]) => weight).join(', ')} do not combine: each must be 0 or more, their sum above 0`,
      { hint: 'Leave a weight out to have it count 1' },
    )
  }
  return parts.reduce((sum, [score, weight]) => sum + score * weight, 0) / whole
}

const denseOf = (text: Scorable): Float32Array => {
  const dense = 'vector' in text ? text.vector : text.dense
  return given(dense.length === 0 ? undefined : dense, 'dense')
}

function given<T>(value: T | undefined, output: string): T {
  if (value !== undefined) return value
  throw new CodedError('MISSING_OUTPUT', `A text was embedded without its ${output} output`, {
    hint: 'Ask for dense, sparse and colbert, of a model that has them',
  })
}
