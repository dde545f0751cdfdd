/** Scores of pairs of texts under one generation. */
export interface Scored {
  /** Of pairs that do not belong together. */
  readonly unrelated: readonly number[]
  /** Of pairs that do. */
  readonly golden: readonly number[]
}

/** What was looked at together, a question or a pair, under both generations. */
export interface Sample {
  readonly old: Scored
  readonly new: Scored
}

export interface Range {
  readonly least: number
  /** Null: there is no largest one. */
  readonly most: number | null
}

/** Sorted. */
export const sortedOf = (values: Iterable<number>): Float64Array => Float64Array.from(values).sort()

/**
 * How many of some values are above a number. Steps are drawn out to lines, so that a share between two values has a
 * place too; of the largest, half of it is above itself.
 */
export function countAbove(sorted: Float64Array, value: number): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] ?? 0) >= value) high = middle
    else low = middle + 1
  }
  const above = sorted.length - low
  if (low === 0 || above === 0) return above
  const [before, at] = [sorted[low - 1] ?? 0, sorted[low] ?? 0]
  return above + 0.5 - (value - before) / (at - before)
}

/** The value that a share of some values are above, 0 to 1. */
export function valueAbove(sorted: Float64Array, share: number): number {
  const place = (1 - share) * sorted.length - 0.5
  const low = Math.max(0, Math.min(sorted.length - 1, Math.floor(place)))
  const high = Math.min(sorted.length - 1, low + 1)
  const part = Math.max(0, Math.min(1, place - low))
  return (sorted[low] ?? 0) * (1 - part) + (sorted[high] ?? 0) * part
}

/** How often one of the higher is above one of the lower, 0.5 where both are alike. */
export function aucOf(higher: Float64Array, lower: Float64Array): number {
  let [sum, below, upTo] = [0, 0, 0]
  for (const value of higher) {
    while (below < lower.length && (lower[below] ?? 0) < value) below++
    while (upTo < lower.length && (lower[upTo] ?? 0) <= value) upTo++
    sum += (below + upTo) / 2
  }
  return sum / (higher.length * lower.length)
}

/** Numbers from 0 up to 1, the same for one seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** As many as there are, drawn with return. */
export const redrawn = <T>(all: readonly T[], random: () => number): T[] =>
  all.map((one) => all[Math.floor(random() * all.length)] ?? one)
