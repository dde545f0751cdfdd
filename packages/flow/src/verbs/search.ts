import {
  type ColbertVectors,
  type EmbedOutput,
  type Engine,
  type Level,
  levelOf,
  type Output,
  requireReranker,
} from '@millrace/embed'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { type Db, type FoundHit, findHits, type SearchMode, type Terms, whyNothing } from '@millrace/store'
import { requireVector } from '../external.js'
import { bandOf, checkThreshold, type StaleThreshold, staleOf } from '../search/bands.js'
import type { QueryCache } from '../search/cache.js'
import { fieldsOf } from '../search/fields.js'
import { checkFilter } from '../search/filter.js'
import { type Fusion, fusionOf } from '../search/fusion.js'
import type { QueryLog } from '../search/log.js'
import { requireMode } from '../search/modes.js'
import { type EmbeddedQuery, embedQueries, outputsFor } from '../search/query.js'
import { checkColbert, fuseHits, RERANK_TOP_DEFAULT, type Rerank, rerankHits } from '../search/rerank.js'
import { identityOf, type ScoreKind, type Scores } from '../search/scores.js'
import type { Domain } from './domains.js'

interface Deps {
  readonly db: Db
  readonly engine: Engine
  readonly cache: QueryCache
  /** Absent: nothing is logged. */
  readonly queryLog?: QueryLog | undefined
}

/** What is looked for: the meaning of a text, or what is near a vector of the domain's dims, of any length. */
export type Sought = { readonly query: string } | { readonly vector: readonly unknown[] }

export interface SearchOptions {
  readonly k: number
  /** Default: the domain's, else dense. */
  readonly mode?: SearchMode | undefined
  /** Of the score that hits are ranked by. Undefined: the domain's; null: no cut. */
  readonly threshold?: number | null | undefined
  /** Of other kinds of scores, those that are computed. Default: no cut. */
  readonly thresholds?: Partial<Readonly<Record<ScoreKind, number | null | undefined>>> | undefined
  readonly filter?: Readonly<Record<string, unknown>> | undefined
  /** Of mode hybrid: the name of a preset, or weights. Default: the domain's, else the usual one for its words. */
  readonly fusion?: string | Fusion | undefined
  /** Null: none. Default: the domain's. */
  readonly rerank?: { readonly by: string; readonly top?: number | undefined } | null | undefined
  /** How many are looked at closely, where the form of storage or the mode has a first and a second look. */
  readonly candidates?: number | undefined
  /** Vectors that the index looks at, 1 to 1,000. Default: the domain's, else 200. */
  readonly efSearch?: number | undefined
  /** Without the index. */
  readonly exact?: boolean | undefined
}

export type SearchRequest = Sought & SearchOptions

export interface SearchHit extends FoundHit {
  readonly scores: Scores
  readonly rankedBy: ScoreKind
  readonly score: number
  /** The cosine; null where it was not computed. */
  readonly similarity: number | null
  /** Of the score that it was ranked by, else of its similarity; null where neither has levels. */
  readonly level: Level | null
}

export interface Warning {
  readonly code: 'NOTHING_INGESTED' | 'STILL_INGESTING' | 'UNKNOWN_FIELD'
  readonly message: string
}

export interface SearchResult {
  readonly hits: readonly SearchHit[]
  readonly model: string
  readonly mode: SearchMode
  readonly rankedBy: ScoreKind
  /** Of `rankedBy`, as it was applied. */
  readonly threshold: number | null
  /** Not applied: it was set for something else. */
  readonly stale: StaleThreshold | null
  /** Of a text; null of a vector. */
  readonly query: { readonly tokens: number; readonly windows: number } | null
  /** Why there may be no hits. */
  readonly warnings: readonly Warning[]
  readonly tookMs: { readonly embed: number; readonly search: number; readonly rerank: number | null }
}

export type SearchOutcome = SearchResult | { readonly error: CodedError }

/**
 * The k chunks that fit best, best first, none below the threshold.
 * @throws CodedError MISSING_QUERY for a blank one, INVALID_FILTER, BAD_THRESHOLD, BAD_FUSION, MODE_NEEDS_TERMS,
 * MODE_NEEDS_TEXT, MODEL_CHANGED, DOMAIN_NEEDS_VECTORS for a text where there is no model, VECTOR_DIMS,
 * VECTOR_NOT_FINITE, VECTOR_ZERO, those of a reranker, UNKNOWN_DOMAIN when it went meanwhile
 */
export async function search(deps: Deps, domain: Domain, request: SearchRequest): Promise<SearchResult> {
  const [outcome] = await searchMany(deps, domain, [request])
  if (outcome === undefined) throw new CodedError('INTERNAL', 'The search came to nothing')
  if ('error' in outcome) throw outcome.error
  return outcome
}

/** Searches at a time of one call: more would take every connection from the others. */
const AT_A_TIME = 4

/**
 * Several searches of one domain, in order, their texts embedded as one batch. What is wrong with one is its own
 * outcome; what is wrong with all (the model, the domain) is thrown.
 */
export async function searchMany(
  deps: Deps,
  domain: Domain,
  requests: readonly SearchRequest[],
): Promise<SearchOutcome[]> {
  const plans = requests.map((request) => attempt(() => planOf(deps, domain, request)))
  const started = performance.now()
  const sought = await embedAll(deps, domain, plans)
  const embedMs = performance.now() - started
  const outcomes: SearchOutcome[] = []
  for (let from = 0; from < plans.length; from += AT_A_TIME) {
    const some = plans.slice(from, from + AT_A_TIME).map(async (plan, i): Promise<SearchOutcome> => {
      const asked = sought[from + i]
      if ('error' in plan) return plan
      if (asked === undefined) throw new CodedError('INTERNAL', 'A query was not embedded')
      if ('error' in asked) return asked
      try {
        return await run(deps, domain, plan, asked, embedMs)
      } catch (error) {
        const refused = refusal(error, domain.name)
        if (refused instanceof CodedError && requests.length > 1) return { error: refused }
        throw refused
      }
    })
    outcomes.push(...(await Promise.all(some)))
  }
  return outcomes
}

/** A request with everything decided that needs no query. */
interface Plan {
  readonly request: SearchRequest
  readonly mode: SearchMode
  readonly fusion: Fusion | undefined
  /** `colbert` in a fusion: the hits are reranked by all three. */
  readonly rerank: Rerank | null
  readonly rankedBy: ScoreKind
  readonly threshold: number | null
  readonly stale: StaleThreshold | null
  readonly levels: { readonly by: ScoreKind; readonly levels: readonly Level[] } | null
  readonly filter: Readonly<Record<string, unknown>>
  readonly outputs: readonly EmbedOutput[]
}

function attempt<T>(work: () => T): T | { readonly error: CodedError } {
  try {
    return work()
  } catch (error) {
    if (error instanceof CodedError) return { error }
    throw error
  }
}

function planOf({ engine }: Deps, domain: Domain, request: SearchRequest): Plan {
  const { filter = {}, thresholds = {} } = request
  checkFilter(filter)
  const mode = request.mode ?? domain.search.mode ?? 'dense'
  requireMode(domain.lexical, mode)
  const fusion =
    mode === 'hybrid' ? fusionOf(request.fusion ?? domain.search.fusion, domain.lexical ?? 'bm25') : undefined
  const isTriple = fusion?.method === 'weighted' && (fusion.colbert ?? 0) > 0
  const wished = request.rerank === undefined ? (domain.search.rerank ?? null) : request.rerank
  const rerank = wished === null ? null : { by: wished.by, top: wished.top ?? RERANK_TOP_DEFAULT }
  if (isTriple || rerank?.by === 'colbert') checkColbert(engine, domain)
  const reranker = rerank === null || rerank.by === 'colbert' ? undefined : engine.manifest(rerank.by)
  if (reranker !== undefined) requireReranker(reranker)
  const rankedBy = rerank === null ? mode : rerank.by === 'colbert' ? 'colbert' : 'rerank'
  if ('vector' in request && (rankedBy !== 'dense' || isTriple)) {
    throw new CodedError('MODE_NEEDS_TEXT', `A search ranked by ${rankedBy} reads the text of the query`, {
      hint: 'Send query instead of vector, or search with mode dense and rerank null',
      details: { mode, rankedBy },
    })
  }
  const identity = reranker === undefined ? undefined : identityOf(reranker)
  const band = bandOf(domain, rankedBy, identity)
  const asked = request.threshold === undefined ? thresholds[rankedBy] : request.threshold
  checkThreshold(rankedBy, asked)
  for (const [kind, value] of Object.entries(thresholds)) checkThreshold(kind as ScoreKind, value)
  const wanted: Output[] = []
  if (mode !== 'sparse') wanted.push('dense')
  if (mode !== 'dense') wanted.push('sparse')
  if (isTriple || rankedBy === 'colbert') wanted.push('colbert')
  const own = band?.levels ?? reranker?.levels
  const dense = bandOf(domain, 'dense')?.levels
  return {
    request,
    mode,
    fusion,
    rerank: isTriple && rerank === null ? { by: 'fusion', top: RERANK_TOP_DEFAULT } : rerank,
    rankedBy,
    threshold: asked === undefined ? (band?.threshold ?? null) : asked,
    stale: asked === undefined ? staleOf(domain, rankedBy, identity) : null,
    levels:
      own != null ? { by: rankedBy, levels: own } : dense != null ? { by: 'dense', levels: dense } : null,
    filter,
    outputs: outputsFor(wanted, domain.lexical),
  }
}

/** A query as it was read. */
interface Asked {
  readonly text: string | null
  readonly vector: Float32Array | null
  readonly terms: Terms | null
  readonly colbert: ColbertVectors | undefined
  readonly query: { readonly tokens: number; readonly windows: number } | null
}

/** All texts in one batch for each set of outputs that is asked for: as a rule one. */
async function embedAll(
  deps: Deps,
  domain: Domain,
  plans: readonly (Plan | { readonly error: CodedError })[],
): Promise<(Asked | { readonly error: CodedError })[]> {
  const asked = new Array<Asked | { readonly error: CodedError }>(plans.length)
  const batches = new Map<string, { readonly outputs: readonly EmbedOutput[]; readonly places: number[] }>()
  plans.forEach((plan, place) => {
    if ('error' in plan) asked[place] = plan
    else if ('vector' in plan.request) {
      const { vector } = plan.request
      asked[place] = attempt(() => ({
        text: null,
        vector: requireVector(vector, domain.dims),
        terms: null,
        colbert: undefined,
        query: null,
      }))
    } else {
      const key = plan.outputs.join()
      const batch = batches.get(key) ?? { outputs: plan.outputs, places: [] }
      batch.places.push(place)
      batches.set(key, batch)
    }
  })
  for (const { outputs, places } of batches.values()) {
    const texts = places.map((place) => textOf(plans[place]))
    const results = await embedQueries(deps, domain, texts, { outputs })
    places.forEach((place, i) => {
      const result = results[i]
      if (result === undefined) throw new CodedError('INTERNAL', 'A query was not embedded')
      asked[place] = 'error' in result ? result : read(result, outputs)
    })
  }
  return asked
}

const textOf = (plan: Plan | { readonly error: CodedError } | undefined): string =>
  plan !== undefined && 'request' in plan && 'query' in plan.request ? plan.request.query : ''

function read(result: EmbeddedQuery, outputs: readonly EmbedOutput[]): Asked {
  const { text, tokens, windows } = result
  return {
    text,
    vector: outputs.includes('dense') ? result.vector : null,
    terms: result.terms ?? null,
    colbert: result.colbert,
    query: { tokens, windows },
  }
}

async function run(
  deps: Deps,
  domain: Domain,
  plan: Plan,
  asked: Asked,
  embedMs: number,
): Promise<SearchResult> {
  const { request, mode, fusion, rerank, rankedBy, threshold, filter } = plan
  const started = performance.now()
  // Those of scores that are computed later cut later.
  const thresholds = { ...request.thresholds, [mode]: request.thresholds?.[mode] ?? null }
  if (rankedBy === mode && rerank === null) thresholds[mode] = threshold
  const found = await findHits(deps.db, {
    domain: domain.name,
    vector: asked.vector,
    terms: asked.terms,
    k: rerank === null ? request.k : Math.max(request.k, rerank.top),
    mode,
    filter,
    thresholds,
    fusion,
    candidates: request.candidates,
    efSearch: request.efSearch,
    exact: request.exact,
  })
  const ranked = found.map((hit): Ranked => ({ ...hit, rankedBy: mode, score: hit.scores[mode] ?? 0 }))
  const searched = performance.now()
  const reranked = rerank === null ? ranked : await rerankBy(deps, domain, plan, asked, ranked, rerank)
  const kept = rerank === null ? reranked : reranked.filter((hit) => passes(hit, plan)).slice(0, request.k)
  const hits = kept.map((hit) => ({
    ...hit,
    similarity: hit.scores.dense ?? null,
    level: levelFor(hit, plan),
  }))
  const ended = performance.now()
  deps.queryLog?.note({
    domainId: domain.id,
    asked: asked.text ?? asked.vector ?? '',
    k: request.k,
    threshold,
    mode,
    filterFields: fieldsOf(filter),
    hits: hits.length,
    rankedBy,
    topScore: hits[0]?.score ?? null,
    topLevel: hits[0]?.level?.key ?? null,
    embedMs,
    searchMs: ended - started,
    totalMs: embedMs + ended - started,
  })
  return {
    hits,
    model: domain.model,
    mode,
    rankedBy,
    threshold,
    stale: plan.stale,
    query: asked.query,
    warnings: hits.length > 0 ? [] : await warningsOf(deps, domain, filter),
    tookMs: {
      embed: tenths(embedMs),
      search: tenths(searched - started),
      rerank: rerank === null ? null : tenths(ended - searched),
    },
  }
}

type Ranked = FoundHit & {
  readonly scores: Scores
  readonly rankedBy: ScoreKind
  readonly score: number
}

function rerankBy(
  deps: Deps,
  domain: Domain,
  { fusion }: Plan,
  asked: Asked,
  hits: readonly Ranked[],
  rerank: Rerank,
): Promise<Ranked[]> {
  const query = { text: asked.text ?? '', colbert: asked.colbert }
  if (rerank.by !== 'fusion') return rerankHits(deps, domain, query, hits, rerank)
  if (fusion?.method !== 'weighted') return Promise.resolve([...hits])
  return fuseHits(deps, domain, query, hits, { weights: fusion, top: rerank.top })
}

/** What was not reranked has no such score, and so cannot reach a threshold of it. */
function passes(hit: Ranked, { request, rankedBy, threshold }: Plan): boolean {
  const least = { ...request.thresholds, [rankedBy]: threshold }
  return Object.entries(least).every(
    ([kind, value]) => value == null || (hit.scores[kind as ScoreKind] ?? Number.NEGATIVE_INFINITY) >= value,
  )
}

function levelFor(hit: Ranked, { levels }: Plan): Level | null {
  const score = levels === null ? undefined : hit.scores[levels.by]
  if (levels === null || score === undefined) return null
  return levelOf(levels.levels, score)
}

/** Asked only where nothing was found. */
async function warningsOf(
  { db }: Deps,
  domain: Domain,
  filter: Readonly<Record<string, unknown>>,
): Promise<Warning[]> {
  const why = await whyNothing(db, domain, fieldsOf(filter))
  const warnings: Warning[] = why.unknownFields.map((field) => ({
    code: 'UNKNOWN_FIELD',
    message: `No document has the field "${field}" in its metadata`,
  }))
  if (why.published === 0 && why.open === 0) {
    warnings.unshift({
      code: 'NOTHING_INGESTED',
      message: `Domain "${domain.name}" has no documents to find`,
    })
  } else if (why.open > 0) {
    warnings.unshift({
      code: 'STILL_INGESTING',
      message: `${why.open} documents of "${domain.name}" are not ready to be found yet`,
    })
  }
  return why.published === 0 ? warnings.filter(({ code }) => code !== 'UNKNOWN_FIELD') : warnings
}

/** What the SQL function refuses is the caller's to mend. */
function refusal(error: unknown, domain: string): unknown {
  if (error instanceof CodedError) return error
  const code = codeOf(error)
  const hint =
    error instanceof Error && 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined
  const options = { ...(hint === undefined ? {} : { hint }), cause: error }
  if (code === '22023') return new CodedError('INVALID_FILTER', messageOf(error), options)
  // The function, its domain or a table of its vectors went while the query was embedded.
  if (code === 'P0002' || code === '42P01') {
    return new CodedError('UNKNOWN_DOMAIN', `There is no domain "${domain}"`, options)
  }
  return error
}

const tenths = (ms: number): number => Math.round(ms * 10) / 10
