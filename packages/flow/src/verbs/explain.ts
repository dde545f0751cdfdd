import type { Engine, Output } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  type ComparedQuery,
  type Db,
  type DocumentRow,
  type DocumentStanding,
  documentScores,
  getDocument as getRow,
  isTimeout,
  judgeFilters,
  nearIds,
  type PublishedDocument,
  publishedDocument,
  standingIn,
  standings,
  within,
} from '@millrace/store'
import { requireVector } from '../external.js'
import { askLive } from '../generations/live.js'
import type { QueryCache } from '../search/cache.js'
import {
  conjunctsOf,
  type Details,
  type Explanation,
  lookalikes,
  sentenceOf,
  spellings,
  type Verdict,
  valueAt,
} from '../search/explain.js'
import { lostTo } from '../search/lost.js'
import { embedQueries, outputsFor } from '../search/query.js'
import { waitingOf } from '../waiting.js'
import { type Domain, nameAt } from './domains.js'
import { type SearchHit, type SearchRequest, type SearchResult, search } from './search.js'

interface Deps {
  readonly db: Db
  readonly engine: Engine
  readonly cache: QueryCache
}

export interface ExplainOptions {
  /** How long the exact places may take, in milliseconds. Default 5,000. */
  readonly timeoutMs?: number | undefined
}

const TIMEOUT_MS = 5_000
const CHUNKS_SHOWN = 3
/** Ids before and after one that is not there. */
const NEIGHBOURS = 10

/**
 * Why a document is among the hits of a search, or not: the search is run as it is asked, and where it does not have the
 * document, what it lost to is looked up. Nothing is logged.
 * @throws CodedError those of `search`
 */
export const explain = (
  deps: Deps,
  domain: Domain,
  request: SearchRequest,
  documentId: string,
  options: ExplainOptions = {},
): Promise<Explanation> =>
  askLive(deps, domain, (live) => explainOn(deps, live, request, documentId, options))

async function explainOn(
  deps: Deps,
  domain: Domain,
  request: SearchRequest,
  documentId: string,
  { timeoutMs = TIMEOUT_MS }: ExplainOptions,
): Promise<Explanation> {
  const quiet: Deps = { db: deps.db, engine: deps.engine, cache: deps.cache }
  // First, so that a wrong request is refused whatever the document is.
  const result = await search(quiet, domain, request)
  return explainResult(quiet, domain, { request, result }, documentId, { timeoutMs })
}

/** The same of a search that was made. @param quiet logs nothing */
export async function explainResult(
  quiet: Deps,
  domain: Domain,
  { request, result }: { readonly request: SearchRequest; readonly result: SearchResult },
  documentId: string,
  { timeoutMs = TIMEOUT_MS }: ExplainOptions = {},
): Promise<Explanation> {
  const { db } = quiet
  const say = (verdict: Verdict, details: Details, chunks: Explanation['chunks'] = []): Explanation => ({
    verdict,
    sentence: sentenceOf(documentId, verdict, details),
    details,
    chunks,
  })
  const row = isStorable(documentId) ? await getRow(db, domain.id, documentId) : undefined
  if (row === undefined) {
    return say('UNKNOWN_DOCUMENT', { nearest: await idsLike(quiet, domain, documentId) })
  }
  const published = await publishedDocument(db, domain.generationId, row.id)
  if (published === undefined) return say(...(await notReady(quiet, domain, row)))
  const outdated =
    published.revision === row.revision
      ? {}
      : { outdated: { shown: published.revision, submitted: row.revision }, state: row.state }
  if (published.chunks === 0) return say('EMPTY', outdated)
  const failed = await failedConditions(quiet, domain, row, published, request.filter ?? {})
  if (failed.length > 0) return say('FILTERED_OUT', { ...outdated, failed })

  const compared = await compare(quiet, domain, request, result)
  const scores = await documentScores(db, compared, row.id)
  const chunks = scores.slice(0, CHUNKS_SHOWN).map(({ chunk, text, dense, sparse }) => ({
    chunk,
    text,
    scores: { ...(dense === null ? {} : { dense }), ...(sparse === null ? {} : { sparse }) },
  }))
  const found = { ...outdated, rankedBy: result.rankedBy, k: request.k }
  const at = result.hits.findIndex((hit) => hit.documentId === documentId)
  if (at >= 0) {
    return say('HIT', { ...found, rank: at + 1 }, withScores(chunks, result.hits[at]))
  }
  const [verdict, details] = await lostTo({
    deps: quiet,
    domain,
    request,
    result,
    row,
    compared,
    scores,
    timeoutMs,
  })
  return say(verdict, { ...found, last: lastOf(result), ...details }, chunks)
}

/** An id that cannot have been accepted is not asked for: Postgres would refuse the statement. */
const isStorable = (id: string) => !id.includes('\0') && id.isWellFormed()

async function idsLike({ db }: Deps, domain: Domain, id: string): Promise<string[]> {
  if (!isStorable(id)) return []
  const others = spellings(id)
  const found = await nearIds(db, domain.id, id, others, NEIGHBOURS)
  const exact = found.filter((other) => others.includes(other))
  return [...new Set([...exact, ...lookalikes(id, found)])]
}

async function notReady(
  { db }: Deps,
  { generationId, generationState }: Domain,
  row: DocumentRow,
): Promise<[Verdict, Details]> {
  const { state } = row
  if (generationState !== 'live') return notThere(await standingIn(db, generationId, row.id))
  if (state === 'failed') {
    const error = { code: row.errorCode ?? 'INTERNAL', message: row.errorMessage ?? '' }
    return ['FAILED', { state, error }]
  }
  if (state === 'cancelled') return ['CANCELLED', { state }]
  const standing = (await standings(db, [row.id])).get(row.id)
  // Ready between two statements, or ready without anything to publish.
  if (state === 'ready' && row.chunks === 0) return ['EMPTY', {}]
  return ['NOT_INGESTED', { state, waiting: standing === undefined ? null : waitingOf(standing) }]
}

/** In a generation that is not live: how far its build is with the document. */
function notThere(standing: DocumentStanding | undefined): [Verdict, Details] {
  if (standing === undefined) return ['NOT_INGESTED', { state: 'absent', waiting: null }]
  const { state, errorCode, errorMessage } = standing
  return state === 'failed'
    ? ['FAILED', { state, error: { code: errorCode ?? 'INTERNAL', message: errorMessage ?? '' } }]
    : ['NOT_INGESTED', { state, waiting: null }]
}

async function failedConditions(
  { db }: Deps,
  domain: Domain,
  row: DocumentRow,
  published: PublishedDocument,
  filter: Readonly<Record<string, unknown>>,
) {
  const parts = conjunctsOf(filter)
  const passes = await judgeFilters(db, domain.generationId, row.id, parts)
  const document = {
    id: row.externalId,
    title: published.title,
    createdAt: row.createdAt,
    metadata: published.metadata,
  }
  return parts
    .filter((_, i) => passes[i] === false)
    .map((part) => {
      const value = valueAt(part, document)
      return value === undefined ? { filter: part } : { filter: part, value }
    })
}

/** The query as it is compared with what is stored. */
async function compare(
  deps: Deps,
  domain: Domain,
  request: SearchRequest,
  { mode }: SearchResult,
): Promise<ComparedQuery> {
  if ('vector' in request) {
    return { domain: nameAt(domain), vector: requireVector(request.vector, domain.dims), terms: null }
  }
  const outputs: Output[] = []
  if (mode !== 'sparse') outputs.push('dense')
  if (mode !== 'dense') outputs.push('sparse')
  const [query] = await embedQueries(deps, domain, [request.query], {
    outputs: outputsFor(outputs, domain),
  })
  if (query === undefined) throw new CodedError('INTERNAL', 'The engine returned no vector')
  if ('error' in query) throw query.error
  return {
    domain: nameAt(domain),
    vector: mode === 'sparse' ? null : query.vector,
    terms: mode === 'dense' ? null : (query.terms ?? null),
  }
}

const withScores = (chunks: Explanation['chunks'], hit: SearchHit | undefined): Explanation['chunks'] =>
  chunks.map((one) => (one.chunk === hit?.chunk ? { ...one, scores: { ...one.scores, ...hit.scores } } : one))

function lastOf({ hits }: SearchResult) {
  const last = hits.at(-1)
  return last === undefined ? null : { documentId: last.documentId, chunk: last.chunk, score: last.score }
}

/** How a search went, beside one that compares with everything. */
export interface SearchExplanation {
  /** False: the comparison took too long, and only that is known. */
  readonly isCompared: boolean
  /** Of each hit, its place when all are compared; null: beyond k. */
  readonly exactRanks: readonly (number | null)[]
  /** What would have been a hit if the index were not used. */
  readonly missed: readonly {
    readonly documentId: string
    readonly chunk: number
    readonly score: number
    readonly rank: number
  }[]
}

/** Compares a search that was made with the same one without the index. */
export async function explainSearch(
  deps: Deps,
  domain: Domain,
  request: SearchRequest,
  result: SearchResult,
  { timeoutMs = TIMEOUT_MS }: ExplainOptions = {},
): Promise<SearchExplanation> {
  const quiet = { db: within(deps.db, timeoutMs), engine: deps.engine, cache: deps.cache }
  try {
    const { hits } = await search(quiet, domain, { ...request, exact: true })
    const rankOf = new Map(hits.map((hit, i) => [keyOf(hit), i + 1]))
    const known = new Set(result.hits.map(keyOf))
    return {
      isCompared: true,
      exactRanks: result.hits.map((hit) => rankOf.get(keyOf(hit)) ?? null),
      missed: hits.flatMap((hit, i) =>
        known.has(keyOf(hit))
          ? []
          : [{ documentId: hit.documentId, chunk: hit.chunk, score: hit.score, rank: i + 1 }],
      ),
    }
  } catch (error) {
    if (!isTimeout(error)) throw error
    return { isCompared: false, exactRanks: result.hits.map(() => null), missed: [] }
  }
}

const keyOf = ({ documentId, chunk }: { readonly documentId: string; readonly chunk: number }): string =>
  JSON.stringify([documentId, chunk])
