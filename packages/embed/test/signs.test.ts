import { type ColbertVectors, colbertScore, normalize, signScorer, signsOf } from '@millrace/embed'
import { expect, test } from 'vitest'

/** Unit vectors that differ by `seed`. */
function vectors(count: number, dims: number, seed: number): ColbertVectors {
  const values = new Float32Array(count * dims)
  for (let i = 0; i < values.length; i++) values[i] = Math.sin((i + 1) * (seed + 1) * 12.9898)
  for (let row = 0; row < count; row++) {
    values.set(normalize(values.slice(row * dims, (row + 1) * dims)), row * dims)
  }
  return { values, count, dims }
}

/** The same vectors with each number replaced by its sign / √dims. */
function asSigns({ values, count, dims }: ColbertVectors): ColbertVectors {
  return { values: values.map((value) => (value > 0 ? 1 : -1) / Math.sqrt(dims)), count, dims }
}

test.each([8, 16, 20, 3])('the score of signs is that of unit vectors of signs, at %i dims', (dims) => {
  const query = vectors(5, dims, 1)
  for (const seed of [2, 3, 4]) {
    const document = vectors(11, dims, seed)
    const signs = signsOf(document)
    expect(signs.bits).toHaveLength(11 * Math.ceil(dims / 8))
    expect(signScorer(query)(signs)).toBeCloseTo(colbertScore(query, asSigns(document)), 6)
  }
})

test('the first number is the highest bit; zero is not above zero', () => {
  const values = Float32Array.of(1, -1, 0, 1, -1, -1, -1, -1, 1, 1)
  expect([...signsOf({ values, count: 1, dims: 10 }).bits]).toEqual([0b1001_0000, 0b1100_0000])
})

test('nothing to compare is 0, other dims are refused', () => {
  const query = vectors(2, 16, 1)
  expect(signScorer(query)(signsOf(vectors(0, 16, 1)))).toBe(0)
  expect(signScorer(vectors(0, 16, 1))(signsOf(query))).toBe(0)
  expect(() => signScorer(query)(signsOf(vectors(2, 8, 1)))).toThrow(RangeError)
})
