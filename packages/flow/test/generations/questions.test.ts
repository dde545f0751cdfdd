import { expect, test } from 'vitest'
import { randomOf } from '../../src/generations/place.js'
import { drawPlaces, mergeQuestions, strangersOf } from '../../src/generations/questions.js'

const documents = Array.from({ length: 5 }, (_, i) => ({ id: i + 1, externalId: `d${i + 1}` }))

test('each text is asked once, with all that may belong to it', () => {
  const merged = mergeQuestions({
    golden: [
      { text: 'one', own: ['d1'] },
      { text: 'two', own: [] },
    ],
    logged: [
      { text: ' one ', own: ['d2'] },
      { text: ' ', own: ['d3'] },
      { text: 'three', own: [] },
    ],
  })
  expect(merged).toEqual({
    from: ['golden', 'logged'],
    all: [
      { text: 'one', own: ['d1', 'd2'] },
      { text: 'two', own: [] },
      { text: 'three', own: [] },
    ],
  })
  expect(
    mergeQuestions({ golden: [{ text: 'one', own: [] }], logged: [{ text: 'one', own: [] }] }).from,
  ).toEqual(['golden'])
  expect(mergeQuestions({})).toEqual({ from: [], all: [] })
  const many = Array.from({ length: 300 }, (_, i) => ({ text: `${i}`, own: [] }))
  expect(mergeQuestions({ logged: many }).all).toHaveLength(200)
})

test('what may belong to a question is no stranger to it', () => {
  const strangers = strangersOf({ text: 'one', own: ['d1', 'd4', 'gone'] }, documents)
  expect(strangers.map(({ id }) => id)).toEqual([2, 3, 5])
})

test('every document is drawn once before one is a second time', () => {
  const places = drawPlaces(documents, 12, randomOf(3))
  expect(places).toHaveLength(12)
  for (const from of [0, 5]) {
    const pass = places.slice(from, from + 5).map(({ document }) => document)
    expect(pass.toSorted()).toEqual([1, 2, 3, 4, 5])
  }
  expect(places.every(({ at }) => at >= 0 && at < 1)).toBe(true)
  expect(drawPlaces(documents, 12, randomOf(3))).toEqual(places)
  expect(drawPlaces([], 12, randomOf(3))).toEqual([])
})
