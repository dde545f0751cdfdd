import { join } from 'node:path'
import { countTerms, openTokenizer, pairTerms, type SparseVector, type Tokenizer } from '@millrace/embed'
import { alike, matchesOf, type PlacedText, productsOf, sumOf } from '@millrace/flow/search/matches'
import { expect, test } from 'vitest'
import { BGE_ZH, MINILM, MODELS_DIR } from '../../../embed/test/models.js'

const english = await openTokenizer(join(MODELS_DIR, MINILM))
const chinese = await openTokenizer(join(MODELS_DIR, BGE_ZH))

async function read(text: string, tokenizer: Tokenizer): Promise<PlacedText & { terms: SparseVector }> {
  const spans = await tokenizer.spans(text)
  const pairs = pairTerms(spans.ids, tokenizer)
  return { text, places: { ...spans, pairs }, terms: countTerms(spans.ids, tokenizer) }
}

test('a term of both has all its places in both, however it is written there', async () => {
  const [a, b] = [
    await read('Café, café 😀 tea', english),
    await read('😀😀 the CAFE\u0301 is shut', english),
  ]
  const [match, ...others] = matchesOf(a, b, alike(a.terms, b.terms), 10)
  expect(others).toEqual([])
  expect(match).toEqual({
    token: 'Café',
    weight: 1,
    a: [
      { start: 0, end: 4 },
      { start: 6, end: 10 },
    ],
    b: [{ start: 9, end: 14 }],
  })
})

test('two Chinese characters beside each other are a match of their own', async () => {
  const [a, b] = [await read('北京，大学', chinese), await read('😀在北京', chinese)]
  const matches = matchesOf(a, b, alike(a.terms, b.terms), 10)
  expect(matches.map(({ token }) => token).sort()).toEqual(['京', '北', '北京'].sort())
  for (const match of matches) {
    expect(match.weight).toBeCloseTo(1 / 3)
    for (const { start, end } of match.b) expect(b.text.slice(start, end)).toBe(match.token)
  }
})

test('weights are shares of the score, and the best come first', async () => {
  const [a, b] = [await read('one two three', english), await read('three one', english)]
  const weights = a.terms.ids.map((id) => (id === a.places.ids[2] ? 3 : 1))
  const products = productsOf({ ids: a.terms.ids, weights: Float32Array.from(weights) }, b.terms)
  expect(sumOf(products)).toBe(4)
  const matches = matchesOf(a, b, products, 10)
  expect(matches.map(({ token, weight }) => [token, weight])).toEqual([
    ['three', 0.75],
    ['one', 0.25],
  ])
  expect(matchesOf(a, b, products, 1)).toEqual(matches.slice(0, 1))
})

test('texts that share nothing match in nothing', async () => {
  const [a, b] = [await read('one', english), await read('two', english)]
  expect(matchesOf(a, b, productsOf(a.terms, b.terms), 10)).toEqual([])
})
