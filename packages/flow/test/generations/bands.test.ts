import type { BandRow } from '@millrace/store'
import { expect, test } from 'vitest'
import { bandUnder, itemsOf, levelsUnder, numberIn } from '../../src/generations/bands.js'

const name = { zh: '级', en: 'level' }
const LEVELS = [
  { key: 'sure', above: 0.8, name },
  { key: 'maybe', above: 0.6, name },
  { key: 'no', above: null, name },
]
const BAND: BandRow = { score: 'dense', recipe: 'old', threshold: 0.7, levels: LEVELS, chosen: true }
const row = (item: string, value: number | null, sureness: 'high' | 'low' = 'high') => ({
  score: 'dense' as const,
  item,
  recipe: 'new',
  new: value,
  sureness,
})
const isSure = ({ sureness }: { readonly sureness: string }) => sureness !== 'low'

test('items are what was chosen, not the levels that the model brings', () => {
  expect(itemsOf(BAND, undefined).map(({ item, value }) => `${item} ${value}`)).toEqual([
    'threshold 0.7',
    'level:sure 0.8',
    'level:maybe 0.6',
  ])
  expect(itemsOf(BAND, LEVELS)).toHaveLength(1)
  expect(itemsOf({ ...BAND, threshold: null, levels: null }, undefined)).toEqual([])
})

test('levels are taken over together, in their order, and apart', () => {
  const numbers: Record<string, number | null> = { 'level:sure': 0.5, 'level:maybe': 0.5 }
  const levels = levelsUnder(LEVELS, (item) => numbers[item])
  expect(levels?.map(({ key, above }) => [key, above])).toEqual([
    ['sure', 0.5],
    ['maybe', expect.closeTo(0.4999)],
    ['no', null],
  ])
  expect(levelsUnder(LEVELS, (item) => (item === 'level:sure' ? 0.5 : null))).toBeUndefined()
  expect(levelsUnder([], () => 1)).toBeUndefined()
})

test('a band has what has a number and is taken', () => {
  const rows = [row('threshold', 0.4), row('level:sure', 0.5), row('level:maybe', 0.3, 'low')]
  expect(bandUnder('dense', rows, BAND, () => true)).toMatchObject({
    recipe: 'new',
    chosen: true,
    threshold: 0.4,
    levels: [{ above: 0.5 }, { above: 0.3 }, { above: null }],
  })
  const sure = bandUnder('dense', rows, BAND, isSure)
  expect(sure).toEqual({ score: 'dense', recipe: 'new', chosen: true, threshold: 0.4 })
  expect(bandUnder('dense', [row('threshold', null)], BAND, () => true)).toBeUndefined()
  expect(bandUnder('sparse', rows, BAND, () => true)).toBeUndefined()
  expect(sure && numberIn(sure, 'threshold')).toBe(0.4)
  expect(sure && numberIn(sure, 'level:sure')).toBeUndefined()
  expect(numberIn({ levels: null }, 'level:sure')).toBeNull()
})
