import { CodedError, codeOf } from '@millrace/errors'
import { type Db, indexFacts, type Probe, probeSearch, sampleVectors } from '@millrace/store'
import { percentile, recallAt, withoutSelf } from '../golden/recall.js'
import type { Domain } from './domains.js'

export interface RecallWishes {
  readonly sample: number
  /** Each at most K_MAX. */
  readonly k: readonly number[]
  /** Undefined: what a search of the domain has. */
  readonly efSearch?: number | undefined
}

export interface Latency {
  readonly p50: number | null
  readonly p95: number | null
}
export interface Recall {
  readonly sampled: number
  readonly vectors: number
  readonly index: { readonly m: number; readonly efConstruction: number; readonly efSearch: number } | null
  /** Mean over the sample; null of an empty one. */
  readonly recall: readonly { readonly k: number; readonly recall: number | null }[]
  readonly latencyMs: { readonly index: Latency | null; readonly exact: Latency }
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

/**
 * Compares the index of a domain's vectors with exact search, on vectors that are stored: how many of the true nearest it
 * finds, and how long both take. The connection is one of the pool's, its statements are short, and so is the whole.
 * @throws CodedError RECALL_TIMEOUT when one exact search takes longer than all of it may
 */
export async function measureRecall(
  { db }: { readonly db: Db },
  domain: Domain,
  wishes: RecallWishes,
): Promise<Recall> {
  const facts = await indexFacts(db, domain.generationId)
  const ks = [...new Set(wishes.k)].sort((a, b) => a - b)
  const sample = await sampleVectors(db, domain.generationId, {
    vectors: facts.vectors,
    limit: wishes.sample,
  })
  const efSearch = wishes.efSearch ?? null
  // One more: the vector itself.
  const depth = Math.max(...ks) + 1
  const pairs = await compare(db, {
    domain: domain.name,
    sample,
    depth,
    efSearch,
    isIndexed: facts.built !== null,
  })
  const recall = ks.map((k) => ({ k, recall: meanRecall(pairs, k) }))
  const { built } = facts
  return {
    sampled: pairs.length,
    vectors: facts.vectors,
    index: built === null ? null : { ...built, efSearch: efSearch ?? facts.efSearch },
    recall,
    latencyMs: {
      index: built === null ? null : latency(pairs.map(({ found }) => found.ms)),
      exact: latency(pairs.map(({ exact }) => exact.ms)),
    },
    notes: notesOf({ built, sampled: pairs.length, drawn: sample.length, asked: wishes.sample }),
  }
}

interface Pair {
  readonly found: Probe
  readonly exact: Probe
}

async function compare(
  db: Db,
  given: {
    readonly domain: string
    readonly sample: readonly string[]
    readonly depth: number
    readonly efSearch: number | null
    readonly isIndexed: boolean
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
    const probe = (exact: boolean) =>
      probeSearch(db, {
        domain: given.domain,
        queries,
        k: given.depth,
        exact,
        efSearch: given.efSearch,
        timeoutMs: left,
      })
    try {
      const exact = await probe(true)
      const found = given.isIndexed ? await probe(false) : exact
      exact.forEach((one, n) => {
        pairs.push({ exact: one, found: found[n] ?? one })
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

function meanRecall(pairs: readonly Pair[], k: number): number | null {
  if (pairs.length === 0) return null
  const sum = pairs.reduce((total, pair) => {
    const { found, exact } = withoutSelf(pair.found.similarities, pair.exact.similarities)
    return total + recallAt(found, exact, k)
  }, 0)
  return Math.round((sum / pairs.length) * 1e6) / 1e6
}

const latency = (ms: readonly number[]): Latency => ({
  p50: hundredths(percentile(ms, 0.5)),
  p95: hundredths(percentile(ms, 0.95)),
})

const hundredths = (ms: number | null): number | null => (ms === null ? null : Math.round(ms * 100) / 100)

function notesOf(facts: {
  readonly built: object | null
  readonly sampled: number
  readonly drawn: number
  readonly asked: number
}): string[] {
  return [
    ...(facts.drawn === 0 ? ['The domain has no vectors'] : []),
    ...(facts.built === null && facts.drawn > 0
      ? ['There is no index: search is exact, and its recall is 1 by definition']
      : []),
    ...(facts.sampled < facts.drawn
      ? [`Its time was up after ${facts.sampled} of ${facts.drawn} vectors`]
      : []),
    ...(facts.drawn > 0 && facts.drawn < facts.asked
      ? [`There are only ${facts.drawn} vectors to draw`]
      : []),
  ]
}
