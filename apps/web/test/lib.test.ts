import { describe, expect, test } from 'vitest'
import { problemOf } from '../src/api/problem.ts'
import { levelOf, toneOf } from '../src/lib/levels.ts'
import { cutAtSpans } from '../src/lib/spans.ts'

describe('marks in a text', () => {
  test.each([
    { name: 'none', spans: [], cut: ['a 密码 b'] },
    { name: 'one in the middle', spans: [{ start: 2, end: 4 }], cut: ['a ', '[密码]', ' b'] },
    {
      name: 'in any order, at both ends',
      spans: [
        { start: 5, end: 6 },
        { start: 0, end: 1 },
      ],
      cut: ['[a]', ' 密码 ', '[b]'],
    },
    {
      name: 'what overlaps an earlier one is left out',
      spans: [
        { start: 0, end: 4 },
        { start: 2, end: 6 },
      ],
      cut: ['[a 密码]', ' b'],
    },
    {
      name: 'beyond the end',
      spans: [
        { start: 5, end: 99 },
        { start: 50, end: 60 },
      ],
      cut: ['a 密码 ', '[b]'],
    },
    { name: 'an empty one', spans: [{ start: 3, end: 3 }], cut: ['a 密码 b'] },
  ])('$name', ({ spans, cut }) => {
    const pieces = cutAtSpans('a 密码 b', spans)
    expect(pieces.map(({ text, isMarked }) => (isMarked ? `[${text}]` : text))).toEqual(cut)
  })
})

describe('levels', () => {
  const levels = [
    { key: 'same', above: 0.8 },
    { key: 'related', above: 0.5 },
    { key: 'unrelated', above: null },
  ]
  test('a score has the highest level that it is strictly above', () => {
    expect([0.81, 0.8, 0.5, -1].map((score) => levelOf(levels, score)?.key)).toEqual([
      'same',
      'related',
      'unrelated',
      'unrelated',
    ])
  })
  test('the highest is good, the lowest poor, in whatever order they come', () => {
    for (const given of [levels, [...levels].reverse()]) {
      expect(['same', 'related', 'unrelated', null].map((key) => toneOf(given, key))).toEqual([
        'good',
        'fair',
        'poor',
        'poor',
      ])
    }
  })
})

describe('what went wrong', () => {
  test("the API's own words, and how long to wait", () => {
    const problem = problemOf(429, { error: { code: 'OVERLOADED', message: 'Busy', hint: 'Wait' } }, '3')
    expect(problem).toMatchObject({
      status: 429,
      code: 'OVERLOADED',
      message: 'Busy',
      hint: 'Wait',
      retryAfterSeconds: 3,
    })
  })
  test.each([{ body: '<h1>Bad gateway</h1>' }, { body: { error: 'x' } }, { body: null }])(
    'an answer that is not of the API: $body',
    ({ body }) => {
      expect(problemOf(502, body, null)).toMatchObject({ status: 502, code: 'NOT_UNDERSTOOD' })
      expect(problemOf(502, body, 'tomorrow').retryAfterSeconds).toBeUndefined()
    },
  )
})
