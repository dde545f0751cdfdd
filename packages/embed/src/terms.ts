import type { SparseVector } from './outputs.js'
import type { Tokenizer } from './tokenizer.js'

/**
 * Terms from here on stand for two adjacent ideographs; below are token ids. Vocabularies have some 10^5 to 10^6 of them.
 */
export const PAIRS_FROM = 1 << 24
/** Terms from here on stand for words that the vocabulary cannot spell (words.ts). */
export const WORDS_FROM = 500_000_000
/** pgvector's sparsevec takes so many dimensions at most. */
export const TERMS_MAX = 1_000_000_000

/**
 * How often each term is in a text, as generations made before words.ts count them. A term is a token id, or a pair of neighbours that are an ideograph each: where a
 * vocabulary has only single characters of Chinese (BERT's), words would be found by their characters wherever they
 * stand. Measured with bm25 alone, nDCG@10 (`npm run bench -- search/quality`): xquad-a-zh .953 without pairs, .969
 * with them, cmrc2018 .963 and .978. The unknown token is left out: it stands for any word.
 * @param ids without special tokens
 */
export function countTerms(
  ids: Int32Array,
  { unknownId, isIdeograph }: Pick<Tokenizer, 'unknownId' | 'isIdeograph'>,
): SparseVector {
  const terms = new Int32Array(2 * ids.length)
  let count = 0
  let before = -1
  for (const id of ids) {
    if (id !== unknownId) terms[count++] = id
    const next = isIdeograph(id) ? id : -1
    if (before >= 0 && next >= 0) terms[count++] = pairTerm(before, next)
    before = next
  }
  return runsOf(terms.subarray(0, count).sort())
}

/** The term of each token together with the next one; -1 where they are no pair of ideographs. */
export function pairTerms(ids: Int32Array, { isIdeograph }: Pick<Tokenizer, 'isIdeograph'>): Int32Array {
  return ids.map((id, i) => {
    const next = ids[i + 1]
    return next !== undefined && isIdeograph(id) && isIdeograph(next) ? pairTerm(id, next) : -1
  })
}

/** What is sorted already, each once, and how often it is there. */
export function runsOf(sorted: Int32Array): SparseVector {
  const ids = new Int32Array(sorted.length)
  const weights = new Float32Array(sorted.length)
  let last = -1
  for (let i = 0; i < sorted.length; i++) {
    if (i === 0 || sorted[i] !== sorted[i - 1]) ids[++last] = sorted[i] ?? 0
    weights[last] = (weights[last] ?? 0) + 1
  }
  return { ids: ids.slice(0, last + 1), weights: weights.slice(0, last + 1) }
}

/** Spread over what the token ids leave free: fmix32 of MurmurHash3 (Appleby, public domain). */
export function pairTerm(first: number, second: number, below = TERMS_MAX): number {
  let hash = Math.imul(first, 0x9e3779b1) ^ second
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  hash ^= hash >>> 16
  return PAIRS_FROM + ((hash >>> 0) % (below - PAIRS_FROM))
}
