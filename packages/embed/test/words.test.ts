import { type Embedded, embedAll, openEngine, WORDS_FROM } from '@millrace/embed'
import { afterAll, describe, expect, test } from 'vitest'
import { BGE_ZH, MINILM, MODELS_DIR } from './models.js'

const engine = openEngine({ modelDirs: [MODELS_DIR] })
afterAll(() => engine.close())

const idsOf = ({ terms }: Pick<Embedded, 'terms'>) => new Set(terms?.ids)
const termsOf = async (model: string, texts: readonly string[]) =>
  (await embedAll(engine, { model, texts, kind: 'query', outputs: ['terms'] })).map(idsOf)

/** The share of a query's terms that a text has. */
async function shared(model: string, query: string, text: string): Promise<number> {
  const [asked = new Set(), there = new Set()] = await termsOf(model, [query, text])
  expect(asked.size, query).toBeGreaterThan(0)
  return [...asked].filter((term) => there.has(term)).length / asked.size
}

/** A word, a text with it, and one of the same kind without it. */
const WORDS = [
  ['iPhone', '我的 iPhone 坏了', '我的 Android 坏了'],
  ['ERR-4512X', '出现错误 ERR-4512X,请重试', '出现警告 WARN9803Q 请重试'],
  ['café', 'Le café est fermé', 'Le bistrot est fermé'],
  ['Москва', 'Поезд «Москва» опаздывает', 'Самолёт вовремя'],
  ['환불', '환불 신청은 여기에서', '배송 조회'],
  ['استرداد', 'طلب استرداد المبلغ', 'رقم الهاتف'],
  ['คืนเงิน', 'ฉันต้องการคืนเงินภายในสิบวัน', 'สวัสดีชาวโลก'],
  ['👍🏽', '很好👍🏽谢谢', '很好🎉谢谢'],
  ['欧阳娜娜', '歌手欧阳娜娜的演出', '歌手周杰伦的演出'],
  ['𠮷野家', '我们在𠮷野家吃饭', '我们在麦当劳吃饭'],
  ['カメラ', '新しいカメラについて', '新しいテレビについて'],
] as const

describe.each([BGE_ZH, MINILM])('words of any language in %s', (model) => {
  test.each(WORDS)('%s is found where it is, and as a whole nowhere else', async (word, text, other) => {
    expect(await shared(model, word, text)).toBe(1)
    expect(await shared(model, word, other)).toBeLessThan(0.5)
  })

  test.each([
    ['IPHONE', 'iphone'],
    ['iPhone', 'iPhone™'],
    ['ＡＢＣ１２３', 'abc123'],
    ['STRASSE', 'Straße'],
    ['МОСКВА', 'москва'],
    ['ΟΔΟΣ', 'οδος'],
    ['word👍', 'word 👍'],
    ['❤️', '❤'],
    ['ガラス', 'ｶﾞﾗｽ'],
    ['co\u00adoperate', 'cooperate'],
  ])('%s meets %s', async (one, other) => {
    expect(await shared(model, one, `x ${other} y`)).toBe(1)
  })
})

test('a word that the vocabulary spells has its tokens, and no term of its own', async () => {
  const [small = new Set(), large = new Set()] = await termsOf(BGE_ZH, ['iphone', 'iPhone'])
  expect(large).toEqual(small)
  expect([...small].every((term) => term < WORDS_FROM)).toBe(true)
})

test('words have terms apart from tokens and pairs', async () => {
  const [word = new Set(), pair = new Set()] = await termsOf(MINILM, ['Москва', 'กา'])
  expect([...word].every((term) => term >= WORDS_FROM)).toBe(true)
  expect([...pair].filter((term) => term < WORDS_FROM)).toHaveLength(1)
})

test('their places are those of the text as it is written', async () => {
  const text = 'Ein ΟΔΟΣ, ｶﾞﾗｽ, 👍🏽 und Straße 欧阳娜 ﬁn.'
  const [spans] = await engine.spans(BGE_ZH, [text])
  const words = spans?.words
  const cuts = Array.from(words?.starts ?? [], (start, i) => text.slice(start, words?.ends[i]))
  expect(cuts).toContain('ΟΔΟΣ')
  expect(cuts.filter((cut) => cut === 'ｶﾞﾗｽ').length).toBeGreaterThan(0)
  for (const cut of ['👍', '🏽', '欧', '阳', '娜', ',']) expect(cuts).toContain(cut)
  const [counted = new Set()] = await termsOf(BGE_ZH, [text])
  const placed = new Set([...(words?.ids ?? []), ...(words?.pairs.filter((pair) => pair >= 0) ?? [])])
  expect(placed).toEqual(counted)
})
