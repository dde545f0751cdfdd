import { type Level, levelOf, levelsSchema } from '@millrace/embed'
import { describe, expect, test } from 'vitest'

const name = { zh: '名', en: 'name' }
const seed: Level[] = [
  { key: 'same', above: 0.85, name: { zh: '极度相似', en: 'nearly the same' } },
  { key: 'related', above: 0.6, name: { zh: '语义相关', en: 'related' } },
  { key: 'unrelated', above: null, name: { zh: '不相关', en: 'unrelated' } },
]

describe('the level of a similarity', () => {
  test.each([
    [1, 'same'],
    [0.8501, 'same'],
    [0.85, 'related'],
    [0.6, 'unrelated'],
    [0, 'unrelated'],
    [-1, 'unrelated'],
  ])('%d is %s: strictly above, and the last level takes the rest', (similarity, key) => {
    expect(levelOf(seed, similarity).key).toBe(key)
  })

  test('one level without a bound takes everything', () => {
    expect(levelOf([{ key: 'any', above: null, name }], -1).key).toBe('any')
  })
})

describe('a list of levels', () => {
  test('is taken as the seed has it', () => {
    expect(levelsSchema.parse(seed)).toEqual(seed)
  })

  test.each([
    ['empty', []],
    ['without a last level that takes the rest', [{ key: 'a', above: 0.5, name }]],
    [
      'with null before the end',
      [
        { key: 'a', above: null, name },
        { key: 'b', above: null, name },
      ],
    ],
    [
      'not falling',
      [
        { key: 'a', above: 0.5, name },
        { key: 'b', above: 0.5, name },
        { key: 'c', above: null, name },
      ],
    ],
    [
      'above 1',
      [
        { key: 'a', above: 1.1, name },
        { key: 'b', above: null, name },
      ],
    ],
    [
      'with a key twice',
      [
        { key: 'a', above: 0.5, name },
        { key: 'a', above: null, name },
      ],
    ],
    ['with a key that is no name', [{ key: 'A b', above: null, name }]],
    ['with one language', [{ key: 'a', above: null, name: { en: 'a' } }]],
    ['with an unknown field', [{ key: 'a', above: null, name, colour: 'red' }]],
  ])('is refused %s', (_, levels) => {
    expect(levelsSchema.safeParse(levels).success).toBe(false)
  })
})
