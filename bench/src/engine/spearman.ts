/**
 * Spearman's rank correlation: Pearson's, of the ranks. Equal values share the mean of their ranks.
 * @returns -1 to 1; NaN where one side has one value throughout
 */
export function spearman(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) throw new RangeError(`Cannot correlate ${a.length} values with ${b.length}`)
  return pearson(ranks(a), ranks(b))
}

/** The rank of each value, from 1. */
export function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => (values[i] ?? 0) - (values[j] ?? 0))
  const found: number[] = []
  for (let from = 0; from < order.length; ) {
    let to = from + 1
    while (to < order.length && values[order[to] ?? -1] === values[order[from] ?? -1]) to++
    // Ranks from + 1 to `to`: their mean.
    for (const i of order.slice(from, to)) found[i] = (from + 1 + to) / 2
    from = to
  }
  return found
}

function pearson(a: readonly number[], b: readonly number[]): number {
  const [meanA, meanB] = [mean(a), mean(b)]
  let [product, squareA, squareB] = [0, 0, 0]
  for (const [i, value] of a.entries()) {
    const [x, y] = [value - meanA, (b[i] ?? 0) - meanB]
    product += x * y
    squareA += x * x
    squareB += y * y
  }
  return product / Math.sqrt(squareA * squareB)
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length
