import { describeGeneration, openRates, requireChangeable } from '@millrace/flow'
import { type GenerationRow, NO_PROGRESS } from '@millrace/store'
import { describe, expect, test } from 'vitest'

const START = new Date('2026-01-01T00:00:00Z')
const at = (seconds: number) => new Date(START.getTime() + seconds * 1_000)

const row = (more: Partial<GenerationRow> = {}): GenerationRow => ({
  id: 7,
  domainId: 1,
  domain: 'd',
  state: 'building',
  model: 'm',
  dims: 3,
  recipe: {},
  recipeHash: 'r',
  storage: 'full',
  outputs: ['dense'],
  lexical: null,
  counted: 'terms',
  index: { m: 16, efConstruction: 64 },
  indexedAt: null,
  termsCountedAt: null,
  filledAfter: 0,
  filledAt: START,
  builtAt: null,
  paused: false,
  waitsFor: null,
  weight: 0.5,
  follows: true,
  switchWhenBuilt: false,
  soakSeconds: 86_400,
  keepUpToDate: false,
  copiesFrom: null,
  copiesSince: null,
  gate: {},
  gated: null,
  forced: null,
  thresholds: 'confirm',
  textsCopied: 0,
  textsEmbedded: 0,
  tokensEmbedded: 0,
  createdAt: START,
  startedAt: START,
  liveSince: null,
  retiredAt: null,
  dropAt: null,
  endedAt: null,
  endedBy: null,
  errorCode: null,
  errorMessage: null,
  ...more,
})

const DONE = {
  complete: true,
  filled: true,
  open: 0,
  failed: 0,
  lost: 0,
  indexDue: false,
  termCountsDue: false,
}

describe('the phase of a build', () => {
  test.each([
    ['filling', { filledAt: null }, {}, {}],
    ['embedding', {}, { waiting: 1 }, {}],
    ['embedding', {}, { embedding: 1, failed: 1, lost: 1 }, {}],
    ['indexing', {}, { ready: 1 }, { indexDue: true }],
    ['indexing', {}, { ready: 1 }, { termCountsDue: true }],
    ['incomplete', {}, { ready: 1, failed: 1, lost: 1 }, {}],
    ['complete', {}, { ready: 1, failed: 1 }, {}],
    [null, { state: 'live' as const }, {}, {}],
    [null, { state: 'retired' as const, follows: false }, {}, {}],
  ])('%s', (phase, of, progress, left) => {
    const facts = {
      progress: { ...NO_PROGRESS, ...progress },
      completeness: { ...DONE, ...left },
      now: START,
    }
    expect(describeGeneration(row(of), facts).phase).toBe(phase)
  })
})

describe('what is left of a build', () => {
  const progress = {
    ...NO_PROGRESS,
    ...{ total: 100, waiting: 40, preparing: 10, embedding: 20, ready: 30, tokensPending: 4_000 },
  }

  test('documents that are not prepared need as much as those that are, at the rate since it began', () => {
    const shown = describeGeneration(row({ tokensEmbedded: 6_000 }), { progress, now: at(60) })
    // 50 documents took 10,000 tokens; 4,000 are left of those, and 50 documents are not prepared.
    expect(shown).toMatchObject({ tokensPerSecond: 100, etaSeconds: 140 })
  })

  test('a rate of late says more', () => {
    const shown = describeGeneration(row({ tokensEmbedded: 6_000 }), { progress, rate: 200, now: at(60) })
    expect(shown).toMatchObject({ tokensPerSecond: 200, etaSeconds: 70 })
  })

  test('where nothing is embedded it goes by documents', () => {
    const copying = { ...progress, tokensPending: 0 }
    expect(describeGeneration(row(), { progress: copying, now: at(60) }).etaSeconds).toBe(60)
  })

  test('nothing can be told before anything is prepared, of a paused one, and of none that is built', () => {
    const none = { ...NO_PROGRESS, total: 10, waiting: 10 }
    expect(describeGeneration(row(), { progress: none, now: at(60) }).etaSeconds).toBeNull()
    expect(describeGeneration(row({ paused: true }), { progress, now: at(60) })).toMatchObject({
      tokensPerSecond: null,
      etaSeconds: null,
    })
    expect(describeGeneration(row({ state: 'ended' }), { progress, now: at(60) })).toMatchObject({
      documents: null,
      etaSeconds: null,
    })
  })

  test('a complete one has nothing left', () => {
    const all = { ...NO_PROGRESS, total: 10, ready: 10 }
    expect(describeGeneration(row(), { progress: all, now: at(60) }).etaSeconds).toBe(0)
  })
})

test('one that came with its domain has nothing counted, one that was built has', () => {
  const counted = (more: Partial<GenerationRow>) =>
    describeGeneration(row(more), { progress: NO_PROGRESS, now: START })
  expect(counted({ state: 'live', startedAt: null })).toMatchObject({ copied: null, embedded: null })
  expect(counted({ textsCopied: 2 })).toMatchObject({ copied: 2, embedded: 0, tokensEmbedded: 0 })
})

describe('rates of late', () => {
  test('are of the last 20 to 40 seconds, however often one looks', () => {
    const rates = openRates()
    expect(rates.of(1, { at: 0, tokens: 0 })).toBeNull()
    expect(rates.of(1, { at: 1_000, tokens: 100 })).toBeNull()
    expect(rates.of(1, { at: 10_000, tokens: 1_000 })).toBe(100)
    expect(rates.of(1, { at: 20_000, tokens: 2_000 })).toBe(100)
    expect(rates.of(1, { at: 40_000, tokens: 6_000 })).toBe(150)
    expect(rates.of(1, { at: 60_000, tokens: 10_000 })).toBe(200)
  })

  test('are forgotten when nobody looks for long', () => {
    const rates = openRates()
    rates.of(1, { at: 0, tokens: 0 })
    expect(rates.of(1, { at: 3_600_000, tokens: 10 })).toBeNull()
  })
})

describe('a change', () => {
  test.each([
    ['building', { weight: 1, paused: true, switch: 'built' as const, gate: {} }],
    ['retired', { soakSeconds: 60, keepUpToDate: true, paused: true, weight: 1 }],
  ] as const)('of one that is %s', (state, patch) => {
    expect(() => requireChangeable(row({ state }), patch)).not.toThrow()
  })

  test.each([
    ['live', { weight: 1 }],
    ['live', {}],
    ['retired', { switch: 'built' as const }],
    ['ended', { paused: true }],
    ['ending', { soakSeconds: 1 }],
  ] as const)('that means nothing any more is refused: %s %o', (state, patch) => {
    expect(() => requireChangeable(row({ state }), patch)).toThrow(
      expect.objectContaining({ code: 'GENERATION_ENDED', details: expect.objectContaining({ state }) }),
    )
  })
})
