import { describe, expect, test } from 'vitest'
import { isDescending, moveBy, percents, shareAbove } from '../src/pages/recall/shares.ts'

const BINS = [
  { from: 0, to: 0.5 },
  { from: 0.5, to: 1 },
]

describe('shares of pairs', () => {
  test.each([
    { at: 0, share: 1 },
    { at: 0.5, share: 0.25 },
    { at: 0.75, share: 0.125 },
    { at: 1, share: 0 },
    { at: -0.2, share: 1 },
  ])('above $at: $share', ({ at, share }) => {
    expect(shareAbove(BINS, [3, 1], at)).toBe(share)
  })
  test('of no pairs there is none', () => {
    expect(shareAbove(BINS, [0, 0], 0.5)).toBeNull()
    expect(percents([0, 0])).toEqual([0, 0])
    expect(percents([3, 1])).toEqual([75, 25])
  })
})

describe('a line that is moved', () => {
  test.each([
    { key: 'ArrowRight', to: 0.51 },
    { key: 'ArrowDown', to: 0.49 },
    { key: 'PageUp', to: 0.6 },
    { key: 'Home', to: -0.1 },
    { key: 'End', to: 1 },
    { key: 'a', to: null },
  ])('$key: $to', ({ key, to }) => {
    expect(moveBy(key, 0.5, -0.1, 1)).toBe(to)
  })
  test('stays in the range', () => {
    expect(moveBy('ArrowRight', 1, 0, 1)).toBe(1)
    expect(moveBy('PageDown', 0.05, 0, 1)).toBe(0)
  })
  test('higher levels begin above lower ones', () => {
    expect(isDescending([0.8, 0.5])).toBe(true)
    expect(isDescending([0.5, 0.5])).toBe(false)
    expect(isDescending([])).toBe(true)
  })
})
