import {
  limitOf,
  quantizeColumns,
  raiseColumns,
  raiseRows,
  scalesOf,
} from '@millrace/models/quantize/columns'
import { quantizeRows } from '@millrace/models/quantize/rows'
import { smoothing } from '@millrace/models/quantize/smooth'
import { expect, test } from 'vitest'

// Three input channels, two output channels, in two blocks.
const blocks = [
  { from: 0, values: Float32Array.of(1, -4, 0.5, 2) },
  { from: 2, values: Float32Array.of(-3, 0) },
]

test('maxima of rows and of smoothed columns are gathered over blocks', () => {
  const rows = new Float32Array(3)
  const columns = new Float32Array(2)
  for (const block of blocks) {
    raiseRows(rows, block, 2)
    raiseColumns(columns, block, Float32Array.of(2, 1, 1))
  }
  expect(rows).toEqual(Float32Array.of(4, 2, 3))
  expect(columns).toEqual(Float32Array.of(3, 8))
})

test('the largest weight of a column takes the largest integer, 127 or 63', () => {
  const factors = Float32Array.of(2, 1, 1)
  for (const [bits, most] of [
    [8, 127],
    [7, 63],
  ] as const) {
    const scales = scalesOf(Float32Array.of(3, 8), limitOf(bits))
    const integers = blocks.flatMap((block) => [...quantizeColumns(block, factors, scales)])
    expect(integers).toHaveLength(6)
    expect(integers[1]).toBe(-most)
    expect(integers[4]).toBe(-most)
    expect((integers[3] ?? 0) * (scales[1] ?? 0)).toBeCloseTo(2, 1)
  }
})

test('a column of zeros, and a row of zeros in a table, stay zeros', () => {
  const scales = scalesOf(Float32Array.of(0), 127)
  const block = { from: 0, values: Float32Array.of(0, 0) }
  expect(quantizeColumns(block, Float32Array.of(1, 1), scales)).toEqual(Int8Array.of(0, 0))
  expect(quantizeRows(Float32Array.of(0, 0, 2, -1), 2)).toEqual({
    integers: Int8Array.of(0, 0, 127, -63),
    scales: Float32Array.of(1, 2 / 127),
  })
})

test('smoothing takes the root of an outlier out of its channel, and leaves silent channels alone', () => {
  expect(smoothing(Float32Array.of(100, 1, 0, 5), Float32Array.of(1, 1, 1, 0))).toEqual(
    Float32Array.of(10, 1, 1, 1),
  )
  expect(smoothing(Float32Array.of(8), Float32Array.of(2), 0)).toEqual(Float32Array.of(0.5))
  expect(smoothing(Float32Array.of(8), Float32Array.of(2), 1)).toEqual(Float32Array.of(8))
})
