import type { Engine } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  type Db,
  type Expectation,
  firstTexts,
  passagePairs,
  type SharedDocument,
  sampleGolden,
  sharedDocuments,
} from '@millrace/store'
import { isExternal } from '../external.js'
import { modelChanged } from '../models.js'
import { openQueryCache } from '../search/cache.js'
import { COLBERT } from '../search/rerank.js'
import type { ScoreKind } from '../search/scores.js'
import type { Domain } from '../verbs/domains.js'
import { type SearchHit, type SearchRequest, searchMany } from '../verbs/search.js'
import { randomOf, type Sample, type Scored } from './place.js'

interface Deps {
  readonly db: Db
  readonly engine: Engine
}

/** A domain with its live generation, and with the one that is to take over. */
export interface Sides {
  readonly old: Domain
  readonly new: Domain
}

/** Samples of scores, and why there are fewer than there might be. */
export interface Sampled {
  readonly samples: readonly Sample[]
  readonly notes: readonly string[]
}

/** What scores are sampled with: one look at the documents for all of them. */
export interface Sampler {
  /** Questions of the golden set: what they expect, and what else is found for them. */
  golden(kind: SampledKind): Promise<Sampled>
  /** Texts and documents that have nothing to do with each other. */
  unrelated(kind: SampledKind): Promise<Sampled>
}

export type SampledKind = Exclude<ScoreKind, 'rerank'>

const QUESTIONS_MAX = 500
/** Hits of a question: about what people look at. */
const HITS = 10
/** Questions that are asked at a time. */
const SLICE = 16
const PAIRS = 2_000
const PAIRS_AT_ONCE = 100
/** Places at which documents are taken, and how many at each. */
const PLACES = 60
const AT_A_PLACE = 15
/** Texts that are searched for among documents that have nothing to do with them, and among how many each. */
const PROBES = 120
const STRANGERS = 8
/** Passages of those that are looked at: of each its best one counts. */
const PASSAGES = 100
/** Of a stored text: about as much as people ask. */
const PROBE_CHARS = 300
const BUDGET_MS = 60_000

/** For one measurement of a domain: it has a minute, for all kinds together. */
export function openSampler(deps: Deps, sides: Sides): Sampler {
  const end = performance.now() + BUDGET_MS
  const random = randomOf(11)
  const quiet = { ...deps, cache: openQueryCache({ entries: 4 * SLICE }), priority: 'bulk' as const }
  const unread = whyUnread(deps, sides)
  let documents: Promise<SharedDocument[]> | undefined
  const shared = () => {
    documents ??= sharedDocuments(
      deps.db,
      [sides.new.generationId, sides.old.generationId],
      Array.from({ length: PLACES }, (_, i) => i / PLACES),
      AT_A_PLACE,
    )
    return documents
  }
  return {
    async golden(kind) {
      const questions = await sampleGolden(deps.db, sides.old.id, QUESTIONS_MAX)
      if (questions.length === 0) return { samples: [], notes: [] }
      if (unread !== null) return { samples: [], notes: [unread] }
      const ask = askerOf(quiet, sides, kind)
      return inSlices(questions, SLICE, end, 'questions', (some) => askGolden(ask, some))
    },
    async unrelated(kind) {
      const among = await shared()
      if (among.length < 2) return { samples: [], notes: ['Both generations have fewer than two documents'] }
      if (kind === 'dense') {
        const pairs = Array.from({ length: PAIRS }, () => pairOf(among, random))
        const found = await inSlices(pairs, PAIRS_AT_ONCE, end, 'pairs', (some) =>
          passages(deps.db, sides, some),
        )
        return { ...found, samples: different(found.samples) }
      }
      if (unread !== null) return { samples: [], notes: [unread] }
      const probes = await probesOf(deps.db, sides.old, among, random)
      const ask = askerOf(quiet, sides, kind)
      return inSlices(probes, SLICE, end, 'texts', (some) => askStrangers(ask, kind, some))
    },
  }
}

/** Why texts cannot be asked of both; null: they can. */
function whyUnread({ engine }: Deps, { old, new: then }: Sides): string | null {
  for (const [which, side] of [
    ['old', old],
    ['new', then],
  ] as const) {
    if (isExternal(side)) return 'No model reads questions: the documents brought their vectors'
    try {
      const changed = modelChanged(engine, side.recipe)
      if (changed !== undefined) throw changed
    } catch (error) {
      if (!(error instanceof CodedError)) throw error
      return `Questions cannot be asked of the ${which} generation: ${error.message}`
    }
  }
  return null
}

/** Each slice before the next, as long as there is time. */
async function inSlices<T>(
  all: readonly T[],
  size: number,
  end: number,
  what: string,
  work: (some: readonly T[]) => Promise<readonly Sample[]>,
): Promise<Sampled> {
  const samples: Sample[] = []
  for (let from = 0; from < all.length; from += size) {
    if (performance.now() > end) return { samples, notes: [`Its time was up after ${from} ${what}`] }
    samples.push(...(await work(all.slice(from, from + size))))
  }
  return { samples, notes: [] }
}

/** Hits of each request under both generations; null where one of them cannot be asked that. */
type Asker = (
  requests: readonly Wanted[],
) => Promise<({ readonly old: readonly Found[]; readonly new: readonly Found[] } | null)[]>

interface Wanted {
  readonly query: string
  readonly k: number
  readonly among?: readonly string[]
}

interface Found {
  readonly documentId: string
  readonly score: number
}

const MODES = {
  dense: { mode: 'dense', rerank: null },
  sparse: { mode: 'sparse', rerank: null },
  hybrid: { mode: 'hybrid', rerank: null },
  colbert: { mode: 'dense', rerank: { by: COLBERT, top: PASSAGES } },
} as const satisfies Record<SampledKind, Pick<SearchRequest, 'mode' | 'rerank'>>

function askerOf(deps: Parameters<typeof searchMany>[0], sides: Sides, kind: SampledKind): Asker {
  return async (wanted) => {
    const requests = wanted.map(
      ({ query, k, among }): SearchRequest => ({
        ...MODES[kind],
        query,
        k,
        threshold: null,
        ...(among === undefined ? {} : { filter: { 'document.id': { in: [...among] } } }),
      }),
    )
    const old = await searchMany(deps, sides.old, requests)
    const then = await searchMany(deps, sides.new, requests)
    return wanted.map((_, i) => {
      const [before, after] = [old[i], then[i]]
      if (before === undefined || after === undefined || 'error' in before || 'error' in after) return null
      return { old: bestOf(before.hits, kind), new: bestOf(after.hits, kind) }
    })
  }
}

/** Of each document its best passage. */
function bestOf(hits: readonly SearchHit[], kind: SampledKind): Found[] {
  const best = new Map<string, number>()
  for (const { documentId, scores } of hits) {
    const score = scores[kind]
    if (score !== undefined) best.set(documentId, Math.max(score, best.get(documentId) ?? score))
  }
  return [...best].map(([documentId, score]) => ({ documentId, score }))
}

/** What is found for a question is right or wrong: what it expects is asked for too, wherever it stands. */
async function askGolden(ask: Asker, questions: readonly Expectation[]): Promise<Sample[]> {
  const wanted = questions.flatMap(({ question, documents }): Wanted[] => [
    { query: question, k: HITS },
    { query: question, k: 1, among: documents },
  ])
  const found = await ask(wanted)
  return questions.flatMap(({ documents }, i) => {
    const [hits, expected] = [found[2 * i], found[2 * i + 1]]
    if (hits == null || expected == null || expected.old.length === 0 || expected.new.length === 0) return []
    const sideOf = (side: 'old' | 'new'): Scored => ({
      golden: expected[side].map(({ score }) => score),
      unrelated: hits[side]
        .filter(({ documentId }) => !documents.includes(documentId))
        .map(({ score }) => score),
    })
    return [{ old: sideOf('old'), new: sideOf('new') }]
  })
}

interface Probe {
  readonly text: string
  readonly strangers: readonly string[]
}

async function probesOf(
  db: Db,
  old: Domain,
  among: readonly SharedDocument[],
  random: () => number,
): Promise<Probe[]> {
  const any = () => among[Math.floor(random() * among.length)]
  const asked = among
    .map((one) => ({ one, at: random() }))
    .sort((a, b) => a.at - b.at)
    .slice(0, PROBES)
    .map(({ one }) => one)
  const texts = await firstTexts(
    db,
    old.generationId,
    asked.map(({ id }) => id),
    PROBE_CHARS,
  )
  return asked.flatMap((own, i) => {
    const text = texts[i]
    const others = Array.from({ length: STRANGERS }, any).flatMap((one) =>
      one === undefined || one.id === own.id ? [] : [one.externalId],
    )
    return text == null || others.length === 0 ? [] : [{ text, strangers: [...new Set(others)] }]
  })
}

/** A text without a word of the query is no hit: its words score nothing. */
async function askStrangers(ask: Asker, kind: SampledKind, probes: readonly Probe[]): Promise<Sample[]> {
  const found = await ask(
    probes.map(({ text, strangers }) => ({ query: text, k: PASSAGES, among: strangers })),
  )
  return probes.flatMap(({ strangers }, i) => {
    const one = found[i]
    if (one == null) return []
    const pairs = strangers.flatMap((documentId) => {
      const scoreOf = (hits: readonly Found[]) =>
        hits.find((hit) => hit.documentId === documentId)?.score ?? (kind === 'sparse' ? 0 : undefined)
      const [old, then] = [scoreOf(one.old), scoreOf(one.new)]
      return old === undefined || then === undefined ? [] : [{ old, new: then }]
    })
    if (pairs.length === 0) return []
    const sideOf = (side: 'old' | 'new'): Scored => ({
      golden: [],
      unrelated: pairs.map((pair) => pair[side]),
    })
    return [{ old: sideOf('old'), new: sideOf('new') }]
  })
}

function pairOf(among: readonly SharedDocument[], random: () => number) {
  const a = Math.floor(random() * among.length)
  const b = (a + 1 + Math.floor(random() * (among.length - 1))) % among.length
  return { a: among[a]?.id ?? 0, b: among[b]?.id ?? 0, atA: random(), atB: random() }
}

/** In a small domain the same two passages are drawn again and again. */
const different = (samples: readonly Sample[]): Sample[] => [
  ...new Map(samples.map((one) => [`${one.old.unrelated} ${one.new.unrelated}`, one])).values(),
]

/** Stored vectors of both generations: nothing is embedded. */
async function passages(db: Db, sides: Sides, pairs: Parameters<typeof passagePairs>[2]): Promise<Sample[]> {
  const old = await passagePairs(db, sides.old, pairs)
  const then = await passagePairs(db, sides.new, pairs)
  return pairs.flatMap((_, i) => {
    const [before, after] = [old[i], then[i]]
    if (before == null || after == null) return []
    return [{ old: { golden: [], unrelated: [before] }, new: { golden: [], unrelated: [after] } }]
  })
}
