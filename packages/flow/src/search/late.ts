import { setImmediate } from 'node:timers/promises'
import { type ColbertVectors, colbertScore } from '@millrace/embed'

/** Products of one score: some 500 tokens each of 1,024 dims, a second or two of this thread. */
const PRODUCTS_MAX = 1 << 28
/** Products between which others get their turn: some 5 ms. */
const PRODUCTS_AT_ONCE = 1 << 20

/** `colbertScore`, a few tokens at a time; undefined where the texts are too long for it. */
export async function lateScore(
  query: ColbertVectors,
  document: ColbertVectors,
): Promise<number | undefined> {
  const { values, count, dims } = query
  const products = document.count * dims
  if (count * products > PRODUCTS_MAX) return undefined
  if (count === 0) return 0
  const step = Math.max(1, Math.floor(PRODUCTS_AT_ONCE / Math.max(1, products)))
  let sum = 0
  for (let from = 0; from < count; from += step) {
    const rows = Math.min(step, count - from)
    const part = { values: values.subarray(from * dims, (from + rows) * dims), count: rows, dims }
    sum += colbertScore(part, document) * rows
    await setImmediate()
  }
  return sum / count
}
