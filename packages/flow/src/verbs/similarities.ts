import { createHash } from 'node:crypto'
import type { Engine } from '@millrace/embed'
import { codeOf } from '@millrace/errors'
import {
  countGolden,
  type Db,
  type Expectation,
  firstHashes,
  nearestPassages,
  pairsAt,
  sampleGolden,
  timed,
} from '@millrace/store'
import { isExternal } from '../external.js'
import { percentile } from '../golden/recall.js'
import { openQueryCache } from '../search/cache.js'
import { type Bin, binsOf, countsOf, meanOf, rounded } from '../search/histogram.js'
import { embedQueries, requireReader } from '../search/query.js'
import type { Domain } from './domains.js'

export const SIMILARITY_PAIRS_MAX = 10_000
export const SIMILARITY_BINS_MAX = 200
export const SIMILARITY_QUESTIONS_MAX = 1_000

export interface SimilarityWishes {
  /** At most SIMILARITY_PAIRS_MAX. */
  readonly pairs: number
  readonly bins: number
  /** Another one draws other pairs. */
  readonly seed: number
}

/** Values in bins, and where they lie; null of none. */
interface Spread {
  readonly pairs: number
  /** Of each bin. */
  readonly counts: readonly number[]
  readonly mean: number | null
  readonly p50: number | null
}

/** How alike texts of a domain are that have nothing to do with each other, and how alike those that belong together. */
export interface Similarities {
  readonly model: string
  readonly bins: readonly Bin[]
  /** Pairs of stored vectors that no document has both of. */
  readonly random: Spread & { readonly p95: number | null; readonly p99: number | null }
  /** Questions of the golden set, each with the nearest passage of its documents; null: there is no set. */
  readonly golden: (Spread & { readonly skipped: number; readonly p5: number | null }) | null
  readonly threshold: Domain['threshold']
  readonly levels: Domain['levels']
  /** Why it is less than what was asked for. */
  readonly notes: readonly string[]
}

interface Deps {
  readonly db: Db
  readonly engine: Engine
}

/** Of the random pairs, and of the golden ones; then it says how far it came. */
const BUDGET_MS = 15_000
/** What a statement is to take: on PGlite everybody waits for it. */
const STATEMENT_MS = 200
const DRAWS_AT_ONCE = 500
/** Up to so many vectors every pair is looked at: drawing hardly ever finds the last of them. */
const EVERY_PAIR_MAX = 200
/** Draws for each pair that is wanted, at most: not every draw brings one. */
const DRAWS_A_PAIR = 4
/** Questions that are embedded as one batch. */
const BATCH = 64

/**
 * Cosines of random pairs and of golden ones, in the bins of one histogram. The same ones for one state of the domain and
 * one seed. Two look-ups a pair, and the passages of expected documents, are all that is read.
 * @throws CodedError MODEL_CHANGED, UNKNOWN_MODEL where the domain has a golden set that cannot be asked, and those of
 * `Engine.load`
 */
export async function compareSimilarities(
  deps: Deps,
  domain: Domain,
  wishes: SimilarityWishes,
): Promise<Similarities> {
  const total = isExternal(domain) ? 0 : await countGolden(deps.db, domain.id)
  if (total > 0) requireReader(deps.engine, domain, 'A golden set needs a model that reads its questions')
  const random = await randomPairs(deps.db, domain, wishes)
  const golden = total === 0 ? null : await goldenPairs(deps, domain)
  const bins = binsOf([...random.values, ...(golden?.values ?? [])], wishes.bins)
  return {
    model: domain.model,
    bins,
    random: {
      ...spreadOf(random.values, bins),
      p95: shareOf(random.values, 0.95),
      p99: shareOf(random.values, 0.99),
    },
    golden:
      golden === null
        ? null
        : { ...spreadOf(golden.values, bins), skipped: golden.skipped, p5: shareOf(golden.values, 0.05) },
    threshold: domain.threshold,
    levels: domain.levels,
    notes: [
      ...random.notes,
      ...(golden?.notes ?? []),
      ...(total > SIMILARITY_QUESTIONS_MAX
        ? [`The golden set has ${total} questions: ${SIMILARITY_QUESTIONS_MAX} of them were compared`]
        : []),
    ],
  }
}

function spreadOf(values: readonly number[], bins: readonly Bin[]): Spread {
  const mean = meanOf(values)
  return {
    pairs: values.length,
    counts: countsOf(values, bins),
    mean: mean === null ? null : rounded(mean),
    p50: shareOf(values, 0.5),
  }
}

function shareOf(values: readonly number[], share: number): number | null {
  const value = percentile(values, share)
  return value === null ? null : rounded(value)
}

interface Measured {
  readonly values: readonly number[]
  readonly notes: readonly string[]
}

interface Draw {
  readonly a: Buffer
  readonly b: Buffer
}

/** Different pairs, in the order in which they are drawn. */
async function randomPairs(db: Db, domain: Domain, { pairs, seed }: SimilarityWishes): Promise<Measured> {
  const found = new Map<string, number>()
  const end = performance.now() + BUDGET_MS
  const hashes = await firstHashes(db, domain.generationId, EVERY_PAIR_MAX + 1)
  const isSmall = hashes.length <= EVERY_PAIR_MAX
  const every = isSmall ? everyPair(seed, hashes) : []
  const most = isSmall ? every.length : DRAWS_A_PAIR * pairs
  let [drawn, size] = [0, 20]
  let isCut = false
  while (found.size < pairs && drawn < most && !isCut) {
    const started = performance.now()
    const draws = isSmall
      ? every.slice(drawn, drawn + size)
      : Array.from({ length: Math.min(size, most - drawn) }, (_, i) => drawOf(seed, drawn + i))
    const slice = await untilCut(end, (ms) => timed(db, ms, (on) => pairsAt(on, domain, draws)))
    isCut = slice === undefined
    for (const { key, similarity } of slice ?? []) {
      // What the last slice has beyond the end does not count: how large slices are depends on the machine.
      if (found.size < pairs) found.set(key, similarity)
    }
    drawn += size
    size = nextSize(size, performance.now() - started, DRAWS_AT_ONCE)
  }
  return { values: [...found.values()], notes: shortOf(found.size, { pairs, isCut, isSmall }) }
}

/** Why there are fewer pairs than were asked for; empty when there are not. */
function shortOf(
  found: number,
  { pairs, isCut, isSmall }: { readonly pairs: number; readonly isCut: boolean; readonly isSmall: boolean },
): string[] {
  if (found >= pairs) return []
  if (isCut) return [`Its time was up after ${found} random pairs`]
  return isSmall
    ? [`The domain has ${found} pairs of passages of different documents`]
    : [
        `${found} of ${DRAWS_A_PAIR * pairs} pairs that were drawn are of different documents that can be found`,
      ]
}

/** Two places among hashes, which are spread evenly. */
function drawOf(seed: number, draw: number): Draw {
  return { a: digest(`${seed}:${draw}:a`), b: digest(`${seed}:${draw}:b`) }
}

/** All of them, in an order that the seed decides. */
function everyPair(seed: number, hashes: readonly Buffer[]): Draw[] {
  const pairs = hashes.flatMap((a, i) => hashes.slice(i + 1).map((b) => ({ a, b })))
  return pairs
    .map((pair, i) => ({ pair, order: digest(`${seed}:${i}`) }))
    .sort((one, other) => Buffer.compare(one.order, other.order))
    .map(({ pair }) => pair)
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

async function goldenPairs(
  { db, engine }: Deps,
  domain: Domain,
): Promise<Measured & { readonly skipped: number }> {
  const questions = await sampleGolden(db, domain.id, SIMILARITY_QUESTIONS_MAX)
  const reader = { engine, cache: openQueryCache({ entries: 0 }) }
  const end = performance.now() + BUDGET_MS
  const values: number[] = []
  let [asked, size] = [0, 8]
  let isCut = false
  while (asked < questions.length && !isCut) {
    const batch = questions.slice(asked, asked + size)
    const readable = await readQuestions(reader, domain, batch)
    const started = performance.now()
    const nearest = await untilCut(end, (ms) => timed(db, ms, (on) => nearestPassages(on, domain, readable)))
    isCut = nearest === undefined
    values.push(...(nearest ?? []).filter((similarity) => similarity !== null))
    asked += isCut ? 0 : batch.length
    size = nextSize(size, performance.now() - started, BATCH)
  }
  return {
    values,
    skipped: questions.length - values.length,
    notes: isCut ? [`Its time was up after ${asked} questions`] : [],
  }
}

/** Vectors of questions, as bulk work; one that cannot be read is left out. */
async function readQuestions(
  reader: Parameters<typeof embedQueries>[0],
  domain: Domain,
  batch: readonly Expectation[],
) {
  const results = await embedQueries(
    reader,
    domain,
    batch.map(({ question }) => question),
    { priority: 'bulk' },
  )
  return results.flatMap((result, i) =>
    'error' in result ? [] : [{ vector: result.vector, documents: batch[i]?.documents ?? [] }],
  )
}

/** Undefined when the time is up, before or while it ran. */
async function untilCut<T>(end: number, work: (ms: number) => Promise<T>): Promise<T | undefined> {
  const left = end - performance.now()
  if (left <= 0) return undefined
  try {
    return await work(left)
  } catch (error) {
    // query_canceled: the statement's time was up.
    if (codeOf(error) === '57014') return undefined
    throw error
  }
}

/** As many as a statement's time is enough for, at most twice as many as before. */
const nextSize = (size: number, ms: number, most: number): number =>
  Math.max(1, Math.min(most, 2 * size, Math.floor((size * STATEMENT_MS) / Math.max(1, ms))))
