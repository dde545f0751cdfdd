import { FUSIONS, type Fusion, fusionOf } from '@millrace/flow'
import { describe, expect, test } from 'vitest'

describe('a fusion', () => {
  test('of a name is that preset; of none the usual one of such a domain', () => {
    expect(fusionOf('rrf', 'learned')).toEqual({ method: 'rrf', k: 60 })
    expect(fusionOf('m3-mldr-all', 'learned')).toEqual({
      method: 'weighted',
      dense: 0.15,
      sparse: 0.5,
      colbert: 0.35,
    })
    expect(fusionOf(undefined, 'learned')).toEqual(FUSIONS['m3-miracl'])
    expect(fusionOf(undefined, 'bm25')).toEqual(FUSIONS.bm25)
  })

  test('is taken as it is given when it combines', () => {
    const given: Fusion = { method: 'weighted', dense: 0, sparse: 2 }
    expect(fusionOf(given, 'bm25')).toEqual(given)
    expect(fusionOf({ method: 'rrf', k: 1 }, 'bm25')).toEqual({ method: 'rrf', k: 1 })
  })

  test.each<[string, string | Fusion]>([
    ['an unknown name', 'best'],
    ['a name of every object', 'constructor'],
    ['a k of 0', { method: 'rrf', k: 0 }],
    ['a k that is not whole', { method: 'rrf', k: 1.5 }],
    ['a k that makes all ranks alike', { method: 'rrf', k: 1e9 }],
    ['weights of 0', { method: 'weighted', dense: 0, sparse: 0 }],
    ['a weight below 0', { method: 'weighted', dense: 1, sparse: -0.1 }],
    ['a weight that is no number', { method: 'weighted', dense: Number.NaN, sparse: 1 }],
    ['weights without an end', { method: 'weighted', dense: 1e308, sparse: 1e308 }],
  ])('with %s is refused, with those there are', (_, given) => {
    expect(() => fusionOf(given, 'bm25')).toThrow(
      expect.objectContaining({ code: 'BAD_FUSION', hint: expect.stringContaining('m3-miracl, m3-mldr') }),
    )
  })
})
