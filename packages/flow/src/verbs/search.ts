import { type Engine, type Level, levelOf, type Priority } from '@millrace/embed'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { type Db, type FoundHit, findHits, readFilter, type SearchMode, whyNothing } from '@millrace/store'
import { isGone, successorOf } from '../generations/live.js'
import { type Asked, beginReading, goOnReading, type Reading } from '../search/asked.js'
import type { StaleThreshold } from '../search/bands.js'
import type { QueryCache } from '../search/cache.js'
import { fieldsOf } from '../search/fields.js'
import type { Fusion } from '../search/fusion.js'
import type { KnownDomains } from '../search/known.js'
import type { QueryLog } from '../search/log.js'
import { type Plan, planOf } from '../search/plan.js'
import { fuseHits, type Rerank, rerankHits } from '../search/rerank.js'
import { leastFor, SCORE_KINDS, type ScoreKind, type Scores } from '../search/scores.js'
import { type Domain, findDomainAt, nameAt } from './domains.js'

interface Deps {
  readonly db: Db
  readonly engine: Engine
  readonly cache: QueryCache
  /** Absent: nothing is logged. */
  readonly queryLog?: QueryLog | undefined
  /** Of what is embedded. Default: interactive. */
  readonly priority?: Priority | undefined
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
  readonly code: 'SCORE_NOT_COMPUTED' | 'NOTHING_INGESTED' | 'STILL_INGESTING' | 'UNKNOWN_FIELD'
  readonly message: string
}

export interface SearchResult {
  readonly hits: readonly SearchHit[]
  /** The generation that was searched. */
  readonly generation: string
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
export const searchMany = (
  deps: Deps,
  domain: Domain,
  requests: readonly SearchRequest[],
): Promise<SearchOutcome[]> => searchRead(deps, beginReading(deps, domain, requests))

/** The domain of a name, and its searches. */
export interface Searched {
  readonly domain: Domain
  readonly outcomes: readonly SearchOutcome[]
}

/**
 * The same by the domain's name. Where it was searched before, its queries are embedded while it is looked up; that it is
 * what it was is only a guess, and what it is decides.
 * @param shared what is said for all of several: what is wrong with that is wrong with all of them
 * @throws CodedError UNKNOWN_DOMAIN, and those of `search` that `shared` has
 */
export async function searchNamed(
  deps: Deps & { readonly known: KnownDomains },
  name: string,
  requests: readonly SearchRequest[],
  shared?: SearchOptions,
): Promise<Searched> {
  const last = deps.known.last(name)
  const begun = last === undefined ? undefined : beginReading(deps, last, requests)
  const domain = await deps.known.find(name)
  if (shared !== undefined) await checkShared(deps, domain, shared)
  const reading =
    begun === undefined ? beginReading(deps, domain, requests) : goOnReading(deps, domain, requests, begun)
  return searchLive(deps, reading, requests)
}

/** On the generation that was looked up; where that has ended by now, all of it anew on the one that is live. */
async function searchLive(
  deps: Deps,
  reading: Reading,
  requests: readonly SearchRequest[],
): Promise<Searched> {
  const { domain } = reading
  const first = await searchRead(deps, reading).catch((error: unknown) => ({ broken: error }))
  const errors =
    'broken' in first
      ? [first.broken]
      : first.flatMap((outcome) => ('error' in outcome ? [outcome.error] : []))
  const now = errors.some(isGone) ? await successorOf(deps, domain) : undefined
  if (now !== undefined) {
    return { domain: now, outcomes: await searchRead(deps, goOnReading(deps, now, requests, reading)) }
  }
  if ('broken' in first) throw first.broken
  return { domain, outcomes: first }
}

/**
 * The same on another generation of the domain than the live one, to try it.
 * @throws CodedError UNKNOWN_GENERATION as well
 */
export async function searchGeneration(
  deps: Deps,
  { name, generation }: { readonly name: string; readonly generation: string },
  requests: readonly SearchRequest[],
  shared?: SearchOptions,
): Promise<Searched> {
  const domain = await findDomainAt(deps, name, generation)
  if (shared !== undefined) await checkShared(deps, domain, shared)
  return { domain, outcomes: await searchMany(deps, domain, requests) }
}

async function checkShared(deps: Deps, domain: Domain, shared: SearchOptions): Promise<void> {
  const { filter } = planOf(deps.engine, domain, { ...shared, query: '' })
  if (shared.filter === undefined) return
  try {
    await readFilter(deps.db, filter)
  } catch (error) {
    throw refusal(error, domain.name)
  }
}

async function searchRead(deps: Deps, { domain, plans, asked }: Reading): Promise<SearchOutcome[]> {
  const { asked: sought, embedMs } = await asked
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
        if (refused instanceof CodedError && plans.length > 1) return { error: refused }
        throw refused
      }
    })
    outcomes.push(...(await Promise.all(some)))
  }
  return outcomes
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
  const cuts = cutsOf(plan)
  const isRankedLater = rankedBy === mode && rerank !== null
  const thresholds = { ...cuts, [mode]: isRankedLater ? null : (cuts[mode] ?? null) }
  const found = await findHits(deps.db, {
    domain: nameAt(domain),
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
  const kept = reranked.filter((hit) => passes(hit, cuts)).slice(0, request.k)
  const hits = kept.map((hit) => ({
    ...hit,
    similarity: hit.scores.dense ?? null,
    level: levelFor(hit, plan),
  }))
  const ended = performance.now()
  // Whoever tries a generation before its time asks nothing of the domain.
  const queryLog = domain.generationState === 'live' ? deps.queryLog : undefined
  queryLog?.note({
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
    top: hits.map(({ documentId, chunk, score }) => ({ documentId, chunk, score })),
    embedMs,
    searchMs: searched - started,
    rerankMs: rerank === null ? null : ended - searched,
    totalMs: embedMs + ended - started,
  })
  return {
    hits,
    generation: String(domain.generationId),
    model: domain.model,
    mode,
    rankedBy,
    threshold,
    stale: plan.stale,
    query: asked.query,
    warnings: hits.length > 0 ? [] : await warningsOf(deps, domain, plan),
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

type Cuts = Partial<Readonly<Record<ScoreKind, number>>>

/** The least scores of a hit, as they are computed. */
function cutsOf({ request, rankedBy, threshold }: Plan): Cuts {
  const least = { ...request.thresholds, [rankedBy]: threshold }
  return Object.fromEntries(
    SCORE_KINDS.flatMap((kind) => {
      const value = least[kind]
      return value == null ? [] : [[kind, leastFor(kind, value)]]
    }),
  )
}

/** What was not computed cannot reach a threshold. */
const passes = (hit: Ranked, cuts: Cuts): boolean =>
  SCORE_KINDS.every((kind) => {
    const cut = cuts[kind]
    return cut === undefined || (hit.scores[kind] ?? Number.NEGATIVE_INFINITY) >= cut
  })

/** Of a hit that the reranker did not see: that of what it was ranked by before, else of its similarity. */
function levelFor({ scores, rankedBy }: Ranked, { levels }: Plan): Level | null {
  const kind = levels[rankedBy] === undefined ? 'dense' : rankedBy
  const [own, score] = [levels[kind], scores[kind]]
  return own === undefined || score === undefined ? null : levelOf(own, score)
}

/** Asked only where nothing was found. */
async function warningsOf(
  { db }: Deps,
  domain: Domain,
  { filter, uncomputed, mode }: Plan,
): Promise<Warning[]> {
  if (uncomputed.length > 0) {
    return uncomputed.map((kind) => ({
      code: 'SCORE_NOT_COMPUTED',
      message: `A threshold of ${kind} is asked for, and mode ${mode} as it was searched computes no such score`,
    }))
  }
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
