import { heaviest, weighTerms } from '@millrace/flow/search/terms'
import { describe, expect, test } from 'vitest'

const bm25 = { lexical: 'bm25', usualTokens: 100 } as const
const text = (counts: readonly number[], tokens: number) => ({
  terms: { ids: Int32Array.from(counts.keys()), weights: Float32Array.from(counts) },
  tokens,
})

describe("weights of a text's terms", () => {
  test('rise with their count, less and less, and never reach k1 + 1', () => {
    const [one = 0, two = 0, three = 0, many = 0] = weighTerms(text([1, 2, 3, 1e6], 100), bm25)?.weights ?? []
    expect(one).toBeCloseTo(1, 6) // in a text of usual length
    expect(two - one).toBeGreaterThan(three - two)
    expect(three).toBeGreaterThan(two)
    expect(many).toBeLessThan(2.2001)
    expect(many).toBeGreaterThan(2.19)
  })

  test('are less in a longer text', () => {
    const of = (tokens: number) => weighTerms(text([1], tokens), bm25)?.weights[0] ?? 0
    expect(of(50)).toBeGreaterThan(of(100))
    expect(of(100)).toBeGreaterThan(of(400))
    // (1.2 + 1) / (1 + 1.2 * (1 - 0.75 + 0.75 * 4))
    expect(of(400)).toBeCloseTo(2.2 / 4.9, 6)
  })

  test("are the model's own where it has learned them", () => {
    const sparse = { ids: Int32Array.of(3, 7), weights: Float32Array.of(0.25, 0.5) }
    expect(weighTerms({ ...text([1], 10), sparse }, { ...bm25, lexical: 'learned' })).toEqual(sparse)
    expect(weighTerms(text([1], 10), { ...bm25, lexical: 'learned' })).toBeUndefined()
    expect(weighTerms({ sparse, tokens: 10 }, bm25)).toBeUndefined()
  })

  test('are kept of those that count most, where a text has more terms than a vector takes', () => {
    const given = { ids: Int32Array.of(1, 2, 3, 4), weights: Float32Array.of(1, 3, 1, 2) }
    expect(heaviest(given, 3)).toEqual({ ids: Int32Array.of(1, 2, 4), weights: Float32Array.of(1, 3, 2) })
    expect(heaviest(given)).toEqual(given)
  })
})
