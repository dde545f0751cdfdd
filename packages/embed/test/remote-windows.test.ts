import { join } from 'node:path'
import { openTokenizer } from '@millrace/embed'
import { parseRetryAfter, waitMs } from '@millrace/embed/remote/retry'
import { textWindows } from '@millrace/embed/remote/windows'
import { describe, expect, test } from 'vitest'
import { BGE_ZH, MINILM, MODELS_DIR, prose } from './models.js'

const english = await openTokenizer(join(MODELS_DIR, MINILM))
const chinese = await openTokenizer(join(MODELS_DIR, BGE_ZH))

describe('where the tokens of a text begin', () => {
  test('is said in UTF-16 code units, characters of two of them included', async () => {
    const text = '😀 héllo 世界 playing'
    const starts = [...(await english.starts(text))]
    expect(starts.map((at, i) => text.slice(at, starts[i + 1]))).toEqual([
      '😀 ',
      'héllo ',
      '世',
      '界 ',
      'playing',
    ])
  })

  test('goes on across the pieces that a long text is given to the tokenizer in', async () => {
    const text = `${'😀 word '.repeat(20_000)}last`
    const starts = await english.starts(text)
    expect(starts).toHaveLength(40_001)
    expect(text.slice(starts.at(-1))).toBe('last')
    expect(text.slice(starts[31_998], starts[32_000])).toBe('😀 word ')
  })

  test('of a text without tokens is nowhere', async () => {
    expect(await english.starts(' \n ')).toHaveLength(0)
  })
})

describe('windows of a text', () => {
  test.each([
    ['English', english, prose(900)],
    ['words of many tokens', english, 'incomprehensibilities unquestionably '.repeat(80)],
    ['words without a space between them', english, 'xylophone-quartz-'.repeat(60)],
    ['Chinese', chinese, '上一次订单的发票在哪里？如何重置我的密码？'.repeat(40)],
    ['emoji', chinese, '😀👩‍👩‍👧🇩🇪 '.repeat(200)],
    ['accents', english, 'é́́ò̀ '.repeat(300)],
  ])('of %s fit, hold all of it, and are not cut within a character', async (_, tokenizer, text) => {
    const windows = await textWindows(text, tokenizer, 64)
    expect(windows.length).toBeGreaterThan(1)
    const letters = (from: string) => from.replace(/\s/g, '')
    expect(letters(windows.map((window) => window.text).join(''))).toBe(letters(text))
    const counts = await tokenizer.count(windows.map((window) => window.text))
    expect(windows.map(({ tokens }) => tokens)).toEqual(counts)
    expect(Math.max(...counts)).toBeLessThanOrEqual(64)
    for (const window of windows) expect(window.text.isWellFormed()).toBe(true)
  })

  test('end between words where there are some', async () => {
    const text = 'incomprehensibilities unquestionably '.repeat(80)
    for (const window of await textWindows(text.trim(), english, 64)) {
      expect(window.text).toMatch(/^(incompre|unquest).*(ities|nably)$/)
    }
  })
})

test.each([
  ['0', 0],
  ['1.5', 1_500],
  [' 3 ', 3_000],
  ['Thu, 01 Jan 1970 00:00:05 GMT', 4_000],
  ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ['-3', undefined],
  ['', undefined],
  [null, undefined],
])('Retry-After: %s is %s ms at 1 s', (header, ms) => {
  expect(parseRetryAfter(header, 1_000)).toBe(ms)
})

test('waits double up to half a minute', () => {
  expect([1, 2, 3, 7, 20].map((tries) => waitMs(tries, undefined, 1))).toEqual([
    500, 1_000, 2_000, 30_000, 30_000,
  ])
  expect(waitMs(3, 2_000, 0)).toBe(2_000)
})
