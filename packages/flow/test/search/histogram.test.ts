import { binsOf, countsOf } from '@millrace/flow'
import { describe, expect, test } from 'vitest'

describe('bins', () => {
  test('go from 0 to 1 and touch each other', () => {
    const bins = binsOf([0.2, 0.9], 4)
    expect(bins).toEqual([
      { from: 0, to: 0.25 },
      { from: 0.25, to: 0.5 },
      { from: 0.5, to: 0.75 },
      { from: 0.75, to: 1 },
    ])
    const many = binsOf([], 7)
    expect(many).toHaveLength(7)
    expect(many.slice(1).every(({ from }, i) => from === many[i]?.to)).toBe(true)
    expect(many.at(-1)?.to).toBe(1)
  })

  test.each([
    [-0.01, -0.1],
    [-0.33, -0.4],
    [-0.4, -0.4],
    [-1, -1],
    [0.5, 0],
  ])('begin below the least: %f, %f', (value, from) => {
    expect(binsOf([0.7, value], 10)[0]?.from).toBe(from)
  })
})

describe('counts', () => {
  test('each value once; an edge belongs to the bin that begins there, 1 to the last', () => {
    const values = [0, 0.24, 0.25, 0.5, 0.75, 1]
    expect(countsOf(values, binsOf(values, 4))).toEqual([2, 1, 1, 2])
    expect(countsOf([], binsOf([], 2))).toEqual([0, 0])
    expect(countsOf([-0.3, 1.2], binsOf([], 2))).toEqual([1, 1])
  })

  test('agree with the edges that are shown, rounded as they are', () => {
    for (const count of [1, 3, 7, 60, 61, 199]) {
      const values = Array.from({ length: 2_001 }, (_, i) => Math.round(i * 500 - 2e5) / 1e6)
      const bins = binsOf(values, count)
      const values2 = [...values, ...bins.map(({ from }) => from)]
      const last = bins.length - 1
      const expected = bins.map(
        ({ from, to }, i) =>
          values2.filter((value) => value >= from && (value < to || (i === last && value <= to))).length,
      )
      expect(countsOf(values2, bins)).toEqual(expected)
    }
  })
})
