import type { Comparable } from '@millrace/store'
import { type Metrics, metricsOf } from './metrics.js'
import { gradedOf } from './report.js'

/** Where a question stood in a run; rank and score null: not among the first 100. */
export interface Standing {
  readonly rank: number | null
  readonly score: number | null
  readonly grade: string | null
}
export interface Moved {
  readonly id: string
  readonly question: string
  readonly before: Standing
  readonly after: Standing
}
export interface Named {
  readonly id: string
  readonly question: string
}

export interface Comparison {
  /** Asked in both, expecting the same, and measured in both: only these are compared. */
  readonly common: number
  /** Whether those are all questions of both. */
  readonly sameQuestions: boolean
  /** Over the common ones; null when there are none. */
  readonly before: Metrics | null
  readonly after: Metrics | null
  /** The largest fall or rise first. */
  readonly worse: readonly Moved[]
  readonly better: readonly Moved[]
  /** Only in the second; only in the first. */
  readonly added: readonly Named[]
  readonly removed: readonly Named[]
  /** In both, with other documents expected. */
  readonly changed: readonly Named[]
  /** In both, and not measured in one of them. */
  readonly unmeasured: readonly Named[]
  /** Of those, the ones that the second could not measure and the first could: what answers them has gone. */
  readonly lost: readonly Named[]
}

/** Two runs side by side, `before` and `after`. */
export function compareRuns(before: readonly Comparable[], after: readonly Comparable[]): Comparison {
  const old = new Map(before.map((one) => [one.asked, one]))
  const now = new Map(after.map((one) => [one.asked, one]))
  const pairs = after.flatMap((next) => {
    const last = old.get(next.asked)
    return last === undefined ? [] : [{ last, next }]
  })
  const same = pairs.filter(({ last, next }) => last.expected === next.expected)
  const common = same.filter(({ last, next }) => last.state === 'ranked' && next.state === 'ranked')
  const moves = common.map(({ last, next }) => ({ move: moveOf(last, next), by: changeOf(last, next) }))
  return {
    common: common.length,
    sameQuestions: common.length === before.length && common.length === after.length,
    before: metricsOf(common.map(({ last }) => gradedOf(last))),
    after: metricsOf(common.map(({ next }) => gradedOf(next))),
    worse: sorted(moves.filter(({ by }) => by < 0).map((one) => ({ ...one, by: -one.by }))),
    better: sorted(moves.filter(({ by }) => by > 0)),
    added: after.filter(({ asked }) => !old.has(asked)).map(named),
    removed: before.filter(({ asked }) => !now.has(asked)).map(named),
    changed: pairs.filter(({ last, next }) => last.expected !== next.expected).map(({ next }) => named(next)),
    unmeasured: same
      .filter(({ last, next }) => last.state !== 'ranked' || next.state !== 'ranked')
      .map(({ next }) => named(next)),
    lost: same
      .filter(({ last, next }) => last.state === 'ranked' && next.state !== 'ranked')
      .map(({ next }) => named(next)),
  }
}

const MISS_WEIGHS = 1e-6

/**
 * How much better the first expected document stands: the difference of 1 / rank; at the same rank a grade that became
 * or ceased to be a miss counts, a little.
 */
function changeOf(last: Comparable, next: Comparable): number {
  const worth = ({ ranks }: Comparable) => (ranks[0] === undefined ? 0 : 1 / ranks[0])
  const passed = (one: Comparable) => Number(gradedOf(one).passed)
  return worth(next) - worth(last) || (passed(next) - passed(last)) * MISS_WEIGHS
}

const sorted = (moves: readonly { readonly move: Moved; readonly by: number }[]): Moved[] =>
  [...moves].sort((a, b) => b.by - a.by).map(({ move }) => move)

const standing = ({ ranks, score, grade }: Comparable): Standing => ({ rank: ranks[0] ?? null, score, grade })

const moveOf = (last: Comparable, next: Comparable): Moved => ({
  ...named(next),
  before: standing(last),
  after: standing(next),
})

const named = ({ id, question }: Comparable): Named => ({ id, question })
