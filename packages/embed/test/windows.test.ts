import { pieces, windowSpans } from '@millrace/embed/windows'
import { describe, expect, test } from 'vitest'

test('a text that fits is one window, a longer one as many as it needs, none overlapping', () => {
  expect(windowSpans(510, 510)).toEqual([{ from: 0, to: 510 }])
  expect(windowSpans(1_021, 510)).toEqual([
    { from: 0, to: 510 },
    { from: 510, to: 1_020 },
    { from: 1_020, to: 1_021 },
  ])
})

describe('pieces for the tokenizer', () => {
  test('a short text is one', () => {
    expect(pieces('one two', 10)).toEqual(['one two'])
  })
  test('a long one is cut before white space', () => {
    expect(pieces('one two three four', 9)).toEqual(['one two', ' three', ' four'])
  })
  test('a word longer than a piece is cut, but no surrogate pair', () => {
    expect(pieces('aa😀bb😀', 3)).toEqual(['aa', '😀b', 'b😀'])
  })
  test('together they are the text', () => {
    const text = 'lorem 😀 ipsum dolor\n\nsit '.repeat(40)
    for (const chars of [5, 7, 64]) expect(pieces(text, chars).join('')).toBe(text)
  })
})
