/** An interval of similarities: `from` is in it, `to` is in the next; of the last one `to` is in it too. */
export interface Bin {
  readonly from: number
  readonly to: number
}

/** Equal ones up to 1, from 0 or, where some value is less, the tenth below the least. */
export function binsOf(values: readonly number[], count: number): Bin[] {
  const least = values.reduce((less, value) => Math.min(less, value), 0)
  const from = Math.max(-1, Math.floor(10 * least) / 10)
  const edge = (i: number) => rounded(from + ((1 - from) * i) / count)
  return Array.from({ length: count }, (_, i) => ({ from: edge(i), to: edge(i + 1) }))
}

/** How many values are in each; what is outside of all counts for the nearest. */
export function countsOf(values: readonly number[], bins: readonly Bin[]): number[] {
  const counts = bins.map(() => 0)
  const from = bins[0]?.from ?? 0
  const width = ((bins.at(-1)?.to ?? 0) - from) / bins.length
  for (const value of values) {
    const guess = Math.min(bins.length - 1, Math.max(0, Math.floor((value - from) / width)))
    // Edges are rounded: a value beside one may belong to the neighbour.
    const place = guess + (value >= (bins[guess]?.to ?? 1) ? 1 : value < (bins[guess]?.from ?? -1) ? -1 : 0)
    const within = Math.min(bins.length - 1, Math.max(0, place))
    counts[within] = (counts[within] ?? 0) + 1
  }
  return counts
}

/** Null of none. */
export const meanOf = (values: readonly number[]): number | null =>
  values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length

/** To what float32 holds of a similarity. */
export const rounded = (value: number): number => Math.round(value * 1e6) / 1e6
