import {
  duration,
  fit,
  languageOf,
  notesOf,
  readEnvironment,
  showDomains,
  showHits,
  showIngestion,
  showReport,
  showStatus,
} from 'millrace'
import { showPreview } from 'millrace/chunk'
import type { Ingestion, Status } from 'millrace/client'
import { describe, expect, test } from 'vitest'

const hit = {
  documentId: 'a/b.md',
  title: 'Refunds',
  chunk: 0,
  text: 'Money comes back.',
  similarity: 0.51239,
  score: 0.51239,
  rankedBy: 'dense',
  scores: { dense: 0.51239 },
  level: 'related',
  levelKey: 'related',
  start: 0,
  end: 17,
  metadata: {},
}
const found = {
  generation: '3',
  model: 'm',
  threshold: null,
  staleThreshold: null,
  mode: 'dense',
  rankedBy: 'dense',
  warnings: [],
  tookMs: { embed: 1, search: 1, rerank: null },
}

describe('hits', () => {
  test('rank, score, level where there is one, title and id, and how the passage begins', () => {
    expect(
      showHits('money', { ...found, hits: [hit, { ...hit, title: null, score: -0.1, level: null }] }),
    ).toBe(
      '  1. 0.5124  related  Refunds  (a/b.md)\n     Money comes back.\n' +
        '  2. -0.1000  a/b.md\n     Money comes back.\ngeneration 3, m\n',
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
    expect(shown.trimEnd().split('\n')).toHaveLength(3)
  })

  test('none: the query and the threshold', () => {
    expect(showHits('x', { ...found, threshold: 0.9, hits: [] })).toBe(
      'no hits for "x" (threshold 0.9)\ngeneration 3, m\n',
    )
  })

  test('why there may be none, and a threshold that is not applied', () => {
    const warnings = [{ code: 'STILL_INGESTING', message: '3 documents are not ready' }]
    const staleThreshold = { score: 'dense', threshold: 0.75, recipe: 'old' }
    expect(showHits('x', { ...found, hits: [], warnings, staleThreshold })).toBe(
      'no hits for "x" (threshold none)\n3 documents are not ready\n' +
        'the threshold 0.75 of dense was set for another recipe and is not applied\ngeneration 3, m\n',
    )
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
    textCut: { characters: 0 },
    empty: 0,
    seconds: 12.34,
    problems: [],
  }

  test('documents, then chunks', () => {
    expect(showReport(report)).toBe(
      '1,000 of 1,003 documents ready, 1 unchanged, in 12.3 s\n' +
        '2,000 chunks: 1,500 embedded (80,000 tokens), 500 reused\ntext cut: none\n',
    )
  })

  test('problems stand below each other; of many, the first twenty', () => {
    const problem = (i: number) => ({ path: `${i}.md`, code: 'BLANK_TEXT', message: 'The text is blank' })
    const shown = showReport({ ...report, problems: Array.from({ length: 23 }, (_, i) => problem(i)) })
    const lines = shown.trimEnd().split('\n').slice(3)
    expect(lines[0]).toBe('23 problems:')
    expect(lines[1]).toBe('  0.md   BLANK_TEXT  The text is blank')
    expect(lines).toHaveLength(22)
    expect(lines[21]).toBe('  … and 3 more: --json lists them all')
  })
})

const ingestion: Ingestion = {
  id: '7',
  domain: 'faq',
  state: 'running',
  receiving: false,
  documents: {
    total: 1_200,
    received: 600,
    preparing: 0,
    embedding: 295,
    ready: 300,
    failed: 5,
    cancelled: 0,
    unchanged: 1,
  },
  chunks: { total: 2_000, embedded: 1_000, reused: 20 },
  tokens: { total: 100_000, embedded: 50_000 },
  tokensPerSecond: 812.4,
  etaSeconds: 200,
  errors: [{ code: 'EMPTY_TEXT', count: 5, example: { document: 'a', message: 'no\u001b[2J token' } }],
  rejected: {
    total: 2,
    codes: [{ code: 'BLANK_TEXT', count: 2, example: { message: 'The text is blank' } }],
  },
  index: { state: 'none' },
  sync: null,
  report: null,
}

describe('an ingestion', () => {
  test('while it runs: tokens, their rate, the time left, errors', () => {
    expect(notesOf([ingestion])).toEqual(['50,000 tokens', '812 tokens/s', '3 min 20 s left', '7 errors'])
  })

  test('several: rates add up, the longest time is left, one that has ended has none', () => {
    const other: Ingestion = {
      ...ingestion,
      etaSeconds: 9_000,
      errors: [],
      rejected: { total: 0, codes: [] },
    }
    const over: Ingestion = { ...ingestion, state: 'finished' }
    expect(notesOf([ingestion, other, over], 1)).toEqual([
      '150,000 tokens',
      '1,625 tokens/s',
      '2 h 30 min left',
      '20 errors',
    ])
  })

  test('what else is at work: a stream, a sync, an index', () => {
    const documents = { ...ingestion.documents, received: 0, embedding: 0 }
    const sync = { source: 'wiki', state: 'waiting', deleted: 0, reason: null } as const
    const index = { state: 'building', percent: 40 } as const
    expect(notesOf([{ ...ingestion, etaSeconds: null, documents, sync, index }]).slice(-2)).toEqual([
      'deleting what is gone',
      'building the index 40 %',
    ])
    expect(notesOf([{ ...ingestion, etaSeconds: null, receiving: true }])).toContain('still sending')
  })

  test('that has ended: what became of everything, and why', () => {
    const { documents, chunks, tokens, errors, rejected } = ingestion
    const shown = showIngestion({
      ...ingestion,
      state: 'cancelled',
      documents: { ...documents, received: 0, embedding: 0, cancelled: 895 },
      sync: { source: 'wiki', state: 'skipped', deleted: 0, reason: '5 of its documents failed' },
      report: {
        seconds: 75,
        documents: {
          sent: 1_202,
          ready: 300,
          unchanged: 1,
          failed: 5,
          cancelled: 895,
          refused: 2,
          deleted: 0,
        },
        chunks,
        tokens,
        refused: rejected.codes,
        failed: errors,
        textCut: { characters: 12 },
        empty: 3,
      },
    })
    expect(shown).toBe(
      'ingestion 7 of faq: cancelled after 1 min 15 s\n' +
        '300 of 1,200 documents ready, 1 unchanged, 0 open, 5 failed, 895 cancelled, 2 refused\n' +
        '2,000 chunks: 1,000 embedded (50,000 tokens), 20 reused\n' +
        'text cut: 12 characters are in no chunk\n' +
        'empty after cleaning: 3 documents, which nothing can find\n' +
        'sync of wiki: 0 documents deleted (5 of its documents failed)\n' +
        '  refused  BLANK_TEXT  2  The text is blank\n' +
        '  failed   EMPTY_TEXT  5  no [2J token\n',
    )
  })
})

describe('the status', () => {
  const status: Status = {
    workers: [
      {
        id: 'w',
        host: 'here',
        pid: 12,
        slots: 2,
        tokens: 50_000,
        tokensPerSecond: 811.6,
        lastSeenSeconds: 3.2,
        startedAt: '2026-01-01T00:00:00.000Z',
      },
    ],
    backlog: { documents: 895, texts: 980, leases: 4, tokens: 60_000, minutes: 1.5, oldestSeconds: 12 },
    queues: [],
    models: [],
    memory: { rssBytes: 1 },
    failed: [],
    running: 3,
    ingestions: [ingestion],
    domains: [],
  }

  test('workers, what waits, running ingestions with a bar', () => {
    expect(showStatus('http://x', status).split('\n').slice(0, 8)).toEqual([
      'Millrace at http://x',
      '3 ingestions running, 895 documents open, 980 texts without a vector, 4 leases out, 1 min 30 s left',
      '',
      'worker   slots  tokens  tokens/s  last seen',
      'here:12  2      50,000  812       3 s ago',
      '',
      '7  faq  █████░░░░░░░░░░░░░░░ 305/1,200 documents  50,000 tokens  812 tokens/s  3 min 20 s left  7 errors',
      '… and 2 more ingestions',
    ])
  })

  test('says that nobody works', () => {
    const documents = { total: 9, received: 9, preparing: 0, embedding: 0, ready: 0, failed: 0, cancelled: 0 }
    const domain = { name: 'faq', model: 'm', modelState: 'ready', threshold: null, documents }
    const domains = [
      { ...domain, index: { state: 'building', phase: 'loading tuples', percent: 7 } as const },
    ]
    const shown = showStatus('http://x', { ...status, workers: [], domains })
    expect(shown).toContain('no worker is running: what waits is not worked on\n')
    expect(shown).toContain('faq: the index is built: loading tuples 7 %\n')
  })

  test('has why documents failed, with an example, and no more than five reasons', () => {
    const example = { document: 'a.md', message: 'It is\nno text' }
    const failed = Array.from({ length: 7 }, (_, i) => ({
      domain: 'faq',
      code: `CODE_${i}`,
      count: 2 - Math.sign(i),
      example,
    }))
    const shown = showStatus('http://x', { ...status, failed })
      .split('\n')
      .slice(-8)
    expect(shown).toEqual([
      '',
      'faq: 2 documents failed with CODE_0, e.g. a.md: It is no text',
      ...[1, 2, 3, 4].map((i) => `faq: 1 document failed with CODE_${i}, e.g. a.md: It is no text`),
      '… and 2 more reasons',
      '',
    ])
  })

  test('is cut to the window, never through an emoji', () => {
    expect(fit('a\nb\nc\nd\n', 80, 4)).toEqual(['a', 'b', '…'])
    expect(fit('🕘🕘🕘', 3, 10)).toEqual(['🕘🕘'])
  })
})

test.each([
  [0, '0 s'],
  [59.6, '1 min'],
  [61, '1 min 1 s'],
  [3_600, '1 h'],
  [86_399, '1 d'],
  [100_000, '1 d 4 h'],
])('%s seconds are %s', (seconds, shown) => {
  expect(duration(seconds)).toBe(shown)
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

test('a preview: each chunk under its facts, sums at the end', () => {
  const chunk = {
    text: 'One.\nTwo.',
    context: '',
    headings: ['A', 'B'],
    start: 0,
    end: 9,
    tokens: 6,
    overlap: 0,
    place: null,
    parent: 0,
  }
  const shown = showPreview({
    model: 'm',
    chunks: [chunk, { ...chunk, start: 5, text: 'Two.', overlap: 4, place: { page: 2, pageTo: 3 } }],
    parents: [{ text: 'One.\nTwo.', headings: [], start: 0, end: 9 }],
    tokens: 12,
    cut: 0,
    warnings: [],
  })
  expect(shown).toBe(
    '#0  6 tokens, 0 to 9, in parent 0, A > B\n   One.\n   Two.\n\n' +
      '#1  6 tokens, 5 to 9, repeats 4 characters, pages 2 to 3, in parent 0, A > B\n   Two.\n\n2 chunks, 1 parent, 12 tokens by m\n',
  )
})
