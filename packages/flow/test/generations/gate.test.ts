import {
  alignHits,
  checkGate,
  type GateSettings,
  gateSettings,
  isStill,
  judgeGolden,
  judgeOverlap,
  type PlacedHit,
  reasonsOf,
} from '@millrace/flow'
import type { Comparable } from '@millrace/store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const question = (id: string, ranks: readonly number[], more: Partial<Comparable> = {}): Comparable => ({
  id,
  question: `${id}?`,
  asked: id,
  expected: '["d"]',
  state: 'ranked',
  absent: [],
  ranks,
  score: 0.5,
  grade: 'related',
  documents: 1,
  ...more,
})
const settings = (wishes: object = {}): GateSettings => gateSettings(checkGate(wishes))

describe('the settings of a gate', () => {
  test('what is left out has a default; what cannot be is named', () => {
    expect(settings()).toEqual({
      margin: 0.02,
      metrics: ['hit1', 'hit3', 'hit10', 'mrr', 'ndcg'],
      overlap: 0.5,
      required: null,
    })
    expect(settings({ metrics: ['mrr', 'hit1', 'mrr'], margin: 0, required: 'golden' })).toMatchObject({
      metrics: ['hit1', 'mrr'],
      margin: 0,
      required: 'golden',
    })
    for (const wrong of [
      null,
      [],
      'strict',
      { margin: -0.1 },
      { margin: '0.1' },
      { margin: Number.NaN },
      { metrics: [] },
      { metrics: ['recall'] },
      { overlap: 2 },
      { required: 'overlap' },
      { constructor: 1 },
      { strict: true },
    ]) {
      expect(() => checkGate(wrong)).toThrowError(expect.objectContaining({ code: 'BAD_GATE' }))
    }
  })
})

test('a verdict stands while nothing changes; one that nobody asked for, a while longer', () => {
  const at = '2026-11-26T12:00:00.000Z'
  const inputs = { asked: 'set 1', published: '3:3 3:3' }
  const last = { inputs, at, error: null }
  const now = new Date('2026-11-26T12:10:00.000Z')
  const patient = { now, patienceMs: 15 * 60_000 }
  const strict = { now, patienceMs: 0 }
  const more = { ...inputs, published: '4:4 3:3' }
  expect([strict, patient].map((how) => isStill(last, inputs, how))).toEqual([true, true])
  expect([strict, patient].map((how) => isStill(last, more, how))).toEqual([false, true])
  // Another set or other settings at once; an error may be gone.
  expect(isStill(last, { ...inputs, asked: 'set 2' }, patient)).toBe(false)
  const failed = { ...last, error: { code: 'UNKNOWN_MODEL' } }
  expect([strict, patient].map((how) => isStill(failed, inputs, how))).toEqual([false, true])
  expect(isStill(null, inputs, patient)).toBe(false)
  expect(isStill({ ...last, at: null }, inputs, patient)).toBe(false)
})

describe('the verdict of a golden set', () => {
  test('worse by more than the margin in one watched figure', () => {
    const live = [question('a', [1]), question('b', [1]), question('c', [4]), question('d', [])]
    const other = [question('a', [1]), question('b', [2]), question('c', [1]), question('d', [])]
    const found = judgeGolden(live, other, settings())
    expect(found).toMatchObject({
      measured: 4,
      lost: 0,
      live: { hit1: 0.5, hit3: 0.5, hit10: 0.75, mrr: 0.5625 },
      other: { hit1: 0.5, hit3: 0.75, hit10: 0.75, mrr: 0.625 },
      change: { hit1: 0, hit3: 0.25, mrr: 0.0625 },
      failed: [],
      same: 2,
      worse: { total: 1, first: [{ id: 'b', live: { rank: 1 }, other: { rank: 2 } }] },
      better: { total: 1, first: [{ id: 'c', live: { rank: 4 }, other: { rank: 1 } }] },
    })
    const back = judgeGolden(other, live, settings())
    expect(back.failed).toEqual(['hit3', 'mrr', 'ndcg'])
    expect(judgeGolden(other, live, settings({ margin: 0.25 })).failed).toEqual([])
    expect(judgeGolden(other, live, settings({ metrics: ['hit1', 'hit10'] })).failed).toEqual([])
  })

  test('a question that only the live one could measure counts as lost; the other way round it says nothing', () => {
    const absent = [{ documentId: 'd', reason: 'not_ready' as const }]
    const gone = { state: 'unmeasured' as const, absent, score: null, grade: null }
    const found = judgeGolden(
      [question('a', [1]), question('b', [1]), question('c', [], gone)],
      [question('a', [1]), question('b', [], gone), question('c', [1])],
      settings(),
    )
    expect(found).toMatchObject({
      measured: 2,
      lost: 1,
      live: { hit1: 1 },
      other: { hit1: 0.5 },
      worse: { total: 1, first: [{ id: 'b', other: { rank: null } }] },
    })
    expect(found.failed).toHaveLength(5)
    const nothing = judgeGolden([question('c', [], gone)], [question('c', [1])], settings())
    expect(nothing).toMatchObject({ measured: 0, live: null, change: null, failed: [] })
  })

  test('what is kept is bounded, the largest fall first', () => {
    const many = Array.from({ length: 200 }, (_, n) => `${n}`)
    const long = 'x'.repeat(5_000)
    const live = many.map((id) => question(id, [1], { question: long }))
    const other = many.map((id, n) => question(id, [2 + (n % 90)]))
    const { worse } = judgeGolden(live, other, settings())
    expect([worse.total, worse.first.length]).toEqual([200, 50])
    expect(worse.first[0]?.other.rank).toBe(91)
    expect(worse.first[0]?.question).toHaveLength(301)
  })

  test('the same runs never fail, and every question is same, worse or better', () => {
    const runs = fc.array(fc.option(fc.integer({ min: 1, max: 100 })), { maxLength: 30 })
    const asked = (ranks: readonly (number | null)[]) =>
      ranks.map((rank, n) => question(`${n}`, rank === null ? [] : [rank]))
    fc.assert(
      fc.property(runs, runs, (one, two) => {
        const size = Math.min(one.length, two.length)
        const [live, other] = [asked(one.slice(0, size)), asked(two.slice(0, size))]
        expect(judgeGolden(live, live, settings({ margin: 0 })).failed).toEqual([])
        const { same, worse, better, measured } = judgeGolden(live, other, settings())
        expect(same + worse.total + better.total).toBe(measured)
        const back = judgeGolden(other, live, settings())
        expect([back.worse.total, back.better.total]).toEqual([better.total, worse.total])
      }),
    )
  })
})

describe('the verdict of an overlap', () => {
  test('over the longer of both lists; where neither finds anything it says nothing', () => {
    const found = judgeOverlap(
      [
        { live: ['a', 'b'], other: ['b', 'c'] },
        { live: [], other: [] },
      ],
      [{ live: ['a'], other: ['a', 'b', 'c', 'd'] }],
      true,
    )
    expect(found).toEqual({
      texts: 2,
      overlap: 0.375,
      equalFirst: 0.5,
      stored: { texts: 1, overlap: 0.5, equalFirst: 0 },
      queries: { texts: 1, overlap: 0.25, equalFirst: 1 },
      isWhole: true,
    })
    expect(judgeOverlap([], [], true)).toMatchObject({ texts: 0, overlap: null, equalFirst: null })
    const ten = Array.from({ length: 12 }, (_, n) => `${n}`)
    expect(judgeOverlap([{ live: ten, other: [...ten].reverse() }], [], true).overlap).toBe(0.8)
  })
})

const hit = (rank: number, documentId: string, [start, end] = [0, 100], more: Partial<PlacedHit> = {}) => ({
  rank,
  documentId,
  title: null,
  chunk: 0,
  start,
  end,
  text: '',
  score: 1 - rank / 10,
  rankedBy: 'dense' as const,
  scores: { dense: 1 - rank / 10 },
  level: null,
  ...more,
})

describe('two lists side by side', () => {
  test('passages meet by the characters they share, whatever their chunks are', () => {
    const a = [hit(1, 'x', [0, 100]), hit(2, 'x', [100, 200]), hit(3, 'y'), hit(4, 'gone')]
    const b = [hit(1, 'x', [90, 210]), hit(2, 'new'), hit(3, 'y'), hit(4, 'x', [300, 400])]
    const rows = alignHits(a, b)
    expect(rows.map(({ documentId, move, a, b }) => [documentId, move, a?.rank, b?.rank])).toEqual([
      ['x', 'up', 2, 1],
      ['new', 'new', undefined, 2],
      ['y', 'same', 3, 3],
      ['x', 'other', 1, 4],
      ['gone', 'gone', 4, undefined],
    ])
    const codes = rows.map((row) => reasonsOf(row, a, b).map(({ code }) => code))
    expect(codes).toEqual([
      ['CUT_OTHERWISE', 'BY_DENSE'],
      [],
      [],
      ['OTHER_PASSAGE', 'BY_DENSE', 'OVERTAKEN'],
      [],
    ])
  })

  test('at the same place another passage of a document is not the same', () => {
    const [a, b] = [[hit(1, 'x', [0, 100])], [hit(1, 'x', [300, 400])]]
    const [row] = alignHits(a, b)
    expect(row?.move).toBe('other')
    expect(row && reasonsOf(row, a, b).map(({ code }) => code)).toEqual(['OTHER_PASSAGE'])
  })

  test('the scores that went the same way are named, and who passed', () => {
    const scored = (dense: number, sparse: number) => ({
      rankedBy: 'hybrid' as const,
      scores: { dense, sparse, hybrid: dense + sparse },
    })
    const a = [hit(1, 'x', [0, 9], scored(0.9, 0.1)), hit(2, 'y', [0, 9], scored(0.5, 0.3))]
    const b = [hit(1, 'y', [0, 9], scored(0.9, 0.3)), hit(2, 'x', [0, 9], scored(0.8, 0.2))]
    const [y, x] = alignHits(a, b)
    if (x === undefined || y === undefined) throw new Error('a row is missing')
    expect(reasonsOf(x, a, b).map(({ code }) => code)).toEqual(['BY_DENSE', 'BY_HYBRID', 'OVERTAKEN'])
    expect(reasonsOf(y, a, b).map(({ code }) => code)).toEqual(['BY_DENSE', 'BY_HYBRID', 'OVERTOOK'])
    expect(reasonsOf(x, a, b).at(-1)?.en).toBe('It is overtaken by 1: "y".')
  })

  test('every hit of both lists is in one row, no row without any', () => {
    const list = fc
      .array(
        fc.record({
          id: fc.constantFrom('x', 'y', 'z'),
          start: fc.nat(50),
          size: fc.integer({ min: 1, max: 50 }),
        }),
        { maxLength: 12 },
      )
      .map((all) => all.map(({ id, start, size }, n) => hit(n + 1, id, [start, start + size])))
    fc.assert(
      fc.property(list, list, (a, b) => {
        const rows = alignHits(a, b)
        const ranks = (side: 'a' | 'b') => rows.flatMap((row) => row[side]?.rank ?? []).sort((x, y) => x - y)
        expect(ranks('a')).toEqual(a.map(({ rank }) => rank))
        expect(ranks('b')).toEqual(b.map(({ rank }) => rank))
        expect(rows.every((row) => row.a !== null || row.b !== null)).toBe(true)
        for (const row of rows) reasonsOf(row, a, b)
      }),
    )
  })
})
