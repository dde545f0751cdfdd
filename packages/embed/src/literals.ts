import type { SparseVector } from './outputs.js'

/** Significant digits that give every float32 back: https://en.cppreference.com/w/cpp/types/numeric_limits/max_digits10 */
const DIGITS = 9

/** A float32 in as many digits as it has: without, JavaScript writes those of the double that it is kept in. */
export const shortFloat = (value: number): number => Number(value.toPrecision(DIGITS))

/** Dims of every sparse vector, whatever the tokenizer: more than any has token ids. */
export const SPARSE_DIMS = 1_000_000_000

/** A vector as pgvector reads it: `[0.1,-0.2]`. */
export const vectorLiteral = (vector: Float32Array): string => `[${Array.from(vector, shortFloat).join(',')}]`

/** Weights of token ids as pgvector reads a sparsevec, which counts from 1: `{102:0.5}/1000000000` is token 101. */
export const termsLiteral = ({ ids, weights }: SparseVector): string =>
  `{${Array.from(ids, (id, i) => `${id + 1}:${shortFloat(weights[i] ?? 0)}`).join(',')}}/${SPARSE_DIMS}`
