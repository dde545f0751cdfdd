import { setImmediate } from 'node:timers/promises'
import { matchGolden, matchUnrelated, measuredUpTo, type Scale, scaleOf, separation } from './match.js'
import { countAbove, type Range, randomOf, redrawn, type Sample, sortedOf, valueAbove } from './place.js'

/**
 * `golden`: of the pairs above, as large a part belongs together as before. `unrelated`: the same share of pairs that have
 * nothing to do with each other is above. `extrapolated`: no such pair was as alike as that, so it is about where it
 * would be. `unchanged`: such scores mean the same under every model. `none`: there is no number that means the same.
 */
export const CARRY_METHODS = ['golden', 'unrelated', 'extrapolated', 'unchanged', 'none'] as const
export type CarryMethod = (typeof CARRY_METHODS)[number]
export const SURENESSES = ['high', 'medium', 'low'] as const
export type Sureness = (typeof SURENESSES)[number]

/**
 * Where the pairs come from. `golden`, `logged`: what is asked, of the golden set or by people. `titles`: titles of documents
 * in the place of questions. `passages`: stored texts in that place.
 */
export const PAIR_SOURCES = ['golden', 'logged', 'titles', 'passages'] as const
export type PairSource = (typeof PAIR_SOURCES)[number]

/** Shares of the pairs that are above a threshold, 0 to 1. */
export interface SharesAbove {
  readonly unrelated: number
  /** Null: there are no golden pairs. */
  readonly golden: number | null
}

export interface Pairs {
  readonly unrelated: number
  readonly golden: number
  /** Empty: there are none. */
  readonly from: readonly PairSource[]
}

/** A threshold of one generation, and the one that means the same under another. */
export interface Carried {
  readonly old: number
  /** Null: nothing means the same. */
  readonly new: number | null
  /** Where it is in 95 of 100 samples like this one. */
  readonly low: number | null
  readonly high: number | null
  readonly method: CarryMethod
  readonly pairs: Pairs
  readonly above: { readonly old: SharesAbove; readonly new: SharesAbove | null } | null
  /** Whether what is above it differs from what is below. */
  readonly separates: boolean
  readonly sureness: Sureness
  /** In a sentence. */
  readonly why: string
}

export interface Evidence {
  /** What has nothing to do with each other: all pairs of a question are one sample. */
  readonly unrelated: readonly Sample[]
  /** What stands for questions in those. */
  readonly from: readonly PairSource[]
  /** Questions with what belongs to them and what does not; empty where there are none. */
  readonly golden: readonly Sample[]
  readonly range: Range
  /** Another one draws other samples for the interval. */
  readonly seed?: number | undefined
}

/** Below so many pairs nothing is carried. */
const UNRELATED_MIN = 50
export const GOLDEN_MIN = 20
/** With fewer questions, how alike one of them is to everything says too much. */
const QUESTIONS_SURE = 10
const RESAMPLES = 200
/** Of two pairs, one of each kind, how often the golden one has to score more; 0.5 is chance. */
const SEPARATES = 0.6
/** Above a threshold that tells nothing apart there are as many of the unrelated pairs as of the golden ones. */
const SAME_SHARES = 0.9
/** Golden pairs that have to be above: of fewer, none can be told from another. */
const GOLDEN_ABOVE_MIN = 3
/** With more of the unrelated pairs above, a threshold keeps nothing out. */
const KEEPS_NOTHING_OUT = 0.95

/**
 * The thresholds of an old generation under a new one: in the order they are given, and in that of their size.
 * The same ones for the same evidence. Others of this thread get their turns meanwhile.
 */
export async function carryOver(evidence: Evidence, thresholds: readonly number[]): Promise<Carried[]> {
  const { golden, unrelated, from, range } = evidence
  const labelled = [scaleOf(golden, 'old'), scaleOf(golden, 'new')] as const
  const isGolden = labelled.every((one) => one.golden.length >= GOLDEN_MIN && one.unrelated.length >= 1)
  if (isGolden) return carryBy(goldenWay(golden, range), thresholds, evidence.seed)
  const plain = [scaleOf(unrelated, 'old'), scaleOf(unrelated, 'new')] as const
  if (plain.every((one) => one.unrelated.length >= UNRELATED_MIN)) {
    return carryBy(unrelatedWay(unrelated, from, range), thresholds, evidence.seed)
  }
  const pairs = plain[0].unrelated.length
  const why = `There are ${pairs} pairs to compare, and fewer than ${UNRELATED_MIN} say nothing.`
  return thresholds.map((old) =>
    refusedOf(old, { unrelated: pairs, golden: 0, from: pairs === 0 ? [] : from }, null, why),
  )
}

/** One way to find new thresholds. */
interface Way {
  readonly samples: readonly Sample[]
  readonly from: readonly PairSource[]
  readonly match: (from: Scale, to: Scale, thresholds: readonly number[]) => number[]
  /** Why a threshold cannot be carried; undefined: it can. */
  readonly refusal: (from: Scale, to: Scale, old: number) => string | undefined
  readonly method: (from: Scale, old: number) => CarryMethod
  /** @param width of the interval, in steps of what tells pairs apart */
  readonly sureness: (from: Scale, old: number, width: number) => readonly [Sureness, string]
  readonly range: Range
}

const goldenWay = (samples: readonly Sample[], range: Range): Way => ({
  samples,
  from: ['golden'],
  range,
  match: matchGolden,
  refusal: refusalOfGolden,
  method: () => 'golden',
  sureness: (from, old, width) => {
    const [right, wrong] = [countAbove(from.golden, old), countAbove(from.unrelated, old)]
    const shown = `Of ${Math.round(right + wrong)} pairs above the old one ${Math.round(right)} belong together, and as large a part of those above the new one`
    const few = Math.min(right, wrong) < 10
    if (from.golden.length >= 100 && !few && width <= 0.2) return ['high', `${shown}.`]
    if (from.golden.length >= 30 && width <= 0.5) return ['medium', `${shown}, as far as so few tell.`]
    return ['low', `${shown}; so few pairs hardly tell where that is.`]
  },
})

const unrelatedWay = (samples: readonly Sample[], from: readonly PairSource[], range: Range): Way => ({
  samples,
  from,
  range,
  match: (scale, to, thresholds) => matchUnrelated(scale.unrelated, to.unrelated, range, thresholds),
  refusal: ({ unrelated }, _, old) => {
    const share = shareAbove(unrelated, old)
    if (share <= KEEPS_NOTHING_OUT) return undefined
    return `${percent(share)} of ${pairsOf(from)} are above it: it keeps nothing out that another one could.`
  },
  method: ({ unrelated }, old) => (old > measuredUpTo(unrelated) ? 'extrapolated' : 'unrelated'),
  sureness: ({ unrelated }, old, width) => {
    if (old > measuredUpTo(unrelated)) {
      return [
        'low',
        `Hardly any of ${pairsOf(from)} is above it, so where it lies is drawn on from those below.`,
      ]
    }
    const shown = `${percent(shareAbove(unrelated, old))} of ${pairsOf(from)} are above it, and above the new one`
    if (!isAsked(from)) return ['low', `${shown}; nobody asks those: questions would tell.`]
    if (samples.length < QUESTIONS_SURE) {
      return ['low', `${shown}, but of ${samples.length} questions alone: more of them would tell.`]
    }
    const note = `what belongs together may lie elsewhere: ${GOLDEN_MIN} golden questions would tell`
    return width <= 0.5 ? ['medium', `${shown}; ${note}.`] : ['low', `${shown}, of few pairs; ${note}.`]
  },
})

const isAsked = (from: readonly PairSource[]): boolean => from.includes('golden') || from.includes('logged')

function pairsOf(from: readonly PairSource[]): string {
  if (isAsked(from)) return 'the pairs of a question and any passage that is not its answer'
  if (from.includes('titles')) return 'the pairs of a title and any passage of another document'
  return 'the pairs of passages of two documents'
}

function refusalOfGolden(from: Scale, to: Scale, old: number): string | undefined {
  for (const [name, scale] of [
    ['old', from],
    ['new', to],
  ] as const) {
    const auc = separation(scale)
    if (auc < SEPARATES) {
      return `Scores of the ${name} generation do not tell what belongs together from what does not (AUC ${auc.toFixed(2)}): no threshold separates.`
    }
  }
  const right = countAbove(from.golden, old)
  if (right < GOLDEN_ABOVE_MIN)
    return 'Nothing that belongs together is above the old one: nothing lies there.'
  const [share, wrong] = [right / from.golden.length, shareAbove(from.unrelated, old)]
  if (wrong <= SAME_SHARES * share) return undefined
  return `The old one separates nothing: above it are ${percent(share)} of what belongs together and ${percent(wrong)} of what does not.`
}

async function carryBy(way: Way, thresholds: readonly number[], seed = 1): Promise<Carried[]> {
  const [from, to] = [scaleOf(way.samples, 'old'), scaleOf(way.samples, 'new')]
  const refusals = thresholds.map((old) => way.refusal(from, to, old))
  const carried = thresholds.filter((_, i) => refusals[i] === undefined)
  const found = inOrder(carried, way.match(from, to, carried))
  const spread = await spreadOf(way, carried, seed)
  const pairs = { unrelated: from.unrelated.length, golden: from.golden.length, from: way.from }
  let next = 0
  return thresholds.map((old, i): Carried => {
    const refusal = refusals[i]
    if (refusal !== undefined) return refusedOf(old, pairs, sharesAt(from, old), refusal)
    const at = next++
    const value = rounded(within(way.range, found[at] ?? old))
    const ends = spread[at] ?? sortedOf([value])
    const [low, high] = [valueAbove(ends, 0.975), valueAbove(ends, 0.025)]
    const [sureness, why] = way.sureness(from, old, (high - low) / stepOf(to))
    return {
      old,
      new: value,
      low: rounded(Math.min(value, within(way.range, low))),
      high: rounded(Math.max(value, within(way.range, high))),
      method: way.method(from, old),
      pairs,
      above: { old: sharesAt(from, old), new: sharesAt(to, value) },
      separates: true,
      sureness,
      why,
    }
  })
}

/** Of each threshold, sorted, what other samples of the same kind would have found. */
async function spreadOf(way: Way, thresholds: readonly number[], seed: number): Promise<Float64Array[]> {
  if (thresholds.length === 0) return []
  const random = randomOf(seed)
  const found: number[][] = []
  for (let i = 0; i < RESAMPLES; i++) {
    const drawn = redrawn(way.samples, random)
    found.push(way.match(scaleOf(drawn, 'old'), scaleOf(drawn, 'new'), thresholds))
    await setImmediate()
  }
  return thresholds.map((_, i) => sortedOf(found.map((one) => one[i] ?? Number.NaN)))
}

function refusedOf(old: number, pairs: Carried['pairs'], above: SharesAbove | null, why: string): Carried {
  return {
    old,
    new: null,
    low: null,
    high: null,
    method: 'none',
    pairs,
    above: above === null ? null : { old: above, new: null },
    separates: false,
    sureness: 'low',
    why,
  }
}

/** From the middle of unrelated pairs to that of golden ones, else to the largest that were seen. */
function stepOf({ unrelated, golden }: Scale): number {
  const middle = valueAbove(unrelated, 0.5)
  const other = golden.length > 0 ? valueAbove(golden, 0.5) : measuredUpTo(unrelated)
  return Math.max(1e-6, Math.abs(other - middle))
}

const shareAbove = (sorted: Float64Array, value: number): number =>
  sorted.length === 0 ? 0 : countAbove(sorted, value) / sorted.length

const sharesAt = ({ unrelated, golden }: Scale, value: number): SharesAbove => ({
  unrelated: rounded(shareAbove(unrelated, value)),
  golden: golden.length === 0 ? null : rounded(shareAbove(golden, value)),
})

const percent = (share: number): string => `${Math.round(1000 * share) / 10} %`

/** Six decimals: what float32 holds of a score. */
const rounded = (value: number): number => Math.round(value * 1e6) / 1e6

const within = ({ least, most }: Range, value: number): number =>
  Math.max(least, most === null ? value : Math.min(most, value))

/** New thresholds in the order of the old ones: neighbours in the wrong order become what they are on average. */
function inOrder(olds: readonly number[], found: readonly number[]): number[] {
  const order = olds.map((_, i) => i).sort((a, b) => (olds[a] ?? 0) - (olds[b] ?? 0))
  const pools: { sum: number; members: number[] }[] = []
  for (const place of order) {
    let pool = { sum: found[place] ?? 0, members: [place] }
    for (let last = pools.at(-1); last !== undefined && meanOf(last) > meanOf(pool); last = pools.at(-1)) {
      pools.pop()
      pool = { sum: last.sum + pool.sum, members: [...last.members, ...pool.members] }
    }
    pools.push(pool)
  }
  const values = new Map(pools.flatMap((pool) => pool.members.map((place) => [place, meanOf(pool)] as const)))
  return olds.map((_, i) => values.get(i) ?? 0)
}

const meanOf = ({ sum, members }: { readonly sum: number; readonly members: readonly number[] }): number =>
  sum / members.length
