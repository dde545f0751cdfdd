/** A hit as far as a golden set goes. */
export interface RankedHit {
  readonly documentId: string
  readonly title: string | null
  readonly score: number
  /** The kind of score that ranked it. */
  readonly rankedBy: string
  /** Null where that kind has no levels. */
  readonly level: { readonly key: string; readonly isLast: boolean } | null
}

export interface Grade {
  /** Of the first hit of each expected document, ascending. */
  readonly ranks: readonly number[]
  readonly score: number | null
  readonly scored: string | null
  readonly grade: string
}

export const MISS = 'miss'
/** In the first K, by a score without levels. */
export const FOUND = 'found'

/**
 * The grade of a question is the level of the expected documents' best hit within the first `k`: `miss` when there is
 * none, or when its level is the last one. Rank and score are that hit's wherever it is.
 * @param hits best first
 */
export function gradeOf(hits: readonly RankedHit[], expected: readonly string[], k: number): Grade {
  const wanted = new Set(expected)
  const ranks: number[] = []
  hits.forEach(({ documentId }, i) => {
    if (wanted.delete(documentId)) ranks.push(i + 1)
  })
  const rank = ranks[0]
  const best = rank === undefined ? undefined : hits[rank - 1]
  if (rank === undefined || best === undefined) return { ranks, score: null, scored: null, grade: MISS }
  const isPassed = rank <= k && best.level?.isLast !== true
  const grade = isPassed ? (best.level?.key ?? FOUND) : MISS
  return { ranks, score: best.score, scored: best.rankedBy, grade }
}
