import {
  type BatchLimits,
  INTERACTIVE_RUN_MAX,
  nextPriority,
  PASS_TOKENS,
  pickRange,
} from '@millrace/embed/batch'
import { createRows } from '@millrace/embed/rows'
import { describe, expect, test } from 'vitest'

const wide: BatchLimits = { paddedTokens: 1_000_000, attention: 1e12 }
const waiting = (lengths: readonly number[]) => lengths.map((length) => ({ length }))

describe('the batch around a row', () => {
  test('takes rows of like length on both sides', () => {
    expect(pickRange(waiting([10, 100, 101, 102, 300]), 2, wide)).toEqual({ from: 1, to: 4 })
  })

  test('ends where its padded tokens would pass the limit', () => {
    const { from, to } = pickRange(waiting([20, 20, 20, 20, 20]), 0, { ...wide, paddedTokens: 60 })
    expect([from, to]).toEqual([0, 3])
  })

  test('ends where attention would pass its limit, long before its tokens do', () => {
    const { from, to } = pickRange(waiting([500, 500, 500, 500]), 1, { ...wide, attention: 2 * 500 * 500 })
    expect(to - from).toBe(2)
  })

  test('a row over every limit goes alone', () => {
    expect(pickRange(waiting([9, 9_000]), 1, { paddedTokens: 512, attention: 1 })).toEqual({ from: 1, to: 2 })
  })

  test('a row whose padding costs more than a pass of its own is left out', () => {
    const length = 30
    expect(pickRange(waiting([length - PASS_TOKENS, length]), 1, wide)).toEqual({ from: 0, to: 2 })
    expect(pickRange(waiting([length - PASS_TOKENS - 1, length]), 1, wide)).toEqual({ from: 1, to: 2 })
  })

  test('of random rows: holds its head, keeps its limits, and wastes little', () => {
    let state = 7
    const random = () => {
      state = (state * 48_271) % 2_147_483_647
      return state / 2_147_483_647
    }
    const lengths = Array.from({ length: 400 }, () => 3 + Math.floor(random() ** 3 * 509)).sort(
      (a, b) => a - b,
    )
    const rows = waiting(lengths)
    const limits = { paddedTokens: 768, attention: 1 << 20 }
    let padded = 0
    let tokens = 0
    while (rows.length > 0) {
      const head = Math.floor(random() * rows.length)
      const { from, to } = pickRange(rows, head, limits)
      expect(from <= head && head < to).toBe(true)
      const batch = rows.splice(from, to - from)
      const longest = batch.at(-1)?.length ?? 0
      expect(batch.length === 1 || batch.length * longest <= limits.paddedTokens).toBe(true)
      padded += batch.length * longest
      tokens += batch.reduce((sum, { length }) => sum + length, 0)
    }
    expect(padded / tokens).toBeLessThan(1.1)
  })
})

describe('whose turn it is', () => {
  test('queries go before bulk work', () => {
    expect(nextPriority({ interactive: true, bulk: true }, 0)).toBe('interactive')
  })
  test('a flood of queries lets bulk work in now and then', () => {
    expect(nextPriority({ interactive: true, bulk: true }, INTERACTIVE_RUN_MAX)).toBe('bulk')
  })
  test('nobody waits: nobody', () => {
    expect(nextPriority({ interactive: false, bulk: false }, 3)).toBeUndefined()
  })
})

describe('rows that wait', () => {
  const text = (request: number, priority: 'interactive' | 'bulk' = 'bulk', model = 'm') => ({
    request,
    priority,
    model,
  })
  const ids = (length: number) => [new Int32Array(length)]
  const requests = (batch: { rows: readonly { text: { request: number } }[] } | undefined) =>
    batch?.rows.map((row) => row.text.request)

  test('the one that came first is in the next batch, however odd its length', () => {
    const rows = createRows()
    rows.add(text(1), ids(400))
    for (let request = 2; request < 50; request++) rows.add(text(request), ids(10))
    expect(requests(rows.take(() => wide))).toEqual([1])
    expect(requests(rows.take(() => wide))).toHaveLength(48)
    expect(rows.take(() => wide)).toBeUndefined()
  })

  test('a query overtakes what came before it', () => {
    const rows = createRows()
    rows.add(text(1), ids(10))
    rows.add(text(2, 'interactive'), ids(10))
    expect(requests(rows.take(() => wide))).toEqual([2])
    expect(requests(rows.take(() => wide))).toEqual([1])
  })

  test('requests take turns at the head of a batch: few texts do not wait for many', () => {
    const rows = createRows()
    for (let i = 0; i < 40; i++) rows.add(text(1), ids(200 + i))
    rows.add(text(2), ids(10))
    rows.add(text(3), ids(20))
    const narrow = { paddedTokens: 512, attention: 1e12 }
    const heads = Array.from({ length: 4 }, () => requests(rows.take(() => narrow)))
    expect(heads).toEqual([
      [1, 1],
      [2, 3],
      [1, 1],
      [1, 1],
    ])
  })

  test('models never share a batch', () => {
    const rows = createRows()
    rows.add(text(1, 'bulk', 'a'), ids(10))
    rows.add(text(2, 'bulk', 'b'), ids(10))
    rows.add(text(3, 'bulk', 'a'), ids(10))
    expect(requests(rows.take(() => wide))).toEqual([1, 3])
    expect(requests(rows.take(() => wide))).toEqual([2])
  })

  test('those of a dropped request are gone', () => {
    const rows = createRows()
    rows.add(text(1), ids(10))
    rows.add(text(2), ids(10))
    rows.drop(1)
    expect(requests(rows.take(() => wide))).toEqual([2])
    rows.drop(2)
    expect(rows.take(() => wide)).toBeUndefined()
  })
})
