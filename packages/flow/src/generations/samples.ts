import type { Engine } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { type Db, type Expectation, sampleGolden, sharedDocuments } from '@millrace/store'
import { isExternal } from '../external.js'
import { modelChanged } from '../models.js'
import { openQueryCache } from '../search/cache.js'
import { type Asker, askerOf, type SampledKind, type Sides, type Wanted } from './asker.js'
import { GOLDEN_MIN, type PairSource } from './carry.js'
import { randomOf, type Sample, type Scored } from './place.js'
import { type Questions, questionsOf } from './questions.js'
import {
  askPassages,
  askStrangers,
  atOnce,
  different,
  drawnOf,
  PAIRS,
  PAIRS_AT_ONCE,
  pairOf,
  passages,
  SLICE,
  searchesOf,
} from './strangers.js'

interface Deps {
  readonly db: Db
  readonly engine: Engine
}

/** Samples of scores, and why there are fewer than there might be. */
export interface Sampled {
  readonly samples: readonly Sample[]
  readonly notes: readonly string[]
}

/** What scores are sampled with: one look at the documents and at what is asked for all of them. */
export interface Sampler {
  /** Questions of the golden set: what they expect, and what else is found for them. */
  golden(kind: SampledKind): Promise<Sampled>
  /** Questions, else texts that stand for them, and passages that have nothing to do with them. */
  unrelated(kind: SampledKind): Promise<Sampled & { readonly from: readonly PairSource[] }>
}

const GOLDEN_MAX = 500
/** Hits of a question: about what people look at. */
const HITS = 10
/** Places at which documents are taken, and how many at each. */
const PLACES = 60
const AT_A_PLACE = 15
const BUDGET_MS = 60_000

/** For one measurement of a domain: it has a minute, for all kinds together. */
export function openSampler({ db, engine }: Deps, sides: Sides): Sampler {
  const end = performance.now() + BUDGET_MS
  const random = randomOf(11)
  // Nothing else of what whoever asks may have: what is asked here is nobody's query, and no log is to have it.
  const quiet = { db, engine, cache: openQueryCache({ entries: 4 * SLICE }), priority: 'bulk' as const }
  const unread = whyUnread(quiet, sides)
  const shared = once(() =>
    sharedDocuments(
      db,
      [sides.new.generationId, sides.old.generationId],
      Array.from({ length: PLACES }, (_, i) => i / PLACES),
      AT_A_PLACE,
    ),
  )
  const questions = once(async () => questionsOf(db, sides.old, await shared(), random))
  return {
    async golden(kind) {
      const set = await sampleGolden(db, sides.old.id, GOLDEN_MAX)
      if (set.length < GOLDEN_MIN) return { samples: [], notes: [] }
      if (unread !== null) return { samples: [], notes: [unread] }
      const ask = askerOf(quiet, sides, kind)
      return inSlices(set, SLICE, end, 'questions', (some) => askGolden(ask, some))
    },
    async unrelated(kind) {
      const among = await shared()
      const none = { samples: [], from: [] }
      if (among.length < 2) return { ...none, notes: ['Both generations have fewer than two documents'] }
      if (unread !== null && kind !== 'dense') return { ...none, notes: [unread] }
      const asked: Questions = unread === null ? await questions() : { from: ['passages'], all: [] }
      if (kind !== 'dense') {
        const ask = askerOf(quiet, sides, kind)
        const searches = searchesOf(asked, among, random)
        const found = await inSlices(searches, atOnce(searches, SLICE), end, 'texts', (some) =>
          askStrangers(ask, kind, some),
        )
        return { ...found, from: asked.from }
      }
      if (asked.from.includes('passages')) {
        const pairs = Array.from({ length: PAIRS }, () => pairOf(among, random))
        const found = await inSlices(pairs, PAIRS_AT_ONCE, end, 'pairs', (some) => passages(db, sides, some))
        const notes = unread === null ? found.notes : [unread, ...found.notes]
        return { samples: different(found.samples), notes, from: asked.from }
      }
      const drawn = drawnOf(asked, among, random)
      const found = await inSlices(drawn, atOnce(drawn, PAIRS_AT_ONCE), end, 'texts', (some) =>
        askPassages(quiet, sides, some),
      )
      return { ...found, from: asked.from }
    },
  }
}

/** The same promise for everybody. */
function once<T>(work: () => Promise<T>): () => Promise<T> {
  let begun: Promise<T> | undefined
  return () => {
    begun ??= work()
    return begun
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

/**
 * What is found for a question is right or wrong: what it expects is asked for too, wherever it stands. Precision is that
 * of what is found, so the pairs that do not belong together are hits here, the wrong ones that are most alike; of
 * unrelated pairs none is.
 */
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
