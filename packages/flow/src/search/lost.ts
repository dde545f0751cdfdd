import type { Engine } from '@millrace/embed'
import { type ChunkScores, type ComparedQuery, type Db, type DocumentRow, exactPlace } from '@millrace/store'
import type { Domain } from '../verbs/domains.js'
import { type SearchRequest, type SearchResult, search } from '../verbs/search.js'
import type { QueryCache } from './cache.js'
import type { Details, Standing, Verdict } from './explain.js'
import { planOf } from './plan.js'
import type { Rerank } from './rerank.js'
import { leastFor, type ScoreKind } from './scores.js'

interface Deps {
  readonly db: Db
  readonly engine: Engine
  readonly cache: QueryCache
}

/** A document that could be found and passes the filter, and is no hit of a search. */
export interface Lost {
  readonly deps: Deps
  readonly domain: Domain
  readonly request: SearchRequest
  readonly result: SearchResult
  readonly row: DocumentRow
  readonly compared: ComparedQuery
  readonly scores: readonly ChunkScores[]
  readonly timeoutMs: number
}

/** Why it is none. */
export async function lostTo(lost: Lost): Promise<[Verdict, Details]> {
  const { deps, domain, request, result, scores } = lost
  if (result.mode === 'sparse' && bestOf(scores, 'sparse').score <= 0) return ['NO_COMMON_TERMS', {}]
  const thresholds = thresholdsOf(lost)
  const stored = belowStored(scores, thresholds)
  if (stored !== undefined) return ['BELOW_THRESHOLD', { below: stored }]
  const { rerank } = planOf(deps.engine, domain, request)
  const uncomputed = thresholds.find(([kind]) => !kindsOf(result, rerank).has(kind))
  if (uncomputed !== undefined) return ['BELOW_THRESHOLD', { below: belowOf(uncomputed) }]
  if (rerank !== null) return lostInReranking(lost, thresholds, rerank)
  return result.mode === 'hybrid'
    ? lostInFusion(lost, thresholds, request.k)
    : lostByScore(lost, result.mode, request.k)
}

type Threshold = readonly [kind: ScoreKind, value: number]

/** The least scores that were asked for. Those of reranking cut nothing where nothing is reranked. */
function thresholdsOf({ request, result }: Lost): Threshold[] {
  const all = Object.entries({ ...request.thresholds, [result.rankedBy]: result.threshold })
  return all
    .flatMap(([kind, value]): Threshold[] => (value == null ? [] : [[kind as ScoreKind, value]]))
    .filter(([kind]) => result.tookMs.rerank !== null || (kind !== 'colbert' && kind !== 'rerank'))
}

/** The kinds of score that a search gives its hits. */
function kindsOf({ mode }: SearchResult, rerank: Rerank | null): Set<ScoreKind> {
  const kinds = new Set<ScoreKind>([mode])
  if (mode === 'hybrid') kinds.add('dense').add('sparse')
  if (rerank !== null) kinds.add(rerank.by === 'colbert' || rerank.by === 'fusion' ? 'colbert' : 'rerank')
  return kinds
}

const belowOf = ([kind, threshold]: Threshold, score: number | null = null) => ({ kind, threshold, score })

/** By the scores that are known without a search. */
function belowStored(scores: readonly ChunkScores[], thresholds: readonly Threshold[]): Details['below'] {
  for (const threshold of thresholds) {
    const [kind, least] = threshold
    if (kind !== 'dense' && kind !== 'sparse') continue
    const { score } = bestOf(scores, kind)
    if (score > Number.NEGATIVE_INFINITY && score < leastFor(kind, least)) return belowOf(threshold, score)
  }
  return undefined
}

/** By the scores that a search gave it. */
function belowIn(
  { hits }: SearchResult,
  documentId: string,
  thresholds: readonly Threshold[],
): Details['below'] {
  const hit = hits.find((one) => one.documentId === documentId)
  if (hit === undefined) return undefined
  const below = thresholds.find(
    ([kind, least]) => (hit.scores[kind] ?? Number.NEGATIVE_INFINITY) < leastFor(kind, least),
  )
  return below === undefined ? undefined : belowOf(below, hit.scores[below[0]] ?? null)
}

/** The same search with other options, and no cut but those that are given. */
const again = ({ deps, domain, request }: Lost, other: Partial<SearchRequest>): Promise<SearchResult> =>
  search(deps, domain, { ...request, threshold: null, thresholds: {}, ...other } as SearchRequest)

const placeOf = ({ hits }: SearchResult, documentId: string): number | undefined => {
  const at = hits.findIndex((hit) => hit.documentId === documentId)
  return at < 0 ? undefined : at + 1
}

/** It was among those that were reranked, or was not even found. */
async function lostInReranking(
  lost: Lost,
  thresholds: readonly Threshold[],
  rerank: Rerank,
): Promise<[Verdict, Details]> {
  const { request, result, row } = lost
  const top = Math.max(request.k, rerank.top)
  const all = await again(lost, { k: top })
  const reranked = { rerankedBy: rerank.by === 'fusion' ? 'colbert' : rerank.by }
  const below = belowIn(all, row.externalId, thresholds)
  if (below !== undefined) return ['BELOW_THRESHOLD', { ...reranked, below }]
  const rank = placeOf(all, row.externalId)
  if (rank !== undefined) return ['BEATEN', { ...reranked, rank }]
  // The cut comes after the reranking: here only the search before it had a part.
  return result.mode === 'hybrid' ? lostInFusion(lost, [], top) : lostByScore(lost, result.mode, top)
}

/** The chunk with the largest score of a kind; -Infinity where there is none. */
function bestOf(scores: readonly ChunkScores[], kind: 'dense' | 'sparse') {
  return scores.reduce(
    (best, one) => {
      const score = one[kind]
      return score !== null && score > best.score ? { chunk: one.chunk, score } : best
    },
    { chunk: 0, score: Number.NEGATIVE_INFINITY },
  )
}

async function standingOf(lost: Lost, kind: 'dense' | 'sparse'): Promise<Standing | undefined> {
  const { deps, row, compared, request, timeoutMs } = lost
  const { chunk, score } = bestOf(lost.scores, kind)
  if (score === Number.NEGATIVE_INFINITY || (kind === 'sparse' && score <= 0)) return undefined
  const at = { kind, documentId: row.id, chunk, filter: request.filter ?? {} }
  const found = await exactPlace(deps.db, compared, at, timeoutMs)
  return { score, place: found?.place ?? null, chunks: found?.chunks ?? null, before: found?.before ?? null }
}

async function lostByScore(lost: Lost, kind: 'dense' | 'sparse', top: number): Promise<[Verdict, Details]> {
  const standing = await standingOf(lost, kind)
  const place = standing?.place ?? null
  const details = { rank: place, ...(standing === undefined ? {} : { exact: { [kind]: standing } }) }
  if (place !== null) return [place > top ? 'BEATEN' : 'MISSED_BY_INDEX', details]
  // Not worked out in time: what scores more than the last hit was missed.
  const { hits } = lost.result
  const least = hits.at(-1)?.scores[kind] ?? Number.POSITIVE_INFINITY
  const isMissed = hits.length < lost.request.k || (standing?.score ?? 0) > least
  return [isMissed ? 'MISSED_BY_INDEX' : 'BEATEN', details]
}

/** As many of each kind as millrace.find_hits fuses. */
const fusedOf = ({ k, candidates }: SearchRequest): number =>
  Math.min(1_000, Math.max(k, candidates ?? 4 * k, 100))

async function lostInFusion(
  lost: Lost,
  thresholds: readonly Threshold[],
  top: number,
): Promise<[Verdict, Details]> {
  const candidates = fusedOf({ ...lost.request, k: top })
  const wide = await again(lost, { k: candidates, candidates, rerank: null })
  const below = belowIn(wide, lost.row.externalId, thresholds)
  if (below !== undefined) return ['BELOW_THRESHOLD', { below }]
  const rank = placeOf(wide, lost.row.externalId)
  if (rank !== undefined && rank > top) return ['BEATEN', { rank }]
  const [dense, sparse] = [await standingOf(lost, 'dense'), await standingOf(lost, 'sparse')]
  const exact = { ...(dense === undefined ? {} : { dense }), ...(sparse === undefined ? {} : { sparse }) }
  if (rank !== undefined) return ['BEATEN', { rank, exact }]
  const isCut = [dense, sparse].every((one) => one === undefined || (one.place ?? Infinity) > candidates)
  if (isCut) return ['CUT_IN_FUSION', { exact, candidates }]
  return wide.hits.length >= candidates
    ? ['BEATEN', { rank: null, exact, candidates }]
    : ['MISSED_BY_INDEX', { exact, candidates }]
}
