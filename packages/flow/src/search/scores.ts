import type { ModelManifest } from '@millrace/embed'
import type { Lexical } from '@millrace/store'
import type { Fusion } from './fusion.js'

/**
 * What a hit can be scored by: `dense` the cosine of the vectors, `sparse` the words they share, `hybrid` both (or all
 * three) fused, `colbert` token by token, `rerank` a model that reads question and text together.
 */
export const SCORE_KINDS = ['dense', 'sparse', 'hybrid', 'colbert', 'rerank'] as const
export type ScoreKind = (typeof SCORE_KINDS)[number]

/** All scores of a hit that were computed. */
export type Scores = Partial<Readonly<Record<ScoreKind, number>>>

export interface ScoreRange {
  readonly least: number
  /** Null: there is no largest one. */
  readonly most: number | null
}

/**
 * Where scores of a kind lie. Learned sparse weights have no upper bound, and what is fused from them has none either;
 * its least value is that of the cosine in it.
 */
export const SCORE_RANGES: Readonly<Record<ScoreKind, ScoreRange>> = {
  dense: { least: -1, most: 1 },
  sparse: { least: 0, most: null },
  hybrid: { least: -1, most: null },
  colbert: { least: -1, most: 1 },
  rerank: { least: 0, most: 1 },
}

/** Where they lie in a domain: bm25 is a share, and so is what is fused from it; rrf is a share of the best place. */
export function rangeOf(
  kind: ScoreKind,
  { lexical, fusion }: { readonly lexical: Lexical | null; readonly fusion?: Fusion | undefined },
): ScoreRange {
  if (kind === 'hybrid' && fusion?.method === 'rrf') return { least: 0, most: 1 }
  if (lexical === 'learned' || (kind !== 'sparse' && kind !== 'hybrid')) return SCORE_RANGES[kind]
  return { ...SCORE_RANGES[kind], most: 1 }
}

/** Six decimals: what a float32 holds of a number near 1, and what is shown. */
const SCALE = 1e6
export const roundScore = (score: number): number => Math.round(score * SCALE) / SCALE

/** The least score that is shown as the threshold, or as more. */
export function leastFor(kind: ScoreKind, threshold: number): number {
  const least = (Math.ceil(threshold * SCALE - 1e-3) - 0.5) / SCALE
  return Number.isFinite(least) ? Math.max(SCORE_RANGES[kind].least, least) : threshold
}

/** What the scores of a reranker are made with: the `recipe` of their thresholds and levels (millrace.bands). */
export const identityOf = ({ id, revision }: Pick<ModelManifest, 'id' | 'revision'>): string =>
  `${id}@${revision}`
