import { languageOf, readEnvironment, showDomains, showHits, showReport } from 'millrace'
import { describe, expect, test } from 'vitest'

const hit = {
  documentId: 'a/b.md',
  title: 'Refunds',
  chunk: 0,
  text: 'Money comes back.',
  similarity: 0.51239,
  level: 'related',
  levelKey: 'related',
  start: 0,
  end: 17,
  metadata: {},
}
const found = { model: 'm', threshold: null, mode: 'dense', tookMs: { embed: 1, search: 1 } }

describe('hits', () => {
  test('rank, similarity, level, title and id, and how the passage begins', () => {
    expect(showHits('money', { ...found, hits: [hit, { ...hit, title: null, similarity: -0.1 }] })).toBe(
      '  1. 0.5124  related  Refunds  (a/b.md)\n     Money comes back.\n' +
        '  2. -0.1000  related  a/b.md\n     Money comes back.\n',
    )
  })

  test('a long passage is one line that ends with …, never in the middle of an emoji', () => {
    const [, line = ''] = showHits('x', {
      ...found,
      hits: [{ ...hit, text: `${'a\n'.repeat(79)}a🕘${'b'.repeat(200)}` }],
    }).split('\n')
    expect(line.trim().length).toBeLessThanOrEqual(161)
    expect(line.endsWith('…')).toBe(true)
    expect(line.isWellFormed()).toBe(true)
  })

  test('what a document carries does not steer the terminal', () => {
    const shown = showHits('x', {
      ...found,
      hits: [{ ...hit, title: 'a\x1b[2Jb\nc', text: '\x1b]0;x\x07y' }],
    })
    expect(shown).not.toMatch(/[^\P{Cc}\n]/u)
    expect(shown.trimEnd().split('\n')).toHaveLength(2)
  })

  test('none: the query and the threshold', () => {
    expect(showHits('x', { ...found, threshold: 0.9, hits: [] })).toBe('no hits for "x" (threshold 0.9)\n')
  })
})

describe('the report of an ingestion', () => {
  const report = {
    domain: 'd',
    ingestions: ['1'],
    documents: { found: 1_003, sent: 1_001, ready: 1_000, unchanged: 1, failed: 1, cancelled: 0 },
    chunks: { total: 2_000, embedded: 1_500, reused: 500 },
    tokens: { total: 90_000, embedded: 80_000 },
    deleted: null,
    seconds: 12.34,
    problems: [],
  }

  test('documents, then chunks', () => {
    expect(showReport(report)).toBe(
      '1,000 of 1,003 documents ready, 1 unchanged, in 12.3 s\n' +
        '2,000 chunks: 1,500 embedded (80,000 tokens), 500 reused\n',
    )
  })

  test('problems stand below each other; of many, the first twenty', () => {
    const problem = (i: number) => ({ path: `${i}.md`, code: 'BLANK_TEXT', message: 'The text is blank' })
    const shown = showReport({ ...report, problems: Array.from({ length: 23 }, (_, i) => problem(i)) })
    const lines = shown.trimEnd().split('\n').slice(2)
    expect(lines[0]).toBe('23 problems:')
    expect(lines[1]).toBe('  0.md   BLANK_TEXT  The text is blank')
    expect(lines).toHaveLength(22)
    expect(lines[21]).toBe('  … and 3 more: --json lists them all')
  })
})

test('domains are a table, with what waits in one column', () => {
  const documents = { total: 9, received: 1, preparing: 1, embedding: 1, ready: 5, failed: 1, cancelled: 0 }
  const domain = { name: 'faq', model: 'm', modelState: 'loading', threshold: 0.3, levels: [], documents }
  expect(showDomains([domain])).toBe(
    'domain  model        threshold  ready  waiting  failed\n' +
      'faq     m (loading)  0.3        5      3        1\n',
  )
  expect(showDomains([])).toContain('millrace domains create')
})

describe('the environment', () => {
  test.each([
    { env: {}, language: 'en' },
    { env: { LANG: 'zh_CN.UTF-8' }, language: 'zh' },
    { env: { LANG: 'en_US.UTF-8', LC_ALL: 'zh_TW' }, language: 'zh' },
    { env: { LANG: 'zh_CN', LC_MESSAGES: 'C' }, language: 'en' },
    { env: { LANG: 'zh_CN', LC_ALL: '' }, language: 'zh' },
  ])('levels are named in the language of the terminal: $env: $language', ({ env, language }) => {
    expect(languageOf(env)).toBe(language)
  })

  test('an empty variable is one that is not set', () => {
    expect(readEnvironment({ MILLRACE_URL: '', MILLRACE_API_KEY: '' })).toEqual({
      url: 'http://127.0.0.1:8080',
      apiKey: undefined,
      language: 'en',
    })
  })

  test.each(['localhost:8080', 'ftp://x', '//x'])(
    'MILLRACE_URL that is not an http URL is refused: %s',
    (url) => {
      expect(() => readEnvironment({ MILLRACE_URL: url })).toThrow(/^MILLRACE_URL is /)
    },
  )
})
