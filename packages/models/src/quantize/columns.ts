/*
 * Rows of a weight matrix [k, n], in blocks of whole rows, row-major. Each input channel is a row and has a
 * smoothing factor; each output channel is a column and has a scale. Nothing here reads a file.
 */

/** Some rows of a matrix. */
export interface Block {
  /** The first row's number. */
  readonly from: number
  /** rows × n values. */
  readonly values: Float32Array
}

/** Raises `maxima[k]` to the largest absolute value of row k, for the rows of the block. */
export function raiseRows(maxima: Float32Array, { from, values }: Block, n: number): void {
  for (let at = 0, k = from; at < values.length; k++) {
    let most = maxima[k] ?? 0
    for (const end = at + n; at < end; at++) {
      const value = Math.abs(values[at] ?? 0)
      if (value > most) most = value
    }
    maxima[k] = most
  }
}

/** Raises `maxima[j]` to the largest absolute value of column j after smoothing. */
export function raiseColumns(maxima: Float32Array, { from, values }: Block, factors: Float32Array): void {
  const n = maxima.length
  for (let at = 0, k = from; at < values.length; k++) {
    const factor = factors[k] ?? 1
    for (let j = 0; j < n; j++, at++) {
      const value = Math.abs((values[at] ?? 0) * factor)
      if (value > (maxima[j] ?? 0)) maxima[j] = value
    }
  }
}

/** The largest integer of a weight: 127 for 8 bits, 63 for 7. */
export const limitOf = (bits: 7 | 8): number => (bits === 8 ? 127 : 63)

/** What an integer of each column is worth. A column of zeros has the scale 1: its integers are 0. */
export const scalesOf = (maxima: Float32Array, limit: number): Float32Array =>
  maxima.map((most) => (most > 0 ? most / limit : 1))

/** The block's weights after smoothing, in units of their column's scale, rounded: from -limit to limit. */
export function quantizeColumns(
  { from, values }: Block,
  factors: Float32Array,
  scales: Float32Array,
): Int8Array {
  const n = scales.length
  const inverse = Float64Array.from(scales, (scale) => 1 / scale)
  const integers = new Int8Array(values.length)
  for (let at = 0, k = from; at < values.length; k++) {
    const factor = factors[k] ?? 1
    for (let j = 0; j < n; j++, at++) {
      integers[at] = Math.round((values[at] ?? 0) * factor * (inverse[j] ?? 0))
    }
  }
  return integers
}
