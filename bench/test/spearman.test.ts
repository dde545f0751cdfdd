import { ranks, spearman } from '@millrace/bench/engine/spearman'
import { describe, expect, test } from 'vitest'

describe('rank correlation', () => {
  test('equal values share the mean of their ranks', () => {
    expect(ranks([10, 30, 20, 20])).toEqual([1, 4, 2.5, 2.5])
    expect(ranks([7, 7, 7])).toEqual([2, 2, 2])
    expect(ranks([])).toEqual([])
  })

  test('sees order alone', () => {
    expect(spearman([1, 2, 3, 4], [1, 10, 100, 1_000])).toBeCloseTo(1, 12)
    expect(spearman([1, 2, 3, 4], [4, 3, 2, 1])).toBeCloseTo(-1, 12)
  })

  test('agrees with the formula by hand, without and with ties', () => {
    // 1 - 6 Σd² / (n (n² - 1)), the example of https://en.wikipedia.org/wiki/Spearman's_rank_correlation_coefficient
    const iq = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    const hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    expect(spearman(iq, hours)).toBeCloseTo(-29 / 165, 12)
    // Ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: 4.5 / √(4.5 × 5).
    expect(spearman([1, 2, 2, 3], [1, 3, 2, 4])).toBeCloseTo(4.5 / Math.sqrt(22.5), 12)
  })

  test('has no value where nothing varies, and refuses sides of different length', () => {
    expect(spearman([1, 1], [1, 2])).toBeNaN()
    expect(() => spearman([1], [1, 2])).toThrow(RangeError)
  })
})
