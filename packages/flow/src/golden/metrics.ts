/**
 * Measures of a ranked list, over hits as a search shows them. Relevance is binary: a hit counts if it is the first of
 * an expected document. The first 3 are as in Manning, Raghavan and Schütze, Introduction to Information Retrieval
 * (2008), chapter 8; the discount of nDCG is Järvelin and Kekäläinen's (ACM TOIS 20(4), 2002) as TREC computes it.
 */

/** How far the measures look. */
export const DEPTH = 10

/** The ranks of expected documents in a list, from 1; and how many there are to be found. */
export interface Ranking {
  readonly ranks: readonly number[]
  readonly expected: number
}

/** Whether one of the first `k` is relevant. */
export const hitAt = ({ ranks }: Ranking, k: number): boolean => ranks.some((rank) => rank <= k)

/** 1 over the rank of the first relevant hit; 0 beyond `k`. Its mean over questions is the MRR (TREC-8, Voorhees 1999). */
export function reciprocalRank({ ranks }: Ranking, k: number): number {
  const first = Math.min(...ranks)
  return first <= k ? 1 / first : 0
}

/** Sum of 1 / log2(rank + 1) over relevant hits to `k`, over the largest such sum: all relevant ones first. */
export function ndcg({ ranks, expected }: Ranking, k: number): number {
  const ideal = Array.from({ length: Math.min(expected, k) }, (_, i) => i + 1)
  return ideal.length === 0 ? 0 : dcg(ranks.filter((rank) => rank <= k)) / dcg(ideal)
}

const dcg = (ranks: readonly number[]): number =>
  ranks.reduce((sum, rank) => sum + 1 / Math.log2(rank + 1), 0)

/** Means over questions. */
export interface Metrics {
  readonly hitAt1: number
  readonly hitAt3: number
  readonly hitAt10: number
  readonly mrrAt10: number
  readonly ndcgAt10: number
  /** Share that has an expected document among the first K, on a level above the last. */
  readonly passed: number
}
export const METRICS = ['hitAt1', 'hitAt3', 'hitAt10', 'mrrAt10', 'ndcgAt10', 'passed'] as const

/** Of a question as far as its measures go. */
export interface Graded extends Ranking {
  readonly passed: boolean
}

/** Null of nothing: there is no mean. */
export function metricsOf(questions: readonly Graded[]): Metrics | null {
  if (questions.length === 0) return null
  const mean = (of: (question: Graded) => number) =>
    round(questions.reduce((sum, question) => sum + of(question), 0) / questions.length)
  return {
    hitAt1: mean((one) => Number(hitAt(one, 1))),
    hitAt3: mean((one) => Number(hitAt(one, 3))),
    hitAt10: mean((one) => Number(hitAt(one, DEPTH))),
    mrrAt10: mean((one) => reciprocalRank(one, DEPTH)),
    ndcgAt10: mean((one) => ndcg(one, DEPTH)),
    passed: mean((one) => Number(one.passed)),
  }
}

/** Six decimals: a question of 10,000 is 0.0001. */
const round = (value: number): number => Math.round(value * 1e6) / 1e6
