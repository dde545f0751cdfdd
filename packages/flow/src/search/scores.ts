import type { ModelManifest } from '@millrace/embed'

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

/** What the scores of a reranker are made with: the `recipe` of their thresholds and levels (millrace.bands). */
export const identityOf = ({ id, revision }: Pick<ModelManifest, 'id' | 'revision'>): string =>
  `${id}@${revision}`
