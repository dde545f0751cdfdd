import { aucOf, countAbove, type Range, type Sample, sortedOf, valueAbove } from './place.js'

/** Both kinds of pairs under one generation, sorted. */
export interface Scale {
  readonly unrelated: Float64Array
  readonly golden: Float64Array
}

export function scaleOf(samples: readonly Sample[], side: keyof Sample): Scale {
  const [unrelated, golden]: [number[], number[]] = [[], []]
  // Hundreds of times over thousands of samples: no list of lists.
  for (const { [side]: scored } of samples) {
    for (const score of scored.unrelated) unrelated.push(score)
    for (const score of scored.golden) golden.push(score)
  }
  return { unrelated: sortedOf(unrelated), golden: sortedOf(golden) }
}

export const separation = ({ unrelated, golden }: Scale): number => aucOf(golden, unrelated)

/** What is above a threshold: counts with half a pair more, so that none has a logarithm too. */
interface Above {
  readonly unrelated: number
  readonly golden: number
}

const aboveOf = ({ unrelated, golden }: Scale, value: number): Above => ({
  unrelated: countAbove(unrelated, value) + 0.5,
  golden: countAbove(golden, value) + 0.5,
})

/** Thresholds that are tried: more would be finer than what samples tell apart. */
const TRIED = 800
/** What e times as many golden pairs above weigh, in standard errors of the rest: so little that it decides only ties. */
const GOLDEN_WEIGHT = 0.4

/**
 * The thresholds under the new generation whose precision is that of the old ones: among the pairs above, as many are
 * unrelated to each golden one as were. Were there ten times as many unrelated pairs, as there may be in real use, both
 * precisions would be others and still the same. How well that is known depends on how many pairs were above the old
 * one; where few were, or where several thresholds have that precision, the share of golden pairs above decides.
 */
export function matchGolden(from: Scale, to: Scale, thresholds: readonly number[]): number[] {
  const tried = triedOf(to)
  const above = tried.map((value) => aboveOf(to, value))
  return thresholds.map((threshold) => {
    const old = aboveOf(from, threshold)
    const costs = above.map((one) => costOf(old, one))
    return tried[costs.indexOf(Math.min(...costs))] ?? threshold
  })
}

function triedOf({ unrelated, golden }: Scale): number[] {
  const least = Math.min(unrelated[0] ?? 0, golden[0] ?? 0)
  const most = Math.max(unrelated.at(-1) ?? 0, golden.at(-1) ?? 0)
  return Array.from({ length: TRIED + 1 }, (_, i) => least + ((most - least) * i) / TRIED)
}

function costOf(old: Above, one: Above): number {
  const precision = Math.log((one.unrelated * old.golden) / (one.golden * old.unrelated))
  const share = Math.log(one.golden / old.golden) * GOLDEN_WEIGHT
  return precision ** 2 / (1 / old.unrelated + 1 / old.golden) + share ** 2
}

/** So many of the largest are too few to say where the next would be. */
const LARGEST = 5

/** From where on the place among unrelated pairs is not measured. */
export const measuredUpTo = (unrelated: Float64Array): number =>
  unrelated[Math.max(0, unrelated.length - LARGEST)] ?? 0

/**
 * The thresholds that the same share of unrelated pairs are above. Beyond the largest of them there is no share to keep:
 * the place between them and the largest score there is, which two equal texts have under every model, is kept instead;
 * of scores without a largest one, the distance in widths of the upper half.
 */
export function matchUnrelated(
  from: Float64Array,
  to: Float64Array,
  { most }: Range,
  thresholds: readonly number[],
): number[] {
  const [end, newEnd] = [measuredUpTo(from), measuredUpTo(to)]
  return thresholds.map((threshold) => {
    if (threshold <= end) return valueAbove(to, countAbove(from, threshold) / from.length)
    if (most === null) return newEnd + ((threshold - end) * widthOf(to)) / widthOf(from)
    return most <= end ? most : newEnd + ((threshold - end) * Math.max(0, most - newEnd)) / (most - end)
  })
}

const widthOf = (sorted: Float64Array): number =>
  Math.max(1e-9, measuredUpTo(sorted) - valueAbove(sorted, 0.5))
