import { colbertScore, computeScores, sparseScore, type Vectors } from '@millrace/embed'
import { describe, expect, test } from 'vitest'

const sparse = (weights: Record<number, number>) => ({
  ids: Int32Array.from(Object.keys(weights), Number),
  weights: Float32Array.from(Object.values(weights)),
})
const colbert = (...rows: [number, number][]) => ({
  values: Float32Array.from(rows.flat()),
  count: rows.length,
  dims: 2,
})

const a: Vectors = {
  dense: Float32Array.of(1, 0),
  sparse: sparse({ 3: 0.5, 7: 1, 9: 2 }),
  colbert: colbert([1, 0], [0, 1]),
}
const b: Vectors = {
  dense: Float32Array.of(0.5, 0.5),
  sparse: sparse({ 7: 0.25, 9: 0.5, 11: 4 }),
  colbert: colbert([1, 0]),
}

test('sparse is the sum over shared tokens', () => {
  expect(sparseScore(sparse({ 3: 0.5, 7: 1 }), sparse({ 7: 0.25, 11: 4 }))).toBe(0.25)
  expect(sparseScore(sparse({}), sparse({ 7: 1 }))).toBe(0)
})

test('colbert is the mean of the best for each token of the query', () => {
  expect(colbertScore(colbert([1, 0], [0, 1]), colbert([1, 0]))).toBe(0.5)
  expect(colbertScore(colbert(), colbert([1, 0]))).toBe(0)
})

describe('combinations', () => {
  test('are weighted sums over the sum of the weights; what is left out counts 1', () => {
    const scores = computeScores(a, b, { dense: 0.4, sparse: 0.2, colbert: 0.4 })
    expect(scores).toMatchObject({ dense: 0.5, sparse: 1.25, colbert: 0.5 })
    expect(scores['sparse+dense']).toBeCloseTo((0.4 * 0.5 + 0.2 * 1.25) / 0.6, 12)
    expect(scores['colbert+sparse+dense']).toBeCloseTo(0.4 * 0.5 + 0.2 * 1.25 + 0.4 * 0.5, 12)
    expect(computeScores(a, b)['sparse+dense']).toBeCloseTo((0.5 + 1.25) / 2, 12)
  })

  test('take results of the engine as they are', () => {
    const { dense, ...others } = a
    expect(computeScores({ vector: dense, ...others }, b).dense).toBe(0.5)
  })

  test.each([
    [{ dense: -1 }],
    [{ dense: Number.NaN }],
    [{ dense: Number.POSITIVE_INFINITY }],
    [{ dense: 0, sparse: 0 }],
    [{ dense: 1e308, sparse: 1e308 }],
    [JSON.parse('{"dense": "1"}')],
    [JSON.parse('{"dense": null}')],
  ])('of the weights %j are refused', (weights) => {
    expect(() => computeScores(a, b, weights)).toThrow(expect.objectContaining({ code: 'BAD_WEIGHTS' }))
  })

  test('of what was embedded without an output are refused', () => {
    const { sparse: _none, ...without } = a
    expect(() => computeScores(without, b)).toThrow(expect.objectContaining({ code: 'MISSING_OUTPUT' }))
  })
})
