import { describeIngestion } from '@millrace/flow'
import type { IngestionRow } from '@millrace/store'
import { describe, expect, test } from 'vitest'

const START = new Date('2026-01-01T00:00:00Z')
const after = (seconds: number) => new Date(START.getTime() + seconds * 1_000)

/** Ten documents: two untouched yet, one in preparation, three waiting for vectors, four ready. */
const row: IngestionRow = {
  id: 7,
  domain: 'faq',
  state: 'running',
  received: 2,
  preparing: 1,
  embedding: 3,
  ready: 4,
  failed: 0,
  cancelled: 0,
  unchanged: 0,
  chunks: 70,
  chunksEmbedded: 40,
  chunksReused: 0,
  tokens: 7_000,
  tokensEmbedded: 4_000,
  tokensPending: null,
  startedAt: START,
  finishedAt: null,
  workStartedAt: START,
  rateFrom: START,
  rateFromTokens: 0,
  rateLast: null,
  tokensLeased: 0,
  receiving: false,
  source: null,
  sync: null,
  syncedAt: null,
  syncSkipped: null,
  deleted: 0,
  rejected: 0,
  charactersCut: 0,
  empty: 0,
  index: { state: 'none' },
  now: START,
}
const nothing = {
  received: 10,
  preparing: 0,
  embedding: 0,
  ready: 0,
  chunks: 0,
  chunksEmbedded: 0,
  tokens: 0,
  tokensEmbedded: 0,
  workStartedAt: null,
  rateFrom: null,
  rateLast: null,
}

const shown = (change: Partial<IngestionRow>, seconds = 10) =>
  describeIngestion({ ...row, now: after(seconds), rateLast: after(seconds), ...change }, [], [])

test('an ingestion as a caller sees it', () => {
  expect(shown({})).toEqual({
    id: '7',
    domain: 'faq',
    state: 'running',
    documents: {
      total: 10,
      received: 2,
      preparing: 1,
      embedding: 3,
      ready: 4,
      failed: 0,
      cancelled: 0,
      unchanged: 0,
    },
    chunks: { total: 70, embedded: 40, reused: 0 },
    tokens: { total: 7_000, embedded: 4_000 },
    tokensPerSecond: 400,
    etaSeconds: 15,
    errors: [],
    receiving: false,
    rejected: { total: 0, codes: [] },
    index: { state: 'none' },
    sync: null,
    report: null,
    startedAt: '2026-01-01T00:00:00.000Z',
    finishedAt: null,
  })
})

test('the total is every document, whatever became of it', () => {
  expect(shown({ failed: 5, cancelled: 1 }).documents.total).toBe(16)
})

test('errors go through as they are', () => {
  const errors = [{ code: 'EMPTY_TEXT', count: 2, example: { document: 'a', message: 'empty' } }]
  expect(describeIngestion(row, errors, []).errors).toEqual(errors)
})

describe('the rate', () => {
  test('is null until something is embedded', () => {
    expect(shown(nothing)).toMatchObject({ tokensPerSecond: null, etaSeconds: null })
  })

  test('is null in the instant of the start', () => {
    expect(shown({}, 0)).toMatchObject({ tokensPerSecond: null, etaSeconds: null })
  })

  test('stands still once it is finished', () => {
    const finished = { state: 'finished', finishedAt: after(20), tokensEmbedded: 7_000 } as const
    expect(shown(finished, 20)).toEqual(shown(finished, 2_000))
    expect(shown(finished)).toMatchObject({ tokensPerSecond: 350, etaSeconds: null })
  })

  test('is that of late while it runs, and of all its work once it has ended', () => {
    const later = { rateFrom: after(60), rateFromTokens: 1_000 }
    expect(shown(later, 120).tokensPerSecond).toBe(50)
    expect(shown({ ...later, state: 'finished', finishedAt: after(200) }, 300).tokensPerSecond).toBe(20)
  })

  test('stays as it is while workers are at work on what is not stored yet, and falls after that', () => {
    const stored = { rateLast: after(10), received: 0, preparing: 0, tokensLeased: 2_000 }
    expect(shown(stored, 10)).toMatchObject({ tokensPerSecond: 400, etaSeconds: 8 })
    expect(shown(stored, 13)).toMatchObject({ tokensPerSecond: 400, etaSeconds: 5 })
    expect(shown(stored, 30)).toMatchObject({ tokensPerSecond: 200, etaSeconds: 5 })
    expect(shown(stored, 60)).toMatchObject({ tokensPerSecond: 100, etaSeconds: 10 })
  })

  test('does not count the time before its work began, behind other ingestions', () => {
    expect(shown({ rateFrom: after(90) }, 100)).toMatchObject({ tokensPerSecond: 400, etaSeconds: 43 })
  })

  test('is given to a tenth', () => {
    expect(shown({ tokensEmbedded: 1_000 }, 3).tokensPerSecond).toBe(333.3)
  })
})

describe('the time left', () => {
  test('with everything prepared it is what is left over the rate', () => {
    expect(shown({ received: 0, preparing: 0 }).etaSeconds).toBe(8)
  })

  test('documents that are not prepared count as long as the prepared ones', () => {
    // 3,000 tokens left, and 3 documents of 1,000: at 400 tokens a second.
    expect(shown({}).etaSeconds).toBe(15)
  })

  test('what is reused is not waited for', () => {
    const half = { chunksReused: 35, chunksEmbedded: 20, tokensEmbedded: 2_000 }
    // 3,500 tokens to embed of the prepared seven, 1,500 left, and 3 documents of 500: at 200 a second.
    expect(shown(half).etaSeconds).toBe(15)
  })

  test('unchanged documents say nothing about the others', () => {
    const { etaSeconds } = shown({ ready: 14, unchanged: 10, chunks: 140, chunksReused: 70, tokens: 14_000 })
    expect(etaSeconds).toBe(15)
  })

  test('is unknown while nothing is prepared', () => {
    expect(shown({ ...nothing, tokensEmbedded: 5 }).etaSeconds).toBeNull()
  })

  test('what is left to embed of the prepared ones is counted where it can be', () => {
    // 1,000 tokens left, and 3 documents of (4,000 + 1,000) / 7: at 400 a second.
    expect(shown({ tokensPending: 1_000 }).etaSeconds).toBe(8)
  })

  test('is that of preparing where all is reused', () => {
    const reused = {
      chunksReused: 70,
      chunksEmbedded: 0,
      tokensEmbedded: 0,
      tokensPending: 0,
      rateFrom: null,
    }
    // 7 of 10 in 10 seconds.
    expect(shown({ ...reused, workStartedAt: null }).etaSeconds).toBe(4)
  })

  test('is unknown while documents are still being sent', () => {
    expect(shown({ receiving: true })).toMatchObject({ receiving: true, etaSeconds: null })
  })

  test('is never below zero', () => {
    expect(shown({ received: 0, preparing: 0, tokensEmbedded: 7_100 }).etaSeconds).toBe(0)
  })

  test.each(['cancelled', 'finished'] as const)('is null when it is %s', (state) => {
    expect(shown({ state, finishedAt: after(5) }).etaSeconds).toBeNull()
  })
})

describe('the report', () => {
  const ended = { state: 'finished', received: 0, preparing: 0, embedding: 0, finishedAt: after(20) } as const

  test('is there once it has ended, and says what became of everything that was sent', () => {
    const refused = [{ code: 'BLANK_TEXT', count: 3, example: { index: 4, message: 'The text is blank' } }]
    const failed = [{ code: 'EMPTY_TEXT', count: 1, example: { document: 'a', message: 'empty' } }]
    const change = { ...ended, failed: 1, cancelled: 2, rejected: 3, charactersCut: 7, deleted: 5 }
    expect(describeIngestion({ ...row, ...change }, failed, refused).report).toEqual({
      seconds: 20,
      documents: { sent: 10, ready: 4, unchanged: 0, failed: 1, cancelled: 2, refused: 3, deleted: 5 },
      chunks: { total: 70, embedded: 40, reused: 0 },
      tokens: { total: 7_000, embedded: 4_000 },
      refused,
      failed,
      textCut: { characters: 7 },
      empty: 0,
    })
  })

  test.each([
    { syncedAt: null, syncSkipped: null, state: 'waiting' },
    { syncedAt: START, syncSkipped: null, state: 'done' },
    { syncedAt: START, syncSkipped: '3 documents failed', state: 'skipped' },
  ])('a sync is $state', ({ state, ...change }) => {
    const { sync } = shown({ sync: 'full', source: 'wiki', deleted: 2, ...change })
    expect(sync).toEqual({ source: 'wiki', state, deleted: 2, reason: change.syncSkipped })
  })
})
