import { readAction } from '@millrace/flow'
import { alarmOf } from '@millrace/flow/schedules/actions/golden'
import { politely } from '@millrace/flow/schedules/actions/refresh'
import { decideUpkeep } from '@millrace/flow/schedules/actions/upkeep'
import { freeAt, spend } from '@millrace/flow/schedules/budget'
import { causeOf, checkHours, checkWhen, isOpen, nextTick, opensAt } from '@millrace/flow/schedules/when'
import { describe, expect, test } from 'vitest'

const at = (text: string) => new Date(text)
const NOW = at('2026-01-01T00:00:00Z')
const nightly = (timeZone: string) => checkWhen({ cron: '30 2 * * *', timeZone }, NOW)
const after = (from: string, timeZone: string, count: number): string[] => {
  const ticks: string[] = []
  for (let last = at(from); ticks.length < count; ticks.push(last.toISOString())) {
    last = nextTick(nightly(timeZone), NOW, last)
  }
  return ticks
}
const refusal = (work: () => unknown): { code?: string; message: string; hint?: string } => {
  try {
    work()
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('it was not refused')
}

describe('when a schedule is due', () => {
  test('a time that the clocks skip is taken once, when they have been put forward', () => {
    expect(after('2026-03-28T12:00:00Z', 'Europe/Berlin', 2)).toEqual([
      '2026-03-29T01:30:00.000Z', // 03:30, an hour later than the day before in local time
      '2026-03-30T00:30:00.000Z',
    ])
  })
  test('a time that they show twice is taken once, the first time', () => {
    expect(after('2026-10-24T12:00:00Z', 'Europe/Berlin', 2)).toEqual([
      '2026-10-25T00:30:00.000Z',
      '2026-10-26T01:30:00.000Z',
    ])
    expect(nextTick(nightly('Europe/Berlin'), NOW, at('2026-10-25T00:45:00Z'))).toEqual(
      at('2026-10-26T01:30:00Z'),
    )
  })
  test('each hour is due also in the hours that the clocks show twice or skip', () => {
    const when = checkWhen({ cron: '@hourly', timeZone: 'Europe/Berlin' }, NOW)
    let last = at('2026-10-24T23:30:00Z')
    for (const hour of ['00', '01', '02', '03']) {
      last = nextTick(when, NOW, last)
      expect(last).toEqual(at(`2026-10-25T${hour}:00:00Z`))
    }
  })
  test('every so many seconds is counted from when it was made', () => {
    const when = checkWhen({ every: 3_600 }, NOW)
    const made = at('2026-01-01T00:10:00Z')
    expect(nextTick(when, made, made)).toEqual(at('2026-01-01T01:10:00Z'))
    expect(nextTick(when, made, at('2026-01-01T01:10:00Z'))).toEqual(at('2026-01-01T02:10:00Z'))
    expect(nextTick(when, made, at('2026-01-09T05:09:00Z'))).toEqual(at('2026-01-09T05:10:00Z'))
  })
  test('what is never due, and what is no time, is refused with the value', () => {
    for (const [given, why] of [
      [{ cron: '0 0 31 2 *' }, 'never be due'],
      [{ cron: '0 0 31 4,6 *' }, 'never be due'],
      [{ cron: '* * * * * *' }, '6 fields'],
      [{ cron: '' }, '0 fields'],
      [{ cron: '61 * * * *' }, '61'],
      [{ cron: 'H 2 * * *' }, 'H is not a time'],
      [{ cron: '@secondly' }, 'no such name'],
      [{ every: 59 }, '59'],
      [{ every: 1e9 }, '1000000000'],
      [{ every: 60.5 }, '60.5'],
      [{}, 'neither'],
      [{ cron: '@daily', every: 60 }, 'both'],
      [{ cron: '@daily', timeZone: 'Mars/Phobos' }, 'Mars/Phobos'],
      [{ cron: '@daily', timeZone: '+02:00' }, '+02:00'],
    ] as const) {
      const error = refusal(() => checkWhen(given, NOW))
      expect(error.code).toBe('BAD_SCHEDULE')
      expect(error.message).toContain(why)
      expect(error.hint).toBeTruthy()
    }
  })
  test('a tick that is taken long after it was due was missed', () => {
    expect(causeOf(NOW, at('2026-01-01T00:01:00Z'))).toBe('tick')
    expect(causeOf(NOW, at('2026-01-03T00:00:00Z'))).toBe('missed')
  })
})

describe('a window', () => {
  const night = checkHours({ from: '22:00', to: '06:00' }, 'Europe/Berlin')
  test('may cross midnight, in its time zone', () => {
    expect(isOpen(night, at('2026-01-01T21:30:00Z'))).toBe(true)
    expect(isOpen(night, at('2026-01-01T04:59:00Z'))).toBe(true)
    expect(isOpen(night, at('2026-01-01T05:00:00Z'))).toBe(false)
    expect(opensAt(night, at('2026-01-01T05:00:00Z'))).toEqual(at('2026-01-01T21:00:00Z'))
  })
  test('within a day it ends where it says', () => {
    const day = checkHours({ from: '09:00', to: '17:00', timeZone: 'UTC' }, 'Europe/Berlin')
    expect([8, 9, 16, 17].map((hour) => isOpen(day, new Date(Date.UTC(2026, 0, 1, hour))))).toEqual([
      false,
      true,
      true,
      false,
    ])
  })
  test('that is none is refused', () => {
    for (const given of [
      {},
      { from: '22:00' },
      { from: '24:00', to: '06:00' },
      { from: '6:00', to: '22:00' },
      { from: '06:00', to: '06:00' },
      { from: '06:00', to: '07:00', days: 5 },
      { from: '06:00', to: '07:00', timeZone: 'Nowhere' },
    ]) {
      expect(refusal(() => checkHours(given, 'UTC')).code).toBe('BAD_SCHEDULE')
    }
  })
})

test('a ceiling on tokens an hour counts what was above it in the hours after', () => {
  expect(freeAt(undefined, 100, NOW)).toBeNull()
  const some = spend(undefined, 60, 100, NOW)
  expect(freeAt(some, 100, NOW)).toBeNull()
  const much = spend(some, 190, 100, at('2026-01-01T00:30:00Z'))
  expect(freeAt(much, 100, at('2026-01-01T00:30:00Z'))).toEqual(at('2026-01-01T02:00:00Z'))
  expect(freeAt(much, 100, at('2026-01-01T01:30:00Z'))).toEqual(at('2026-01-01T02:00:00Z'))
  expect(freeAt(much, 100, at('2026-01-01T02:00:00Z'))).toBeNull()
  expect(spend(much, 10, 100, at('2026-01-01T02:10:00Z'))).toEqual({
    since: '2026-01-01T02:00:00.000Z',
    tokens: 60,
  })
})

describe('what is to be done', () => {
  test('has defaults', () => {
    expect(readAction({ kind: 'reembed' })).toEqual({
      kind: 'reembed',
      failed: true,
      recipe: true,
      olderThanDays: null,
      switch: 'manual',
    })
    expect(readAction({ kind: 'reembed', olderThanDays: 30 })).toMatchObject({ failed: false, recipe: false })
    expect(readAction({ kind: 'retention', olderThanDays: 30, field: 'updatedAt' })).toMatchObject({
      of: ['documents'],
      field: null,
    })
  })
  test('is refused where it is unknown, with what is known', () => {
    for (const given of [
      {},
      { kind: 'dance' },
      { kind: 'refresh', gone: 'burn' },
      { kind: 'refresh', olderThanDays: 3 },
      { kind: 'reembed', failed: false },
      { kind: 'reembed', olderThanDays: 0 },
      { kind: 'retention' },
      { kind: 'retention', olderThanDays: 3, of: ['vectors'] },
      { kind: 'retention', olderThanDays: 3, of: 'queries', field: 'date' },
      { kind: 'retention', olderThanDays: 3, field: 'a\0b' },
      { kind: 'golden', alarm: { metric: 'joy', below: 1 } },
      { kind: 'golden', alarm: { metric: 'hitAt1' } },
      { kind: 'golden', alarm: { metric: 'hitAt1', below: 2 } },
      { kind: 'golden', alarm: 3 },
      { kind: 'upkeep', deadShare: 'all' },
    ]) {
      const error = refusal(() => readAction(given))
      expect([given, error.code]).toEqual([given, 'BAD_SCHEDULE'])
      expect(error.hint).toBeTruthy()
    }
  })
})

test('an alarm is raised below a value, and when it falls by more than allowed', () => {
  const metrics = { hitAt1: 0.5, hitAt3: 0.7, hitAt10: 0.9, mrrAt10: 0.6, ndcgAt10: 0.7, passed: 0.7 }
  const before = { ...metrics, hitAt3: 0.75 }
  expect(alarmOf({ metric: 'hitAt3', below: 0.7, worseBy: null }, metrics, null)).toBeUndefined()
  expect(alarmOf({ metric: 'hitAt3', below: 0.71, worseBy: null }, metrics, null)).toContain('less than 0.71')
  expect(alarmOf({ metric: 'hitAt3', below: null, worseBy: 0.05 }, metrics, before)).toBeUndefined()
  expect(alarmOf({ metric: 'hitAt3', below: null, worseBy: 0.04 }, metrics, before)).toContain(
    'fell from 0.75',
  )
  expect(alarmOf({ metric: 'hitAt3', below: null, worseBy: 0.04 }, metrics, null)).toBeUndefined()
})

test('what has drifted is mended, and nothing else', () => {
  const action = readAction({ kind: 'upkeep' })
  if (action.kind !== 'upkeep') throw new Error('it is another action')
  const built = { rows: 1_000, bytes: 1e6 }
  const good = { index: 'vectors_1_hnsw', rows: 1_100, bytes: 1.1e6, built }
  const tables = [
    { table: 'vectors_1', live: 1_000, dead: 300 },
    { table: 'terms_1', live: 10, dead: 40 },
  ]
  expect(decideUpkeep(action, { tables, index: good, recall: null })).toEqual(['vectors_1'])
  expect(decideUpkeep(action, { tables: [], index: { ...good, bytes: 2e6 }, recall: null })).toEqual([
    'index',
  ])
  expect(
    decideUpkeep(action, { tables: [], index: { ...good, rows: 3_000, bytes: 3e6 }, recall: null }),
  ).toEqual(['index'])
  const strict = { ...action, recallBelow: 0.95 }
  expect(decideUpkeep(strict, { tables: [], index: good, recall: 0.9 })).toEqual(['index'])
  expect(decideUpkeep(strict, { tables: [], index: good, recall: 0.99 })).toEqual([])
})

test('pages of one host are asked for two at a time, of all hosts four', async () => {
  const busy = { all: 0, host: new Map<string, number>(), most: 0, mostOfHost: 0 }
  const rows = Array.from({ length: 20 }, (_, n) => ({ n, host: n < 14 ? 'a' : 'b' }))
  const results = await politely(
    rows,
    ({ host }) => host,
    async ({ n, host }) => {
      busy.all++
      busy.host.set(host, (busy.host.get(host) ?? 0) + 1)
      busy.most = Math.max(busy.most, busy.all)
      busy.mostOfHost = Math.max(busy.mostOfHost, busy.host.get(host) ?? 0)
      await new Promise((resolve) => setTimeout(resolve, 1))
      busy.all--
      busy.host.set(host, (busy.host.get(host) ?? 1) - 1)
      return n
    },
  )
  expect(results).toEqual(rows.map(({ n }) => n))
  expect([busy.most, busy.mostOfHost]).toEqual([4, 2])
})
