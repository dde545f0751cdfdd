import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import {
  compileRows,
  type Field,
  type FilterRow,
  isFilterable,
  operatorsOf,
  rowsFor,
} from '../src/pages/search/filter.ts'
import { EMPTY_CONFIG, readLink, writeLink } from '../src/pages/search/link.ts'
import { compareRankings } from '../src/pages/search/moves.ts'
import { fusionsOf, isBelow, modesOf, rankingOf, thresholdOf } from '../src/pages/search/options.ts'
import {
  bodyOf,
  curlOf,
  parseFilter,
  shellWord,
  shortened,
  sqlOf,
  sqlText,
} from '../src/pages/search/request.ts'
import { digitsOf, percentOf, scaleOf, strokesOf } from '../src/pages/search/scale.ts'
import { excerptOf, previewOf, shownMetadata } from '../src/pages/search/shown.ts'

describe('a search is a link', () => {
  const full = {
    q: '退款 & "refund" 100%',
    k: 25,
    filter: '{"lang":"en"}',
    a: { domain: 'a', mode: 'hybrid', fusion: 'rrf', rerank: 'colbert', top: 20, threshold: 0.02 },
    b: { domain: 'b', mode: 'dense', fusion: '', rerank: 'none', top: undefined, threshold: null },
  } as const

  test('what is written is read back', () => {
    expect(readLink(writeLink(full))).toEqual(full)
    const query = Object.fromEntries(new URLSearchParams(new URLSearchParams(writeLink(full)).toString()))
    expect(readLink(query)).toEqual(full)
    const plain = { q: 'x', k: 10, filter: '', a: { ...EMPTY_CONFIG, domain: 'a' }, b: undefined }
    expect(writeLink(plain)).toEqual({ q: 'x', domain: 'a' })
    expect(readLink(writeLink(plain))).toEqual(plain)
  })

  test('what makes no sense is as if it were not there', () => {
    const odd = {
      k: '-3',
      mode: 'magic',
      threshold: 'high',
      top: '1e9',
      q: ['first', 'second'],
      'b.mode': 'dense',
    }
    expect(readLink(odd)).toEqual({
      q: 'first',
      k: 10,
      filter: '',
      a: { ...EMPTY_CONFIG, top: 200 },
      b: undefined,
    })
    expect(readLink({ k: '9999', q: null })).toMatchObject({ k: 1_000, q: '' })
  })
})

const FIELDS: readonly Field[] = [
  { name: 'lang', types: ['string'], values: [{ value: 'en', documents: 3 }] },
  { name: 'year', types: ['number'], values: [{ value: 2024, documents: 3 }] },
  { name: 'mixed', types: ['number', 'string'], values: [{ value: 7, documents: 1 }] },
  { name: 'tags', types: ['array'], values: [{ value: 'new', documents: 1 }] },
  { name: 'open', types: ['boolean', 'null'], values: [] },
  { name: 'day', types: ['date'], values: [] },
]
const row = (field: string, operator: FilterRow['operator'], ...values: string[]): FilterRow => ({
  field,
  operator,
  values,
})

describe('filters', () => {
  test('rows become the filter of docs/filters.md, values with their types', () => {
    const rows = [
      row('lang', 'in', 'en', '中文', ''),
      row('year', 'gte', '2020'),
      row('year', 'lt', '2024.5'),
      row('mixed', 'eq', '7'),
      row('tags', 'contains', 'new'),
      row('open', 'ne', 'true'),
      row('day', 'gte', '2024'),
      row('document.title', 'missing'),
    ]
    expect(compileRows(rows, FIELDS)).toEqual({
      lang: { in: ['en', '中文'] },
      year: { gte: 2020, lt: 2024.5 },
      mixed: 7,
      tags: { contains: 'new' },
      open: { ne: true },
      day: { gte: '2024' },
      'document.title': { exists: false },
    })
    expect(compileRows([row('mixed', 'eq', '8'), row('open', 'eq', 'null')], FIELDS)).toEqual({
      mixed: '8',
      open: null,
    })
    // The same operator of a field twice: both hold.
    expect(compileRows([row('tags', 'contains', 'a'), row('tags', 'contains', 'b')], FIELDS)).toEqual({
      and: [{ tags: { contains: 'a' } }, { tags: { contains: 'b' } }],
    })
    expect(compileRows([row('__proto__', 'eq', 'x')], FIELDS)).toEqual(JSON.parse('{"__proto__": "x"}'))
    // What is not said to the end filters nothing.
    expect(compileRows([row('lang', 'eq', ''), row('lang', 'in')], FIELDS)).toBeUndefined()
  })

  test('a filter is shown as rows only where they say the very same', () => {
    const same = [
      '{"lang":"en"}',
      '{"year":{"lt":2024,"gte":2020},"lang":{"in":["en","zh"]}}',
      '{"day":{"exists":true}}',
    ]
    const and = '{"and":[{"tags":{"contains":"a"}},{"tags":{"contains":"b"}}]}'
    for (const json of [...same, and]) {
      const rows = rowsFor(json, FIELDS)
      expect(compileRows(rows ?? [], FIELDS)).toEqual(JSON.parse(json))
    }
    expect(rowsFor('{"lang":{"eq":"en"}}', FIELDS)).toEqual([row('lang', 'eq', 'en')])
    expect(rowsFor('', FIELDS)).toEqual([])
    const others = [
      '{"or":[{"lang":"en"}]}',
      '{"not":{"lang":"en"}}',
      '{"year":"2024"}',
      '{"lang":{"in":[]}}',
      '{"lang":{"near":1}}',
      '{"lang":{"eq":""}}',
      '{}',
      '[1]',
      '{',
    ]
    expect(others.map((json) => rowsFor(json, FIELDS))).toEqual(others.map(() => undefined))
  })

  test('a field is asked what its values can answer', () => {
    const of = (types: string[], name = 'x') => operatorsOf({ name, types })
    expect(of(['boolean'])).toEqual(['eq', 'ne', 'in', 'exists', 'missing'])
    expect(of(['array'])).toEqual(['contains', 'exists', 'missing'])
    expect(of(['object'])).toEqual(['exists', 'missing'])
    expect(of(['number'])).not.toContain('prefix')
    expect(of(['date'])).toContain('prefix')
    expect(of(['date'], 'document.createdAt')).toEqual(['gte', 'lt', 'gt', 'lte'])
    expect(isFilterable({ name: 'nested', types: ['object'] })).toBe(true)
  })
})

describe('the request to copy', () => {
  const NASTY = `it's "quoted" \\ $HOME \`id\` !! %s\n退款；'; drop table x; --`

  test('a shell gets back every character', () => {
    expect(execFileSync('/bin/sh', ['-c', `printf %s ${shellWord(NASTY)}`], { encoding: 'utf8' })).toBe(NASTY)
    const body = bodyOf({ q: NASTY, k: 3, filter: '{"lang":"it\'s"}' }, EMPTY_CONFIG, 0.5)
    const curl = curlOf("http://x/it's", body, { language: 'zh', hasKey: true })
    const words = execFileSync('/bin/sh', ['-c', `curl() { printf '%s\\0' "$@"; }; ${curl}`], {
      encoding: 'utf8',
      env: { ...process.env, MILLRACE_API_KEY: 'secret' },
    }).split('\0')
    expect(words.slice(0, 2)).toEqual(['-s', "http://x/it's"])
    expect(words).toContain('authorization: Bearer secret')
    expect(JSON.parse(words.at(-2) ?? '')).toEqual({
      query: NASTY,
      k: 3,
      threshold: 0.5,
      filter: { lang: "it's" },
    })
  })

  test('what is as the domain has it is not said', () => {
    const ask = { q: 'x', k: 10, filter: '' }
    expect(bodyOf(ask, EMPTY_CONFIG, undefined)).toEqual({ query: 'x', k: 10 })
    const set = { ...EMPTY_CONFIG, mode: 'hybrid', fusion: 'rrf', rerank: 'my-reranker', top: 20 } as const
    expect(bodyOf(ask, set, null)).toEqual({
      query: 'x',
      k: 10,
      threshold: null,
      mode: 'hybrid',
      fusion: 'rrf',
      rerank: { by: 'my-reranker', top: 20 },
    })
    expect(bodyOf(ask, { ...EMPTY_CONFIG, rerank: 'none' }, undefined)).toMatchObject({ rerank: null })
    expect(() => parseFilter('[1]')).toThrow('JSON object')
    expect(() => parseFilter('{"a":')).toThrow('not JSON')
  })

  test('SQL is one statement, whatever is in it', () => {
    const sql = sqlOf({
      domain: 'help',
      mode: 'hybrid',
      fusion: 'rrf',
      query: NASTY,
      k: 5,
      threshold: null,
      filter: { lang: "it's" },
      language: 'en',
      vector: '[1,0]',
      terms: '{1:2}/10',
    })
    expect(sql.split('\n')[0]).toBe(`-- ${NASTY.replace('\n', ' ')}`)
    expect(sql).toContain(`from millrace.hybrid_search(
  'help',
  '[1,0]'::vector,
  '{1:2}/10'::sparsevec,
  5,
  fusion => 'rrf',
  threshold => -1,
  filter => '{"lang":"it''s"}'
);`)
    expect(sqlText("a\0'b")).toBe("'a''b'")
  })

  test('long literals are shortened to be looked at, others are not', () => {
    const vector = `[${Array.from({ length: 384 }, (_, i) => i / 1_000).join(',')}]`
    const terms = `{${Array.from({ length: 50 }, (_, i) => `${i + 1}:1`).join(',')}}/1000`
    const sql = `${sqlText(vector)}::vector, ${sqlText(terms)}::sparsevec, '{"lang":"en"}'`
    const short = shortened(sql)
    expect(short).toMatch(
      /^'\[0,0\.001,[^']*,…\]'::vector, '\{1:1,[^']*,…\}\/1000'::sparsevec, '\{"lang":"en"\}'$/,
    )
  })
})

describe('the threshold', () => {
  test('has the scale of its kind of score', () => {
    expect(scaleOf('dense', [0.3, 0.6], null)).toEqual({ min: 0, max: 1, step: 0.01 })
    expect(scaleOf('dense', [], -0.2)).toMatchObject({ min: -1, max: 1 })
    expect(scaleOf('hybrid', [0.3, 0.6], null)).toMatchObject({ min: 0, max: 1 })
    // Ranks fused are 2 / 61 at most; learned weights have no upper end.
    const ranks = scaleOf('hybrid', [2 / 61, 1 / 60], null)
    expect(ranks).toMatchObject({ min: 0, max: 0.05 })
    expect(digitsOf(ranks)).toBe(4)
    expect(scaleOf('sparse', [17.2], null)).toMatchObject({ max: 20 })
    expect(scaleOf('sparse', [0.2], 3)).toMatchObject({ max: 5 })
    expect(scaleOf('sparse', [], null)).toMatchObject({ max: 1 })
    expect(digitsOf(scaleOf('dense', [], null))).toBe(2)
    expect(percentOf({ min: -1, max: 1, step: 0.01 }, 0)).toBe(50)
    expect(strokesOf(scaleOf('dense', [], null), [0.5, 0.5, 2])).toBe('M500 0V10M1000 0V10')
  })

  test('cuts what is below it, and what has no such score', () => {
    expect(isBelow({ scores: { dense: 0.5 } }, 'dense', 0.5)).toBe(false)
    expect(isBelow({ scores: { dense: 0.49 } }, 'dense', 0.5)).toBe(true)
    expect(isBelow({ scores: { dense: 0.9 } }, 'rerank', 0.1)).toBe(true)
    expect(isBelow({ scores: { dense: -1 } }, 'rerank', null)).toBe(false)
  })
})

describe('what a domain can do', () => {
  const search = { mode: 'hybrid', fusion: null, rerank: { by: 'its-own', top: 20 } }
  const domain = {
    lexical: 'bm25',
    outputs: ['dense', 'sparse'],
    search,
    threshold: 0.4,
    levels: [],
    scores: { rerank: { threshold: 0.7, levels: null }, hybrid: { threshold: 0.3, levels: null } },
  }

  test('modes, fusions and rankings', () => {
    expect(modesOf({ lexical: null })).toEqual(['dense'])
    expect(fusionsOf(domain, false)).toEqual(['bm25', 'rrf'])
    expect(fusionsOf({ lexical: 'learned' }, true, 'mine')).toEqual([
      'm3-miracl',
      'm3-mldr',
      'rrf',
      'm3-mldr-all',
      'm3-pairs',
      'mine',
    ])
    expect(rankingOf(EMPTY_CONFIG, domain)).toBe('rerank')
    expect(rankingOf({ ...EMPTY_CONFIG, rerank: 'none' }, domain)).toBe('hybrid')
    expect(rankingOf({ ...EMPTY_CONFIG, rerank: 'colbert' }, domain)).toBe('colbert')
  })

  test('a threshold belongs to a kind of score, and to the reranker that made it', () => {
    expect(thresholdOf('dense', domain)).toBe(0.4)
    expect(thresholdOf('hybrid', domain)).toBe(0.3)
    expect(thresholdOf('sparse', domain)).toBeNull()
    expect(thresholdOf('rerank', domain, 'its-own')).toBe(0.7)
    expect(thresholdOf('rerank', domain, 'another')).toBeNull()
  })
})

describe('two rankings', () => {
  const hit = (documentId: string, chunk = 0) => ({ documentId, chunk })

  test('each hit knows its place in the other', () => {
    const found = compareRankings(
      [hit('a'), hit('b'), hit('c')],
      [hit('b'), hit('a'), hit('d'), hit('a', 1)],
      {
        byDocument: false,
      },
    )
    expect(found).toEqual({ a: [2, 1, null], b: [2, 1, null, null], both: 2, onlyA: 1, onlyB: 2, moved: 2 })
  })

  test('of two domains, documents are compared', () => {
    const found = compareRankings([hit('a', 3), hit('a', 4), hit('b')], [hit('b', 9), hit('a', 1)], {
      byDocument: true,
    })
    expect(found).toMatchObject({ a: [2, 2, 1], b: [3, 1], both: 2, onlyA: 0, onlyB: 0, moved: 2 })
  })
})

describe('what a hit shows', () => {
  test('a passage begins after the headings above it, without blank lines', () => {
    expect(previewOf('# Returns #\n\nSend it back.\n\n## How\nBox', ['Returns'])).toBe(
      'Send it back.\n## How\nBox',
    )
    expect(previewOf('# Other\ntext', ['Returns', null])).toBe('# Other\ntext')
    expect(previewOf('# Returns', ['Returns'])).toBe('# Returns')
    expect(previewOf('#hash is text', ['hash is text'])).toBe('#hash is text')
  })

  test('metadata is short, whatever is in it', () => {
    expect(shownMetadata({ a: 'x', b: [1, { c: null }], c: '😀'.repeat(100) })).toEqual([
      { name: 'a', value: 'x' },
      { name: 'b', value: '[1,{"c":null}]' },
      { name: 'c', value: `${'😀'.repeat(80)}…` },
    ])
  })

  test('of a long document the part around the passage, cut between characters', () => {
    const text = '😀'.repeat(100_000)
    const { text: part, start, end, isCut } = excerptOf(text, { start: 100_002, end: 100_010 })
    expect(part.slice(start, end)).toBe('😀'.repeat(4))
    expect(part.isWellFormed()).toBe(true)
    expect([isCut, part.length]).toEqual([true, 100_008])
    expect(excerptOf('short', { start: 1, end: 2 })).toEqual({
      text: 'short',
      start: 1,
      end: 2,
      isCut: false,
    })
  })
})
