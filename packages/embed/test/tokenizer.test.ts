import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openTokenizer } from '@millrace/embed'
import { expect, test } from 'vitest'
import { BGE_ZH, MINILM, MODELS_DIR, prose } from './models.js'

const english = await openTokenizer(join(MODELS_DIR, MINILM))
const chinese = await openTokenizer(join(MODELS_DIR, BGE_ZH))

test('an empty text has the special tokens only', async () => {
  expect(await english.count([''])).toEqual([2])
  expect([...english.special.before, ...english.special.after]).toEqual([101, 102])
})

test('counts come in the order of the texts, special tokens included', async () => {
  expect(await english.count(['hello world', 'hello', ''])).toEqual([4, 3, 2])
  expect(await chinese.count(['如何重置我的密码？'])).toEqual([11])
})

test('nothing is truncated or padded, though the file of all-minilm asks for 128 tokens', async () => {
  expect(await english.count([prose(1_000), 'hi'])).toEqual([1_002, 3])
})

test('special tokens within a text are text, not markup', async () => {
  const [ids] = await english.encode(['hello [SEP] world [MASK] [CLS]'])
  expect(ids).toHaveLength(12)
  for (const special of [101, 102, 103]) expect(ids).not.toContain(special)
})

test('a text of many pieces has the tokens of the whole', async () => {
  const words = 60_000
  expect(await english.count([prose(words)])).toEqual([words + 2])
})

test('many texts at once leave the event loop free', async () => {
  const texts = Array.from({ length: 20_000 }, (_, i) => prose(12, i % 5))
  let ticks = 0
  const timer = setInterval(() => ticks++, 5)
  const counts = await english.count(texts)
  clearInterval(timer)
  expect(counts.every((tokens) => tokens === 14)).toBe(true)
  expect(ticks).toBeGreaterThan(5)
})

test('10 MB of one character are counted', async () => {
  const [tokens] = await english.count(['a'.repeat(10_000_000)])
  expect(tokens).toBeGreaterThan(2)
})

test('a folder without a tokenizer, or with something else under its name, is refused', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-tokenizer-'))
  await expect(openTokenizer(dir)).rejects.toMatchObject({ code: 'INVALID_TOKENIZER' })
  await cp(join(MODELS_DIR, MINILM, 'config.json'), join(dir, 'tokenizer.json'))
  await expect(openTokenizer(dir)).rejects.toMatchObject({ code: 'INVALID_TOKENIZER' })
  await writeFile(join(dir, 'tokenizer.json'), '')
  await expect(openTokenizer(dir)).rejects.toMatchObject({ code: 'INVALID_TOKENIZER' })
  await rm(dir, { recursive: true })
})
