import { dot, normalize } from '@millrace/embed'
import { allFinite, pool, poolWindows } from '@millrace/embed/pool'
import { describe, expect, test } from 'vitest'

// Two tokens of three dims, then a row of padding.
const rows = Float32Array.of(1, 2, 3, 3, 0, -1, 9, 9, 9)

describe('pooling the tokens of a text', () => {
  test('cls takes the first token', () => {
    expect([...pool(rows, 2, 3, 'cls')]).toEqual([1, 2, 3])
  })
  test('mean leaves padding out', () => {
    expect([...pool(rows, 2, 3, 'mean')]).toEqual([2, 1, 1])
  })
  test('max takes the largest of each dimension, padding left out', () => {
    expect([...pool(rows, 2, 3, 'max')]).toEqual([3, 2, 3])
  })
  test('the result is memory of its own', () => {
    const pooled = pool(rows, 2, 3, 'cls')
    expect(pooled.buffer.byteLength).toBe(12)
  })
})

describe('pooling the windows of a text', () => {
  test('weighs a window by its tokens', () => {
    const a = { vector: Float32Array.of(1, 0), tokens: 3 }
    const b = { vector: Float32Array.of(0, 1), tokens: 1 }
    expect([...poolWindows([a, b])]).toEqual([0.75, 0.25])
  })
  test('max takes the largest of each dimension, whatever the tokens', () => {
    const a = { vector: Float32Array.of(1, -2), tokens: 3 }
    const b = { vector: Float32Array.of(0, 1), tokens: 1 }
    expect([...poolWindows([a, b], 'max')]).toEqual([1, 1])
  })
  test('a text without windows has no vector', () => {
    expect(() => poolWindows([])).toThrow(RangeError)
  })
})

test('a normalized vector has length 1', () => {
  const vector = normalize(Float32Array.of(3, 4))
  expect([...vector].map((value) => Number(value.toFixed(6)))).toEqual([0.6, 0.8])
  expect(dot(vector, vector)).toBeCloseTo(1, 6)
})

test.each([[[0, 0]], [[Number.NaN, 1]], [[Number.POSITIVE_INFINITY, 1]]])(
  'a vector without a direction (%s) becomes NaN, never something that looks like one',
  (values) => {
    expect(allFinite(normalize(Float32Array.from(values)))).toBe(false)
  },
)

test('vectors of different lengths are not multiplied', () => {
  expect(() => dot(new Float32Array(2), new Float32Array(3))).toThrow('2 dims with one of 3')
})
