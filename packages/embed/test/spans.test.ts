import { join } from 'node:path'
import { openTokenizer, pairTerms, type Tokenizer } from '@millrace/embed'
import { expect, test } from 'vitest'
import { BGE_ZH, MINILM, MODELS_DIR, sharedFile } from './models.js'

const english = await openTokenizer(join(MODELS_DIR, MINILM))
const chinese = await openTokenizer(join(MODELS_DIR, BGE_ZH))
const large = sharedFile('models/bge-m3', 'spans of a SentencePiece vocabulary')

/** What the text has where each token is. */
async function cuts(tokenizer: Tokenizer, text: string): Promise<string[]> {
  const { ids, starts, ends } = await tokenizer.spans(text)
  expect([starts.length, ends.length]).toEqual([ids.length, ids.length])
  return Array.from(starts, (start, i) => text.slice(start, ends[i]))
}

test('spans are in UTF-16 code units: emoji before a word move it by two', async () => {
  expect(await cuts(english, 'a 👍🏽 word')).toEqual(['a', '👍🏽', 'word'])
  expect(await cuts(chinese, '会😀在7个')).toEqual(['会', '😀', '在', '7', '个'])
})

test('an accent belongs to its letter, composed or not, also where the tokenizer strips it', async () => {
  expect(await cuts(english, 'café cafe\u0301 naïve.')).toEqual(['café', 'cafe\u0301', 'naïve', '.'])
})

test('a mark that is a token itself is left to that', async () => {
  expect(await cuts(english, 'क्षि')).toEqual(['क\u094d', 'ष', 'ि'])
})

test('the ids are those of the text, and so are the places beyond one call of the tokenizer', async () => {
  const text = `${'a word and 😀 '.repeat(2_000)}end`
  const [spans, [ids = new Int32Array()]] = [await english.spans(text), await english.encode([text])]
  expect(spans.ids).toEqual(ids)
  expect(text.slice(spans.starts.at(-1), spans.ends.at(-1))).toBe('end')
  expect(await english.spans('')).toEqual({
    ids: new Int32Array(),
    starts: new Int32Array(),
    ends: new Int32Array(),
  })
})

test('pairs are those that are counted, at the first of their tokens', async () => {
  const { ids } = await chinese.spans('北京，大学 a')
  expect([...pairTerms(ids, chinese)].map((term) => term >= 0)).toEqual([
    true,
    false,
    false,
    true,
    false,
    false,
  ])
})

test.skipIf(large === undefined)('SentencePiece: without the space before a word', async () => {
  const tokenizer = await openTokenizer(String(large))
  expect(await cuts(tokenizer, 'my café 👍 two')).toEqual(['my', 'café', '', '👍', 'two'])
  // The sign that a word begins has a token of its own here.
  expect(await cuts(tokenizer, '退款会在7个😀')).toEqual(['', '退', '款', '会在', '7', '个', '😀'])
})
