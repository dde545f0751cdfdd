import { describe, expect, test } from 'vitest'
import { reads } from '../src/lib/models.ts'
import { isForeign } from '../src/pages/compare/foreign.ts'
import {
  addEntry,
  type Entry,
  findEntries,
  KEPT,
  keepEntries,
  readEntries,
  removeEntry,
} from '../src/pages/compare/history.ts'

const entry = (id: string, over: Partial<Entry> = {}): Entry => ({
  id,
  at: '2026-11-26T12:00:00.000Z',
  a: `question ${id}`,
  b: 'answer',
  domain: '',
  model: 'all-minilm-l6-v2',
  similarity: 0.5,
  levelKey: 'related',
  level: { zh: '语义相关', en: 'Related' },
  ...over,
})

describe('the history of comparisons', () => {
  test('reads what it wrote, and leaves out what it cannot read', () => {
    const stored = JSON.stringify([entry('1'), { id: 2 }, null, { ...entry('3'), at: 'yesterday' }])
    expect(readEntries(stored).map(({ id }) => id)).toEqual(['1'])
    expect(readEntries('no JSON')).toEqual([])
    expect(readEntries('{"a": 1}')).toEqual([])
    expect(readEntries(null)).toEqual([])
  })

  test('the newest stands first, a pair once for each domain, and the oldest go', () => {
    const some = addEntry(addEntry([], entry('1')), entry('2'))
    expect(addEntry(some, entry('3', { a: 'question 1' })).map(({ id }) => id)).toEqual(['3', '2'])
    expect(addEntry(some, entry('3', { a: 'question 1', domain: 'faq' }))).toHaveLength(3)
    const full = Array.from({ length: KEPT }, (_, i) => entry(String(i)))
    const added = addEntry(full, entry('new'))
    expect(added).toHaveLength(KEPT)
    expect(added.at(-1)?.id).toBe(String(KEPT - 2))
    expect(removeEntry(some, '1').map(({ id }) => id)).toEqual(['2'])
  })

  test('finds by words of either text, the domain and the level, in any case', () => {
    const entries = [entry('1', { a: 'Password lost' }), entry('2', { b: '登录密码', domain: 'support-zh' })]
    expect(findEntries(entries, 'PASSWORD').map(({ id }) => id)).toEqual(['1'])
    expect(findEntries(entries, '密码 support').map(({ id }) => id)).toEqual(['2'])
    expect(findEntries(entries, 'related')).toHaveLength(2)
    expect(findEntries(entries, ' ')).toHaveLength(2)
    expect(findEntries(entries, 'nowhere')).toEqual([])
  })

  test('where the browser has no room the newest are kept', () => {
    let kept = ''
    const store = {
      getItem: () => kept,
      setItem: (_key: string, value: string) => {
        if (value.length > 900) throw new Error('QuotaExceededError')
        kept = value
      },
    }
    const entries = Array.from({ length: 20 }, (_, i) => entry(String(i)))
    const left = keepEntries(store, entries)
    expect(left.length).toBeGreaterThan(0)
    expect(left.length).toBeLessThan(20)
    expect(readEntries(kept)).toEqual(left)
    expect(left[0]?.id).toBe('0')
  })
})

describe('the languages of a model', () => {
  test.each([
    { languages: ['zh'], text: 'How do I reset it?', foreign: true },
    { languages: ['zh'], text: '怎么重置 iPhone？', foreign: false },
    { languages: ['zh'], text: '42', foreign: false },
    { languages: ['en'], text: '怎么重置？', foreign: true },
    { languages: ['en', 'de'], text: 'Wie geht das?', foreign: false },
    { languages: ['und'], text: '怎么重置？', foreign: false },
    { languages: [], text: '怎么重置？', foreign: false },
    { languages: ['zh-Hans', 'en'], text: 'both 都可以', foreign: false },
  ])('$languages and "$text": $foreign', ({ languages, text, foreign }) => {
    expect(isForeign(languages, text)).toBe(foreign)
  })
  test('a model is for a language in any script of it', () => {
    expect(reads({ languages: ['zh-Hans'] }, 'zh')).toBe(true)
    expect(reads({ languages: ['en'] }, 'zh')).toBe(false)
  })
})
