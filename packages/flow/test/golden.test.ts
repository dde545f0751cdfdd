import {
  type Comparison,
  compareRuns,
  DEPTH,
  gradeOf,
  hitAt,
  metricsOf,
  ndcg,
  percentile,
  type RankedHit,
  recallAt,
  reciprocalRank,
  reportOf,
  sortQuestions,
  withoutSelf,
} from '@millrace/flow'
import type { Comparable, Measured } from '@millrace/store'
import { CLEANING_DEFAULTS } from '@millrace/text'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const ranking = (ranks: readonly number[], expected = Math.max(1, ranks.length)) => ({ ranks, expected })

describe('measures of a ranked list', () => {
  test('values worked out by hand', () => {
    expect([1, 2, 3].map((k) => hitAt(ranking([3]), k))).toEqual([false, false, true])
    expect(reciprocalRank(ranking([4]), 10)).toBe(0.25)
    expect(reciprocalRank(ranking([11]), 10)).toBe(0)
    expect(reciprocalRank(ranking([]), 10)).toBe(0)
    // One relevant at rank 3: 1/log2(4) over 1/log2(2).
    expect(ndcg(ranking([3]), 10)).toBeCloseTo(0.5, 12)
    // Ranks 1 and 3 of two: (1 + 1/2) / (1 + 1/log2 3) = 1.5 / 1.63093.
    expect(ndcg(ranking([1, 3]), 10)).toBeCloseTo(0.919_720_789, 8)
    // One of two found, at rank 2: 0.63093 / 1.63093.
    expect(ndcg(ranking([2], 2), 10)).toBeCloseTo(0.386_852_807, 8)
    expect(ndcg(ranking([11]), 10)).toBe(0)
    expect(ndcg(ranking([], 0), 10)).toBe(0)
  })

  test('means over questions, none of nothing', () => {
    const questions = [
      { ...ranking([1]), passed: true },
      { ...ranking([2]), passed: true },
      { ...ranking([20]), passed: false },
      { ...ranking([]), passed: false },
    ]
    expect(metricsOf(questions)).toEqual({
      hitAt1: 0.25,
      hitAt3: 0.5,
      hitAt10: 0.5,
      mrrAt10: 0.375,
      // (1 + 1/log2 3) / 4
      ndcgAt10: 0.407732,
      passed: 0.5,
    })
    expect(metricsOf([])).toBeNull()
  })

  const ranks = fc
    .uniqueArray(fc.integer({ min: 1, max: 30 }), { maxLength: 8 })
    .map((all) => all.sort((a, b) => a - b))

  test('lie between 0 and 1, are 1 for a perfect list only, and never fall when a document moves up', () => {
    fc.assert(
      fc.property(ranks, fc.integer({ min: 0, max: 15 }), (found, more) => {
        const list = ranking(found, found.length + more)
        const values = [reciprocalRank(list, DEPTH), ndcg(list, DEPTH)]
        for (const value of values) expect(value >= 0 && value <= 1 + 1e-12).toBe(true)
        const first = found[0]
        if (first !== undefined && first > 1) {
          const moved = ranking([first - 1, ...found.slice(1)], list.expected)
          expect(reciprocalRank(moved, DEPTH)).toBeGreaterThanOrEqual(reciprocalRank(list, DEPTH))
          expect(ndcg(moved, DEPTH)).toBeGreaterThanOrEqual(ndcg(list, DEPTH))
        }
        const isPerfect =
          list.expected > 0 &&
          found.filter((rank) => rank <= Math.min(DEPTH, list.expected)).length ===
            Math.min(DEPTH, list.expected)
        expect(ndcg(list, DEPTH) > 1 - 1e-12).toBe(isPerfect)
      }),
    )
  })
})

const hit = (documentId: string, score: number, key: string | null = 'related'): RankedHit => ({
  documentId,
  title: null,
  score,
  rankedBy: 'dense',
  level: key === null ? null : { key, isLast: key === 'unrelated' },
})

describe('the grade of a question', () => {
  const hits = [hit('a', 0.9, 'near'), hit('b', 0.7), hit('a', 0.65), hit('c', 0.5, 'unrelated')]

  test('is the level of the best hit of an expected document among the first K', () => {
    expect(gradeOf(hits, ['b'], 3)).toEqual({ ranks: [2], score: 0.7, scored: 'dense', grade: 'related' })
    // Both documents, each at its first hit.
    expect(gradeOf(hits, ['b', 'a'], 3)).toMatchObject({ ranks: [1, 2], grade: 'near' })
  })

  test('is a miss beyond K, on the last level, and when it is not there; rank and score are told all the same', () => {
    expect(gradeOf(hits, ['b'], 1)).toMatchObject({ ranks: [2], score: 0.7, grade: 'miss' })
    expect(gradeOf(hits, ['c'], 4)).toMatchObject({ ranks: [4], score: 0.5, grade: 'miss' })
    expect(gradeOf(hits, ['z'], 4)).toEqual({ ranks: [], score: null, scored: null, grade: 'miss' })
    expect(gradeOf([], ['z'], 4).grade).toBe('miss')
  })

  test('is found where the score has no levels', () => {
    expect(gradeOf([hit('a', 12, null)], ['a'], 3).grade).toBe('found')
  })
})

const measured = (given: Partial<Measured>): Measured => ({
  state: 'ranked',
  absent: [],
  ranks: [1],
  score: 0.8,
  grade: 'near',
  documents: 1,
  ...given,
})
const absent = (reason: 'missing' | 'not_ready' | 'empty') => ({ documentId: 'x', reason })

describe('the report of a run', () => {
  test('counts grades, misses, what the threshold would cut, and what could not be measured', () => {
    const results = [
      measured({}),
      measured({ grade: 'related', score: 0.5 }),
      measured({ grade: 'miss', ranks: [], score: null }),
      measured({ grade: 'miss', score: 0.1 }),
      measured({ state: 'unmeasured', absent: [absent('missing')], ranks: [], grade: null }),
      measured({
        state: 'unmeasured',
        absent: [absent('missing'), absent('not_ready')],
        grade: null,
        documents: 2,
      }),
      measured({ state: 'unmeasured', absent: [absent('empty')], grade: null }),
      measured({ state: 'failed', grade: null }),
      // One of two documents is not there: measured by the other.
      measured({ documents: 2, absent: [absent('missing')] }),
    ]
    const report = reportOf(results, ['near', 'related', 'unrelated'], 0.6)
    expect(report).toMatchObject({
      measured: 5,
      unmeasured: { missing: 1, not_ready: 1, empty: 1, failed: 1 },
      grades: { near: 2, related: 1, miss: 2 },
      misses: 2,
      belowThreshold: 1,
    })
    expect(report.metrics).toMatchObject({ hitAt1: 0.8, ndcgAt10: 0.8, passed: 0.6 })
    expect(reportOf(results, [], null).belowThreshold).toBe(0)
    expect(reportOf([], ['near', 'unrelated'], null)).toMatchObject({
      metrics: null,
      grades: { near: 0, miss: 0 },
    })
  })
})

const standing = (asked: string, ranks: readonly number[], more: Partial<Comparable> = {}): Comparable => ({
  ...measured({ ranks, grade: ranks.length > 0 ? 'near' : 'miss' }),
  id: asked,
  question: `${asked}?`,
  asked,
  expected: '["d"]',
  ...more,
})

describe('two runs side by side', () => {
  test('only what both asked and measured, expecting the same, is compared', () => {
    const before = [
      standing('same', [1]),
      standing('fell', [1]),
      standing('lost', [2]),
      standing('rose', [3]),
      standing('gone', [1]),
      standing('other', [1]),
      standing('waits', [1]),
      standing('graded', [1]),
    ]
    const after = [
      standing('same', [1]),
      standing('fell', [2]),
      standing('lost', []),
      standing('rose', [1]),
      standing('new', [1]),
      standing('other', [5], { expected: '["e"]' }),
      standing('waits', [], { state: 'unmeasured', grade: null }),
      standing('graded', [1], { grade: 'miss' }),
    ]
    const found = compareRuns(before, after)
    const ids = (of: 'worse' | 'better' | 'added' | 'removed' | 'changed' | 'unmeasured') =>
      found[of].map(({ id }) => id)
    expect(found).toMatchObject({ common: 5, sameQuestions: false })
    expect([ids('worse'), ids('better')]).toEqual([['fell', 'lost', 'graded'], ['rose']])
    expect([ids('added'), ids('removed'), ids('changed'), ids('unmeasured')]).toEqual([
      ['new'],
      ['gone'],
      ['other'],
      ['waits'],
    ])
    expect(found.lost.map(({ id }) => id)).toEqual(['waits'])
    expect(compareRuns(after, before).lost).toEqual([])
    expect(found.before?.hitAt1).toBe(0.6)
    expect(found.after?.hitAt1).toBe(0.6)
    expect(found.worse[1]).toMatchObject({ before: { rank: 2 }, after: { rank: null } })
  })

  test('nothing in common is no mean', () => {
    expect(compareRuns([standing('a', [1])], [standing('b', [1])])).toMatchObject({
      common: 0,
      before: null,
      after: null,
    })
  })

  test('the other way round, worse is better', () => {
    const question = fc.record({
      asked: fc.constantFrom(...'abcdefgh'),
      ranks: fc
        .uniqueArray(fc.integer({ min: 1, max: 30 }), { maxLength: 2 })
        .map((all) => all.sort((a, b) => a - b)),
    })
    const run = fc
      .uniqueArray(question, { selector: ({ asked }) => asked })
      .map((all) => all.map(({ asked, ranks }) => standing(asked, ranks)))
    const moves = ({ worse, better, added, removed, common }: Comparison) =>
      [worse, better, added, removed]
        .map((list) =>
          list
            .map(({ id }) => id)
            .sort()
            .join(),
        )
        .concat(String(common))
    fc.assert(
      fc.property(run, run, (a, b) => {
        const [worse, better, added, removed, common] = moves(compareRuns(a, b))
        expect(moves(compareRuns(b, a))).toEqual([better, worse, removed, added, common])
        expect(compareRuns(a, a)).toMatchObject({ worse: [], better: [], sameQuestions: true })
      }),
    )
  })
})

describe('recall of an index', () => {
  test('counts what is as near as the exact k-th', () => {
    const exact = [0.9, 0.8, 0.7, 0.6]
    expect(recallAt([0.9, 0.7, 0.6], exact, 3)).toBeCloseTo(2 / 3, 12)
    expect(recallAt(exact, exact, 10)).toBe(1)
    expect(recallAt([], exact, 2)).toBe(0)
    // Of equally near ones any will do.
    expect(recallAt([0.8, 0.7], [0.8, 0.7, 0.7], 2)).toBe(1)
    expect(recallAt([], [], 5)).toBe(1)
  })

  test('leaves out the vector that was searched with, also where the index did not find it', () => {
    expect(withoutSelf([1, 0.8], [1, 0.8])).toEqual({ found: [0.8], exact: [0.8] })
    expect(withoutSelf([0.8, 0.5], [1, 0.8])).toEqual({ found: [0.8, 0.5], exact: [0.8] })
    expect(withoutSelf([], [])).toEqual({ found: [], exact: [] })
  })

  test('percentiles are values that were there', () => {
    expect([0.5, 0.95, 1].map((share) => percentile([3, 1, 2, 4], share))).toEqual([2, 4, 4])
    expect(percentile([], 0.5)).toBeNull()
  })
})

describe('questions as they are taken', () => {
  const options = { limits: { idBytes: 512, queryChars: 100 }, cleaning: CLEANING_DEFAULTS, merge: false }
  const sort = (questions: readonly object[], more: object = {}) =>
    sortQuestions(
      questions.map((question, index) => ({
        index,
        question: { question: 'q?', documentId: 'd', ...question },
      })),
      { ...options, ...more },
    )
  const codes = (questions: readonly object[], more: object = {}) =>
    sort(questions, more).rejected.map(({ index, code }) => [index, code])

  test('a wrong one is refused alone, with its place', () => {
    const wrong = [
      [{ question: ' \u200b ' }, 'BLANK_QUESTION'],
      [{ question: 'x'.repeat(101) }, 'QUESTION_TOO_LONG'],
      [{ question: 'a\0b' }, 'INVALID_CHARACTER'],
      [{ documentId: '' }, 'NO_EXPECTED'],
      [{ documentId: 'd'.repeat(513) }, 'ID_TOO_LONG'],
      [{ documentIds: Array.from({ length: 101 }, (_, i) => `d${i}`) }, 'TOO_MANY_EXPECTED'],
      [{ id: '' }, 'INVALID_ID'],
      [{ id: 'runs' }, 'INVALID_ID'],
      [{ note: 'x'.repeat(2_001) }, 'NOTE_TOO_LONG'],
      [{ filter: { a: 'b\0' } }, 'INVALID_FILTER'],
    ] as const
    expect(codes([{ question: 'good' }, ...wrong.map(([question]) => question)])).toEqual(
      wrong.map(([, code], i) => [i + 1, code]),
    )
  })

  test('the same question twice is refused, of rows it adds a document; with another filter it is another', () => {
    const same = [{ id: 'a' }, {}, { filter: { lang: 'de' } }, { documentId: 'e', note: 'n' }]
    expect(codes(same)).toEqual([
      [1, 'DUPLICATE_QUESTION'],
      [3, 'DUPLICATE_QUESTION'],
    ])
    const { accepted, rejected } = sort(same, { merge: true })
    expect(rejected.map(({ index }) => index)).toEqual([1])
    expect(accepted.map(({ id, documents, note }) => [id, documents, note])).toEqual([
      ['a', ['d', 'e'], 'n'],
      [null, ['d'], null],
    ])
    expect(codes([{ id: 'a' }, { id: 'a', question: 'other?' }])).toEqual([[1, 'DUPLICATE_ID']])
    expect(codes([{ id: 'a' }, { id: 'b', documentId: 'e' }], { merge: true })).toEqual([
      [1, 'DUPLICATE_QUESTION'],
    ])
  })
})
