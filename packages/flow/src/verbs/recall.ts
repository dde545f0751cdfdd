import type { Engine } from '@millrace/embed'
import { CodedError, codeOf } from '@millrace/errors'
import {
  type Db,
  indexFacts,
  type Probe,
  probeSearch,
  type StorageForm,
  sampleQueries,
  sampleVectors,
} from '@millrace/store'
import { percentile, recallAt, withoutSelf } from '../golden/recall.js'
import { openQueryCache } from '../search/cache.js'
import { embedQueries } from '../search/query.js'
import { type Domain, EF_SEARCH_DEFAULT, nameAt } from './domains.js'

export interface RecallWishes {
  readonly sample: number
  /** Each at most K_MAX. */
  readonly k: readonly number[]
  /** What is searched with: vectors that are stored, or what was asked last, where QUERY_LOG keeps it as text. */
  readonly from: 'vectors' | 'queries'
  /** Undefined: what a search of the domain has. */
  readonly efSearch?: number | undefined
  readonly candidates?: number | undefined
}

export interface Latency {
  readonly p50: number | null
  readonly p95: number | null
}
export interface RecallAtK {
  readonly k: number
  /** Mean over the sample; null of an empty one. */
  readonly recall: number | null
  /** Null where search is exact. */
  readonly latencyMs: Latency | null
}
export interface Recall {
  readonly sampled: number
  readonly vectors: number
  readonly index: { readonly m: number; readonly efConstruction: number; readonly efSearch: number } | null
  /** Of searches for k each: k decides how many are looked at. */
  readonly recall: readonly RecallAtK[]
  readonly latencyMs: { readonly exact: Latency }
  /** Why it is not what was asked for, or what that means. */
  readonly notes: readonly string[]
}

/** A search gives 1,000 hits at most, and a stored vector finds itself too. */
export const RECALL_K_MAX = 500
export const RECALL_SAMPLE_MAX = 1_000
/** Of all of it; then it says how far it came. */
const BUDGET_MS = 30_000
/** What a statement is to take: on PGlite everybody waits for it. */
const STATEMENT_MS = 200

interface Deps {
  readonly db: Db
  readonly engine: Engine
}

/**
 * Compares the index of a domain's vectors with exact search: how many of the true nearest it finds, and how long both
 * take. The connection is one of the pool's, its statements are short, and so is the whole.
 * @throws CodedError RECALL_TIMEOUT when one exact search takes longer than all of it may; DOMAIN_NEEDS_VECTORS,
 * MODEL_CHANGED for queries
 */
export async function measureRecall(deps: Deps, domain: Domain, wishes: RecallWishes): Promise<Recall> {
  const { db } = deps
  const facts = await indexFacts(db, domain.generationId)
  const byBits = WITH_BITS.has(domain.storage)
  const ks = [...new Set(wishes.k)].sort((a, b) => a - b)
  const isStored = wishes.from === 'vectors'
  const sample = isStored
    ? await sampleVectors(db, domain, { vectors: facts.vectors, limit: wishes.sample })
    : await queryVectors(deps, domain, wishes.sample)
  const isApproximate = facts.built !== null || byBits
  const pairs = await compare(db, {
    domain: nameAt(domain),
    sample: facts.vectors === 0 ? [] : sample,
    // One more: the vector itself.
    depths: ks.map((k) => k + (isStored ? 1 : 0)),
    efSearch: wishes.efSearch ?? null,
    candidates: wishes.candidates ?? null,
    isApproximate,
  })
  const { built } = facts
  const listsOf = (at: number) =>
    pairs.map(({ found, exact }) => {
      const lists = { found: (found[at] ?? exact).similarities, exact: exact.similarities }
      return isStored ? withoutSelf(lists.found, lists.exact) : lists
    })
  const latencyOf = (at: number) => latency(pairs.map(({ found, exact }) => (found[at] ?? exact).ms))
  return {
    sampled: pairs.length,
    vectors: facts.vectors,
    index:
      built === null
        ? null
        : { ...built, efSearch: wishes.efSearch ?? domain.search.efSearch ?? EF_SEARCH_DEFAULT },
    recall: ks.map((k, at) => ({
      k,
      recall: meanRecall(listsOf(at), k),
      latencyMs: isApproximate ? latencyOf(at) : null,
    })),
    latencyMs: { exact: latency(pairs.map(({ exact }) => exact.ms)) },
    notes: notesOf({
      isStored,
      isIndexed: built !== null,
      byBits,
      vectors: facts.vectors,
      drawn: sample.length,
      sampled: pairs.length,
      asked: wishes.sample,
    }),
  }
}

/** Forms of storage whose bits find candidates, with an index or without. */
const WITH_BITS: ReadonlySet<StorageForm> = new Set(['sq8', 'sq4', 'binary'])
const EXACT = 'There is no index: search is exact, and its recall is 1 by definition'
const BITS_ALONE = 'There is no index: candidates are found by reading the bits of all vectors'

/** What was asked last; what cannot be embedded any more is left out. */
async function queryVectors({ db, engine }: Deps, domain: Domain, limit: number): Promise<Float32Array[]> {
  const texts = await sampleQueries(db, domain.id, limit)
  const results = await embedQueries({ engine, cache: openQueryCache({ entries: 0 }) }, domain, texts)
  return results.flatMap((result) => ('error' in result ? [] : [result.vector]))
}

/** What is found for one query. */
interface Pair {
  /** A search for each k, in their order; none where search is exact. */
  readonly found: readonly Probe[]
  /** For the largest k: the others begin with the same. */
  readonly exact: Probe
}

async function compare(
  db: Db,
  given: {
    readonly domain: string
    readonly sample: readonly (string | Float32Array)[]
    /** What is searched for, ascending. */
    readonly depths: readonly number[]
    readonly efSearch: number | null
    readonly candidates: number | null
    readonly isApproximate: boolean
  },
): Promise<Pair[]> {
  const end = performance.now() + BUDGET_MS
  const pairs: Pair[] = []
  let size = 1
  while (pairs.length < given.sample.length) {
    const left = end - performance.now()
    if (left <= 0) break
    const queries = given.sample.slice(pairs.length, pairs.length + size)
    const started = performance.now()
    const probe = (k: number, exact: boolean) =>
      probeSearch(db, {
        domain: given.domain,
        queries,
        k,
        exact,
        efSearch: given.efSearch,
        candidates: given.candidates,
        timeoutMs: left,
      })
    try {
      const exact = await probe(Math.max(...given.depths), true)
      const found: Probe[][] = []
      for (const k of given.isApproximate ? given.depths : []) found.push(await probe(k, false))
      exact.forEach((one, n) => {
        pairs.push({ exact: one, found: found.flatMap((list) => list[n] ?? []) })
      })
    } catch (error) {
      // query_canceled: the statement's time was up.
      if (codeOf(error) !== '57014') throw error
      break
    }
    const each = (performance.now() - started) / queries.length
    size = Math.max(1, Math.min(50, Math.floor(STATEMENT_MS / each)))
  }
  if (pairs.length === 0 && given.sample.length > 0) {
    throw new CodedError(
      'RECALL_TIMEOUT',
      `One exact search takes longer than ${BUDGET_MS / 1_000} seconds`,
      {
        hint: 'Compare on a smaller copy of the domain',
      },
    )
  }
  return pairs
}

function meanRecall(
  lists: readonly { readonly found: readonly number[]; readonly exact: readonly number[] }[],
  k: number,
): number | null {
  if (lists.length === 0) return null
  const sum = lists.reduce((total, { found, exact }) => total + recallAt(found, exact, k), 0)
  return Math.round((sum / lists.length) * 1e6) / 1e6
}

const latency = (ms: readonly number[]): Latency => ({
  p50: hundredths(percentile(ms, 0.5)),
  p95: hundredths(percentile(ms, 0.95)),
})

const hundredths = (ms: number | null): number | null => (ms === null ? null : Math.round(ms * 100) / 100)

function notesOf(facts: {
  readonly isStored: boolean
  readonly isIndexed: boolean
  /** The form of storage has bits, by which candidates are found. */
  readonly byBits: boolean
  readonly vectors: number
  /** What there is to search with. */
  readonly drawn: number
  readonly sampled: number
  readonly asked: number
}): string[] {
  const { isStored, isIndexed, byBits, vectors, drawn, sampled, asked } = facts
  if (vectors === 0) return ['The domain has no vectors']
  const what = isStored ? 'vectors' : 'queries'
  return [
    ...(isIndexed ? [] : [byBits ? BITS_ALONE : EXACT]),
    ...(drawn === 0 && !isStored ? ['No query was logged with its text: QUERY_LOG=text keeps them'] : []),
    ...(drawn > 0 && drawn < asked ? [`There are only ${drawn} ${what} to search with`] : []),
    ...(sampled < drawn ? [`Its time was up after ${sampled} of ${drawn} ${what}`] : []),
  ]
}
