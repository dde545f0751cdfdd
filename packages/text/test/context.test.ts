import { fitContext } from '@millrace/text'
import { describe, expect, test } from 'vitest'
import { tokenizerOf } from './tokenizer.js'

const perCharacter = async (texts: string[]) => texts.map((text) => 2 + [...text].length)

describe('a context that is too long', () => {
  test('ends after a word', async () => {
    expect(await fitContext('How to reset a password', perCharacter, 2 + 14)).toBe('How to reset a')
    expect(await fitContext('How to reset a password', perCharacter, 2 + 13)).toBe('How to reset')
  })

  test('ends after a Chinese character', async () => {
    expect(await fitContext('如何重置账户密码', perCharacter, 6)).toBe('如何重置')
  })

  test('ends after a grapheme when not even a word fits, and is empty when nothing does', async () => {
    expect(await fitContext('Donau👩‍👩‍👧schiff', perCharacter, 2 + 7)).toBe('Donau')
    expect(await fitContext('👩‍👩‍👧', perCharacter, 4)).toBe('')
  })

  const count = tokenizerOf('all-minilm-l6-v2')
  test.runIf(count)('fits by the real tokenizer', async () => {
    if (count === undefined) return
    const title =
      'Frequently asked questions about deliveries, returns, refunds and invoices in every country '.repeat(
        20,
      )
    const short = await fitContext(title, count, 64)
    expect(title.startsWith(short)).toBe(true)
    expect((await count([short]))[0]).toBeGreaterThan(58)
    expect((await count([short]))[0]).toBeLessThanOrEqual(64)
  })
})

test('a context that fits stays as it is', async () => {
  expect(await fitContext('', perCharacter, 3)).toBe('')
  expect(await fitContext('Title\n', perCharacter, 8)).toBe('Title\n')
})
