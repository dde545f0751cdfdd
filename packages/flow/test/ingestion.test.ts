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
  startedAt: START,
  finishedAt: null,
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
}

const shown = (change: Partial<IngestionRow>, seconds = 10) =>
  describeIngestion({ ...row, ...change }, [], after(seconds))

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
    startedAt: '2026-01-01T00:00:00.000Z',
    finishedAt: null,
  })
})

test('the total is every document, whatever became of it', () => {
  expect(shown({ failed: 5, cancelled: 1 }).documents.total).toBe(16)
})

test('errors go through as they are', () => {
  const errors = [{ code: 'EMPTY_TEXT', count: 2, example: { document: 'a', message: 'empty' } }]
  expect(describeIngestion(row, errors, after(1)).errors).toEqual(errors)
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

  test('is never below zero', () => {
    expect(shown({ received: 0, preparing: 0, tokensEmbedded: 7_100 }).etaSeconds).toBe(0)
  })

  test.each(['cancelled', 'finished'] as const)('is null when it is %s', (state) => {
    expect(shown({ state, finishedAt: after(5) }).etaSeconds).toBeNull()
  })
})
