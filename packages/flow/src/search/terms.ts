import type { Embedded, SparseVector } from '@millrace/embed'
import type { Lexical } from '@millrace/store'
import { TERMS_OF_A_TEXT_MAX, type Terms } from '@millrace/store'

/**
 * How soon another occurrence of a term adds nothing, and how much a text's length counts: the usual values, of which
 * Robertson and Zaragoza (The Probabilistic Relevance Framework: BM25 and Beyond, 2009, 3.3) say they do well in many
 * circumstances, and Lucene's defaults. Of k1 from 0.6 to 2 and b from 0 to 1 none was better on all of ours.
 * `millrace.weigh_terms` knows k1.
 */
const K1 = 1.2
const B = 0.75

/** Tokens of a usual text, of a recipe without a size. */
export const USUAL_TOKENS = 256

/** What the generation's texts are measured by. */
export interface TextScale {
  readonly lexical: Lexical
  /** Tokens of a text of usual length. */
  readonly usualTokens: number
}

/**
 * What is stored of a text's terms: the model's weights, or of bm25 the part that the text alone decides,
 * tf (k1 + 1) / (tf + k1 (1 - b + b tokens / usual)). Which terms are rare changes with every text that comes in, so that
 * part, idf, is put to the query. The usual length is a constant for the same reason; it may well be off: with half
 * and with twice the mean nDCG@10 was within .005.
 */
export function weighTerms(
  { terms, sparse, tokens }: Pick<Embedded, 'terms' | 'sparse' | 'tokens'>,
  { lexical, usualTokens }: TextScale,
): Terms | undefined {
  if (lexical === 'learned') return sparse === undefined ? undefined : heaviest(sparse)
  if (terms === undefined) return undefined
  const dampened = K1 * (1 - B + (B * tokens) / usualTokens)
  const weights = terms.weights.map((count) => (count * (K1 + 1)) / (count + dampened))
  return heaviest({ ids: terms.ids, weights })
}

/** The weights of bm25 that a text of so many tokens has where texts of another length are usual. */
export function rescaleTerms(
  { ids, weights }: Terms,
  tokens: number,
  usual: { readonly from: number; readonly to: number },
): Terms {
  const was = K1 * (1 - B + (B * tokens) / usual.from)
  const is = K1 * (1 - B + (B * tokens) / usual.to)
  return {
    ids,
    weights: weights.map((weight) => {
      const count = Math.max(1, Math.round((weight * was) / (K1 + 1 - weight)))
      return (count * (K1 + 1)) / (count + is)
    }),
  }
}

/** As many as Postgres takes: of a text with more different ones, those that count most. */
export function heaviest({ ids, weights }: SparseVector, most = TERMS_OF_A_TEXT_MAX): SparseVector {
  if (ids.length <= most) return { ids, weights }
  const kept = Array.from(ids.keys())
    .sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0) || a - b)
    .slice(0, most)
    .sort((a, b) => a - b)
  return {
    ids: Int32Array.from(kept, (i) => ids[i] ?? 0),
    weights: Float32Array.from(kept, (i) => weights[i] ?? 0),
  }
}
