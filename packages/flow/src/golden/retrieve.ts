import { type Engine, type Level, type Priority, requireReranker } from '@millrace/embed'
import { CodedError, codeOf } from '@millrace/errors'
import type { Db, SearchMode } from '@millrace/store'
import { bandOf, checkThreshold } from '../search/bands.js'
import { openQueryCache } from '../search/cache.js'
import { checkAsked, type Fusion, fusionOf } from '../search/fusion.js'
import { requireMode } from '../search/modes.js'
import { requireReader } from '../search/query.js'
import { checkColbert, RERANK_TOP_DEFAULT } from '../search/rerank.js'
import { identityOf, type ScoreKind } from '../search/scores.js'
import type { Domain } from '../verbs/domains.js'
import { type SearchOutcome, searchMany } from '../verbs/search.js'
import type { RankedHit } from './grade.js'

export interface Asked {
  readonly question: string
  readonly filter: Readonly<Record<string, unknown>>
}

/** The hits of a question, or why it cannot be asked; its neighbours have theirs. */
export type Retrieved = { readonly hits: readonly RankedHit[] } | { readonly error: CodedError }

export interface Retrieval {
  /** One a question, in order. */
  readonly results: readonly Retrieved[]
  readonly tookMs: { readonly embed: number; readonly search: number }
}

/** The first `depth` of each question, without a threshold, embedded as one batch. */
export type Retrieve = (questions: readonly Asked[], depth: number) => Promise<Retrieval>

/** How a run searches, as it was asked for; what is left out is the domain's. */
export interface RetrievalWishes {
  readonly mode?: SearchMode | undefined
  readonly fusion?: string | Fusion | undefined
  readonly rerank?: { readonly by: string; readonly top?: number | undefined } | null | undefined
  /** Of the score that ranks. Undefined: the domain's; null: none. */
  readonly threshold?: number | null | undefined
  readonly candidates?: number | undefined
  readonly efSearch?: number | undefined
  readonly exact?: boolean | undefined
}

/** The same with everything decided: what a run is kept with. */
export interface RetrievalSettings {
  readonly mode: SearchMode
  /** Null: of another mode than hybrid. */
  readonly fusion: string | Fusion | null
  readonly rerank: { readonly by: string; readonly top: number } | null
  readonly rankedBy: ScoreKind
  readonly threshold: number | null
  readonly candidates: number | null
  /** Null: the domain's was the usual one. */
  readonly efSearch: number | null
  readonly exact: boolean
}

interface Deps {
  readonly db: Db
  readonly engine: Engine
  /** Of what is embedded. Default: interactive. */
  readonly priority?: Priority | undefined
}

/**
 * What a search of the domain would do with such wishes, and the levels of the score it ranks by.
 * @throws CodedError MODE_NEEDS_TERMS, BAD_FUSION, BAD_THRESHOLD, MODEL_CHANGED, DOMAIN_NEEDS_VECTORS, and those of a
 * reranker: before anything is asked, since it would be wrong for every question
 */
export function decideRetrieval(
  { engine }: Pick<Deps, 'engine'>,
  domain: Domain,
  wishes: RetrievalWishes,
): { readonly settings: RetrievalSettings; readonly levels: readonly Level[] } {
  requireReader(engine, domain, 'A golden set needs a model that reads its questions')
  const mode = wishes.mode ?? domain.search.mode ?? 'dense'
  requireMode(domain.lexical, mode)
  checkAsked(wishes.fusion, mode, domain.lexical)
  const fusion = mode === 'hybrid' ? (wishes.fusion ?? domain.search.fusion) : undefined
  const weights = mode === 'hybrid' ? fusionOf(fusion, domain.lexical ?? 'bm25') : undefined
  const wished = wishes.rerank === undefined ? (domain.search.rerank ?? null) : wishes.rerank
  const rerank = wished === null ? null : { by: wished.by, top: wished.top ?? RERANK_TOP_DEFAULT }
  const usesColbert =
    rerank?.by === 'colbert' || (weights?.method === 'weighted' && (weights.colbert ?? 0) > 0)
  if (usesColbert) checkColbert(engine, domain)
  const reranker = rerank === null || rerank.by === 'colbert' ? undefined : engine.manifest(rerank.by)
  if (reranker !== undefined) requireReranker(reranker)
  const rankedBy = rerank === null ? mode : rerank.by === 'colbert' ? 'colbert' : 'rerank'
  const made = { fusion: weights, reranker: reranker === undefined ? undefined : identityOf(reranker) }
  const band = bandOf(domain, rankedBy, made)
  checkThreshold(domain, rankedBy, wishes.threshold, made)
  return {
    settings: {
      mode,
      fusion: mode === 'hybrid' ? (fusion ?? weights ?? null) : null,
      rerank,
      rankedBy,
      threshold: wishes.threshold === undefined ? (band?.threshold ?? null) : wishes.threshold,
      candidates: wishes.candidates ?? null,
      efSearch: wishes.efSearch ?? domain.search.efSearch ?? null,
      exact: wishes.exact ?? false,
    },
    levels: band?.levels ?? reranker?.levels ?? bandOf(domain, 'dense')?.levels ?? [],
  }
}

/** Queries that are kept: a miss is searched again at once. Of its own, so that a run does not push out what people ask. */
const CACHED = 100

/** Searches of a domain through the verb that people search with; nothing of it is logged. */
export function retrieverOf(deps: Deps, domain: Domain, settings: RetrievalSettings): Retrieve {
  const { mode, fusion, rerank, candidates, efSearch, exact } = settings
  const cached = { ...deps, cache: openQueryCache({ entries: CACHED }) }
  return async (questions, depth) => {
    const started = performance.now()
    const outcomes = await manyOf(
      cached,
      domain,
      questions.map(({ question, filter }) => ({
        query: question,
        filter,
        k: depth,
        mode,
        fusion: fusion ?? undefined,
        rerank,
        threshold: null,
        candidates: candidates ?? undefined,
        efSearch: efSearch ?? undefined,
        exact,
      })),
    )
    // The same for all: they are one batch.
    const embed = outcomes.reduce(
      (most, one) => ('error' in one ? most : Math.max(most, one.tookMs.embed)),
      0,
    )
    const results = outcomes.map(
      (one): Retrieved => ('error' in one ? one : { hits: one.hits.map(asRanked) }),
    )
    return { results, tookMs: { embed, search: Math.max(0, performance.now() - started - embed) } }
  }
}

type Searches = Parameters<typeof searchMany>

/** A filter that only the database can refuse is thrown when it is asked for alone. */
async function manyOf(...[deps, domain, requests]: Searches): Promise<SearchOutcome[]> {
  try {
    return await searchMany(deps, domain, requests)
  } catch (error) {
    if (requests.length > 1 || !(error instanceof CodedError) || codeOf(error) !== 'INVALID_FILTER')
      throw error
    return [{ error }]
  }
}

const asRanked = (hit: {
  readonly documentId: string
  readonly title: string | null
  readonly score: number
  readonly rankedBy: ScoreKind
  readonly level: Level | null
}): RankedHit => ({
  documentId: hit.documentId,
  title: hit.title,
  score: hit.score,
  rankedBy: hit.rankedBy,
  level: hit.level === null ? null : { key: hit.level.key, isLast: hit.level.above === null },
})
