import { type ColbertVectors, colbertScore } from '@millrace/embed'
import { lateScore } from '@millrace/flow/search/late'
import { expect, test } from 'vitest'

const vectors = (count: number, seed: number, dims = 64): ColbertVectors => ({
  values: Float32Array.from({ length: count * dims }, (_, i) => Math.sin(i * seed)),
  count,
  dims,
})

test('a few tokens at a time give the score of all at once', async () => {
  for (const [a, b] of [
    [1, 1],
    [300, 200],
    [3, 4_000],
  ] as const) {
    const [query, document] = [vectors(a, 1.1), vectors(b, 2.3)]
    expect(await lateScore(query, document)).toBeCloseTo(colbertScore(query, document), 6)
  }
  expect(await lateScore(vectors(0, 1), vectors(2, 1))).toBe(0)
})

test('texts that would take too long have none', async () => {
  expect(await lateScore(vectors(3_000, 1), vectors(3_000, 1))).toBeUndefined()
})
