export interface Bin {
  readonly from: number
  readonly to: number
}

/** The share of pairs above a similarity, 0 to 1; within a bin they are taken to lie evenly. null: no pairs. */
export function shareAbove(bins: readonly Bin[], counts: readonly number[], at: number): number | null {
  const all = counts.reduce((sum, count) => sum + count, 0)
  if (all === 0) return null
  const above = bins.reduce((sum, { from, to }, i) => {
    const part = Math.min(1, Math.max(0, (to - at) / (to - from)))
    return sum + part * (counts[i] ?? 0)
  }, 0)
  return above / all
}

/** Counts as percent of all of them. */
export function percents(counts: readonly number[]): number[] {
  const all = counts.reduce((sum, count) => sum + count, 0)
  return counts.map((count) => (all === 0 ? 0 : (100 * count) / all))
}

export const STEP = 0.01
/** How far a line moves with a key, as sliders do; null: not one of their keys. */
export function moveBy(key: string, value: number, min: number, max: number): number | null {
  const moved = {
    ArrowRight: value + STEP,
    ArrowUp: value + STEP,
    ArrowLeft: value - STEP,
    ArrowDown: value - STEP,
    PageUp: value + 10 * STEP,
    PageDown: value - 10 * STEP,
    Home: min,
    End: max,
  }[key]
  return moved === undefined ? null : within(moved, min, max)
}

/** To two digits, in the range: nobody means a third when they drag. */
export const within = (value: number, min: number, max: number): number =>
  Math.round(Math.min(max, Math.max(min, value)) * 100) / 100

/** Whether each level begins above the next lower one, the highest first. */
export const isDescending = (borders: readonly number[]): boolean =>
  borders.every((border, i) => i === 0 || border < (borders[i - 1] ?? Number.POSITIVE_INFINITY))
