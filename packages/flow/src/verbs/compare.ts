import type { Engine } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { type Db, type GenerationRow, gateFacts, listGenerations } from '@millrace/store'
import { type AlignedRow, alignHits, type PlacedHit, type Reason, reasonsOf } from '../generations/align.js'
import { generationEnded } from '../generations/switch.js'
import type { Comparison } from '../golden/compare.js'
import type { Run, RunWishes } from '../golden/run.js'
import type { QueryCache } from '../search/cache.js'
import type { ScoreKind } from '../search/scores.js'
import { type Domain, findDomainAt, requireGeneration } from './domains.js'
import { explainResult } from './explain.js'
import { compareGolden, startRun } from './golden.js'
import { type SearchHit, type SearchRequest, type SearchResult, searchMany } from './search.js'

interface Deps {
  readonly db: Db
  readonly engine: Engine
  readonly cache: QueryCache
}

/** Two generations of a domain, and what has to be known of them before what they find is read. */
export interface ComparedPair {
  readonly a: ComparedGeneration
  readonly b: ComparedGeneration
  readonly warnings: readonly CompareWarning[]
}
export interface ComparedGeneration {
  readonly domain: Domain
  /** Those that can be found in it. */
  readonly documents: number
}
export interface CompareWarning {
  readonly code: 'NOTHING_BUILT' | 'STILL_BUILDING' | 'SCORES_DO_NOT_COMPARE'
  readonly message: string
}

/**
 * The generations that are asked for; without any the live one and the one that is being built, or that was live before.
 * @throws CodedError NOTHING_TO_COMPARE, SAME_GENERATION, UNKNOWN_GENERATION, GENERATION_ENDED
 */
export async function comparedPair(
  { db }: Pick<Deps, 'db'>,
  domain: Domain,
  ids: readonly [string, string] | undefined,
): Promise<ComparedPair> {
  const [one, two] = ids ?? (await usualPair(db, domain))
  if (one === two) {
    throw new CodedError('SAME_GENERATION', `Generation ${one} is named twice`, {
      hint: `GET /v1/domains/${domain.name}/generations lists others`,
      details: { generations: [one, two] },
    })
  }
  const [a, b] = [await generationAt(db, domain, one), await generationAt(db, domain, two)]
  const { published } = await gateFacts(db, domain.id, [a.generationId, b.generationId])
  const [inA = 0, inB = 0] = published.map(({ documents }) => documents)
  return {
    a: { domain: a, documents: inA },
    b: { domain: b, documents: inB },
    warnings: [
      ...buildWarnings(a, inA, inB),
      ...buildWarnings(b, inB, inA),
      ...(a.recipeHash === b.recipeHash
        ? []
        : [
            {
              code: 'SCORES_DO_NOT_COMPARE' as const,
              message: 'The two are made with different recipes: their ranks compare, their scores do not',
            },
          ]),
    ],
  }
}

async function usualPair(db: Db, domain: Domain): Promise<readonly [string, string]> {
  const all = await listGenerations(db, domain.id)
  const at = (state: GenerationRow['state']) => all.find((row) => row.state === state)?.id
  const [live, building, retired] = [at('live'), at('building'), at('retired')]
  if (live !== undefined && building !== undefined) return [String(live), String(building)]
  if (live !== undefined && retired !== undefined) return [String(retired), String(live)]
  throw new CodedError('NOTHING_TO_COMPARE', `Domain "${domain.name}" has one generation alone`, {
    hint: `POST /v1/domains/${domain.name}/generations begins another one beside it`,
  })
}

async function generationAt(db: Db, domain: Domain, id: string): Promise<Domain> {
  const row = await requireGeneration({ db }, domain, id)
  if (row.state === 'ending' || row.state === 'ended') throw generationEnded(row)
  return findDomainAt({ db }, domain.name, id)
}

function buildWarnings(
  { generationState, generationId }: Domain,
  documents: number,
  others: number,
): CompareWarning[] {
  if (generationState === 'live' || documents >= others) return []
  if (documents === 0) {
    return [{ code: 'NOTHING_BUILT', message: `Generation ${generationId} has no documents yet` }]
  }
  return [
    {
      code: 'STILL_BUILDING',
      message: `Generation ${generationId} has ${documents} documents, the other one ${others}`,
    },
  ]
}

export interface ComparedSide {
  readonly mode: string
  readonly rankedBy: ScoreKind
  readonly threshold: number | null
  readonly hits: number
  readonly tookMs: SearchResult['tookMs']
}
export interface ComparedRow extends AlignedRow {
  readonly why: readonly Reason[]
}
export interface ComparedQueryResult {
  readonly a: ComparedSide
  readonly b: ComparedSide
  readonly rows: readonly ComparedRow[]
}
/** What one query finds in both, or why it cannot be asked of one. */
export type ComparedOutcome = ComparedQueryResult | { readonly error: CodedError }

/** Passages of one list alone whose absence in the other is looked into; each may take a search. */
const EXPLAINED_MAX = 20
const EXPLAIN_MS = 1_000
/** Of all of them; the rest is left unexplained. */
const BUDGET_MS = 10_000

/** What each query finds in both generations, side by side, and why it moved. Nothing is logged. */
export async function compareQueries(
  { db, engine, cache }: Deps,
  pair: ComparedPair,
  requests: readonly SearchRequest[],
): Promise<ComparedOutcome[]> {
  const quiet = { db, engine, cache }
  const a = await searchIn(quiet, pair.a.domain, requests)
  const b = await searchIn(quiet, pair.b.domain, requests)
  const outcomes: ComparedOutcome[] = []
  let left = EXPLAINED_MAX
  const end = performance.now() + BUDGET_MS
  for (const [n, request] of requests.entries()) {
    const [one, two] = [a[n], b[n]]
    if (one === undefined || two === undefined) throw new CodedError('INTERNAL', 'A query was not searched')
    if ('error' in one) outcomes.push(one)
    else if ('error' in two) outcomes.push(two)
    else {
      const share = Math.ceil(left / (requests.length - n))
      const { rows, explained } = await compareOne(quiet, pair, request, [one, two], { share, end })
      left -= explained
      outcomes.push({ a: sideOf(one), b: sideOf(two), rows })
    }
  }
  return outcomes
}

type Outcomes = readonly (SearchResult | { readonly error: CodedError })[]

/** What is wrong says in which generation it is. */
async function searchIn(deps: Deps, domain: Domain, requests: readonly SearchRequest[]): Promise<Outcomes> {
  try {
    const outcomes = await searchMany(deps, domain, requests)
    return outcomes.map((one) => ('error' in one ? { error: saidOf(domain, one.error) } : one))
  } catch (error) {
    throw error instanceof CodedError ? saidOf(domain, error) : error
  }
}

const saidOf = ({ generationId }: Domain, error: CodedError): CodedError =>
  new CodedError(error.code, `Generation ${generationId}: ${error.message}`, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    details: error.details,
    retryable: error.retryable,
    cause: error,
  })

const sideOf = ({ mode, rankedBy, threshold, hits, tookMs }: SearchResult): ComparedSide => ({
  mode,
  rankedBy,
  threshold,
  hits: hits.length,
  tookMs,
})

const placed = (hit: SearchHit, at: number): PlacedHit => ({
  rank: at + 1,
  documentId: hit.documentId,
  title: hit.title,
  chunk: hit.chunk,
  start: hit.start,
  end: hit.end,
  text: hit.text,
  score: hit.score,
  rankedBy: hit.rankedBy,
  scores: hit.scores,
  level: hit.level?.key ?? null,
})

async function compareOne(
  deps: Deps,
  pair: ComparedPair,
  request: SearchRequest,
  [one, two]: readonly [SearchResult, SearchResult],
  { share, end }: { readonly share: number; readonly end: number },
): Promise<{ readonly rows: ComparedRow[]; readonly explained: number }> {
  const [a, b] = [one.hits.map(placed), two.hits.map(placed)]
  const rows: ComparedRow[] = []
  let explained = 0
  for (const row of alignHits(a, b)) {
    if (row.a !== null && row.b !== null) {
      rows.push({ ...row, why: reasonsOf(row, a, b) })
      continue
    }
    const other = row.a === null ? a : b
    const elsewhere = other.find(({ documentId }) => documentId === row.documentId)
    if (elsewhere !== undefined) rows.push({ ...row, why: [otherPassage(elsewhere, row.a === null)] })
    else if (explained >= share || performance.now() > end) rows.push({ ...row, why: [] })
    else {
      explained++
      const { domain } = row.a === null ? pair.a : pair.b
      const made = { request, result: row.a === null ? one : two }
      rows.push({ ...row, why: [await absence(deps, domain, made, row)] })
    }
  }
  return { rows, explained }
}

const otherPassage = ({ rank }: PlacedHit, isInA: boolean): Reason => ({
  code: 'OTHER_PASSAGE',
  en: `In ${isInA ? 'a' : 'b'} the document is hit ${rank} by another of its passages.`,
  zh: `该文档的另一段在 ${isInA ? 'a' : 'b'} 中排第 ${rank} 位。`,
})

/** Why a document is no hit of one of the two. */
async function absence(
  deps: Deps,
  domain: Domain,
  made: { readonly request: SearchRequest; readonly result: SearchResult },
  { documentId, a }: AlignedRow,
): Promise<Reason> {
  const { verdict, sentence, details } = await explainResult(deps, domain, made, documentId, {
    timeoutMs: EXPLAIN_MS,
  })
  const where = a === null ? 'a' : 'b'
  if (verdict === 'NOT_INGESTED' && domain.generationState !== 'live') {
    return {
      code: 'NOT_IN_GENERATION',
      en: `In ${where}: the document is not in generation ${domain.generationId} yet (${details.state}).`,
      zh: `在 ${where} 中：第 ${domain.generationId} 代尚无该文档（${details.state}）。`,
    }
  }
  return { code: verdict, en: `In ${where}: ${sentence.en}`, zh: `在 ${where} 中：${sentence.zh}` }
}

export interface ComparedSet {
  /** Golden runs, as their own listing has them. */
  readonly runs: { readonly a: Run; readonly b: Run }
  /** Null: a set of more than 200 questions is still being asked by workers. */
  readonly comparison: Comparison | null
}

/**
 * The golden set on both generations.
 * @throws CodedError those of `startRun`
 */
export async function compareSets(
  deps: Pick<Deps, 'db' | 'engine'>,
  { a, b }: ComparedPair,
  wishes: RunWishes,
): Promise<ComparedSet> {
  const begin = async ({ domain }: ComparedGeneration) => {
    try {
      return await startRun(deps, domain, { ...wishes, purpose: 'compare' })
    } catch (error) {
      throw error instanceof CodedError && error.code !== 'GOLDEN_EMPTY' ? saidOf(domain, error) : error
    }
  }
  const runs = { a: await begin(a), b: await begin(b) }
  const isOver = runs.a.state === 'finished' && runs.b.state === 'finished'
  return { runs, comparison: isOver ? await compareGolden(deps, runs.a, runs.b) : null }
}
