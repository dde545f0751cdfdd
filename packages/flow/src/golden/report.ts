import type { Measured } from '@millrace/store'
import { MISS } from './grade.js'
import { type Graded, type Metrics, metricsOf } from './metrics.js'

/** Why a question was not measured: nothing of what it expects can be found whatever the search, or it could not be asked. */
export const REASONS = ['missing', 'not_ready', 'empty', 'failed'] as const
export type Unmeasured = Readonly<Record<(typeof REASONS)[number], number>>

/** What a run came to. */
export interface RunReport {
  readonly measured: number
  readonly unmeasured: Unmeasured
  /** Null when nothing was measured. */
  readonly metrics: Metrics | null
  /** Questions by grade, the domain's levels first, `miss` last. */
  readonly grades: Readonly<Record<string, number>>
  readonly misses: number
  /** Of those that passed, how many the threshold would cut. */
  readonly belowThreshold: number
}

/** A measured question, for the metrics: only documents that can be found count as expected. */
export const gradedOf = ({ ranks, absent, documents, grade }: Measured): Graded => ({
  ranks,
  expected: documents - absent.length,
  passed: grade !== MISS,
})

/**
 * @param levels keys, highest first; the last is what a miss is graded with
 * @param threshold null: no cut
 */
export function reportOf(
  results: readonly Measured[],
  levels: readonly string[],
  threshold: number | null,
): RunReport {
  const ranked = results.filter(({ state }) => state === 'ranked')
  const counts = new Map<string, number>(levels.slice(0, -1).map((key) => [key, 0]))
  for (const { grade } of ranked) {
    if (grade !== null && grade !== MISS) counts.set(grade, (counts.get(grade) ?? 0) + 1)
  }
  const misses = ranked.filter(({ grade }) => grade === MISS).length
  const passed = ranked.filter(({ grade }) => grade !== MISS)
  return {
    measured: ranked.length,
    unmeasured: unmeasuredOf(results),
    metrics: metricsOf(ranked.map(gradedOf)),
    grades: { ...Object.fromEntries(counts), [MISS]: misses },
    misses,
    belowThreshold:
      threshold === null ? 0 : passed.filter(({ score }) => score !== null && score < threshold).length,
  }
}

function unmeasuredOf(results: readonly Measured[]): Unmeasured {
  const counts = { missing: 0, not_ready: 0, empty: 0, failed: 0 }
  for (const { state, absent } of results) {
    if (state === 'failed') counts.failed++
    // Of several documents, the one that is nearest to being found says why.
    if (state === 'unmeasured') counts[nearest(absent)]++
  }
  return counts
}

const nearest = (absent: Measured['absent']): 'missing' | 'not_ready' | 'empty' =>
  (['empty', 'not_ready'] as const).find((reason) => absent.some((one) => one.reason === reason)) ?? 'missing'
