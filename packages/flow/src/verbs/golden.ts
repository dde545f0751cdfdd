import { randomUUID } from 'node:crypto'
import type { Engine } from '@millrace/embed'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import {
  claimRun,
  clearGolden as clearRows,
  comparableOf,
  countGolden,
  type Db,
  deleteGolden as deleteRow,
  endRun,
  type GoldenQuestion,
  type GoldenWritten,
  getRun as getRow,
  goldenByHash,
  insertRun,
  listGolden as listQuestions,
  listResults as listResultRows,
  listRuns as listRows,
  lockSet,
  type MissingDocument,
  measuredOf,
  missingDocuments,
  type NewResult,
  nextQuestions,
  type OwnedRun,
  putGolden,
  type ResultKind,
  type ResultRow,
  type RunRow,
  releaseRun,
  storeResults,
  type Tx,
  type WaitingQuestion,
} from '@millrace/store'
import type { Rejection } from '../accept.js'
import { numberOf, readNumber, readText, writeText } from '../cursor.js'
import { isExternal, needsVectors } from '../external.js'
import {
  type AcceptOptions,
  type GivenQuestion,
  type SortedQuestions,
  sortQuestions,
} from '../golden/accept.js'
import { type Comparison, compareRuns } from '../golden/compare.js'
import { refuseFilters } from '../golden/filters.js'
import { gradeOf, MISS } from '../golden/grade.js'
import { DEPTH } from '../golden/metrics.js'
import { type RunReport, reportOf } from '../golden/report.js'
import {
  decideRetrieval,
  type RetrievalSettings,
  type RetrievalWishes,
  type Retrieve,
  type Retrieved,
  retrieverOf,
} from '../golden/retrieve.js'
import type { Log } from '../log.js'
import type { Settings } from '../settings.js'
import { type Domain, findDomain, unknownDomain } from './domains.js'
import { REJECTED_SHOWN } from './submit.js'

/** Questions in a set. */
export const QUESTIONS_MAX = 10_000
/** Up to so many a run is answered when it is done; a larger one goes on in a worker. */
export const QUESTIONS_AT_ONCE = 200
/** Embedded together and searched in one statement, which on PGlite nobody can interrupt. */
const SLICE = 32
/** How far a missed document is looked for. */
const MISSED_DEPTH = 100
/** Hits that a miss shows instead. */
const INSTEAD = 3
/** Without a sign of life for so long a run is somebody else's: far more than a slice takes. */
const OWNED_SECONDS = 60

interface Deps {
  readonly db: Db
}
interface RunDeps extends Deps {
  readonly engine: Engine
}

export interface GoldenSubmission extends GoldenWritten {
  readonly accepted: number
  readonly rejected: readonly Rejection[]
  readonly rejectedTotal: number
  /** Questions that were taken and expect a document that is not there; the first of them. */
  readonly missing: readonly MissingDocument[]
  readonly missingTotal: number
}

/**
 * Adds questions to a domain's set: over those with the same id, or asking the same, or over all of it; with `keep`
 * beside the documents that the same question has.
 * @throws CodedError NO_QUESTIONS when not one is acceptable, TOO_MANY_QUESTIONS, DOMAIN_NEEDS_VECTORS, UNKNOWN_DOMAIN;
 * nothing is written then
 */
export async function addGolden(
  { db, settings }: Deps & { readonly settings: Pick<Settings, 'limits'> },
  domain: Domain,
  given: readonly GivenQuestion[],
  options: { readonly replace: boolean; readonly merge: boolean; readonly keep?: boolean },
): Promise<GoldenSubmission> {
  requireModel(domain)
  const accept = { limits: settings.limits, cleaning: domain.recipe.cleaning.steps, merge: options.merge }
  const checked = await refuseFilters({ db }, given)
  const sorted = sortQuestions(checked, accept)
  requireSome(given, sorted)
  const { sort, written } = await db.transact(async (tx) => {
    const sort = options.keep === true ? await besideThere(tx, domain, checked, accept, sorted) : sorted
    const written = await putGolden(tx, domain.id, sort.accepted, options.replace)
    if (written === undefined) throw unknownDomain(domain.name)
    if (written.total > QUESTIONS_MAX) throw tooMany(written.total)
    return { sort, written }
  })
  const hashes = sort.accepted.map(({ hash }) => hash)
  const { missing, total } = await missingDocuments(db, domain.id, hashes, REJECTED_SHOWN)
  return {
    accepted: sort.accepted.length,
    ...written,
    rejected: sort.rejected.slice(0, REJECTED_SHOWN),
    rejectedTotal: sort.rejected.length,
    missing,
    missingTotal: total,
  }
}

/** @throws CodedError NO_QUESTIONS, TOO_MANY_QUESTIONS */
function requireSome(given: readonly GivenQuestion[], { accepted, rejected }: SortedQuestions): void {
  if (accepted.length > QUESTIONS_MAX) throw tooMany(accepted.length)
  if (accepted.length > 0) return
  throw new CodedError(
    'NO_QUESTIONS',
    given.length === 0 ? 'There are no questions' : `Not one of ${given.length} questions can be accepted`,
    {
      hint: 'Send a question with the id of the document that answers it',
      details: { rejected: rejected.slice(0, REJECTED_SHOWN) },
    },
  )
}

/** The questions with what the set has of them; nobody else writes it meanwhile. */
async function besideThere(
  tx: Tx,
  domain: Domain,
  given: readonly GivenQuestion[],
  accept: AcceptOptions,
  { accepted }: SortedQuestions,
): Promise<SortedQuestions> {
  if (!(await lockSet(tx, domain.id))) throw unknownDomain(domain.name)
  const there = await goldenByHash(
    tx,
    domain.id,
    accepted.map(({ hash }) => hash),
  )
  const sorted = sortQuestions(given, { ...accept, there })
  requireSome(given, sorted)
  return sorted
}

const tooMany = (questions: number) =>
  new CodedError(
    'TOO_MANY_QUESTIONS',
    `The set would have ${questions} questions, the limit is ${QUESTIONS_MAX}`,
    { hint: 'Send fewer, or replace the set', details: { questions, limit: QUESTIONS_MAX } },
  )

function requireModel(domain: Domain): void {
  if (isExternal(domain)) {
    throw needsVectors(domain.name, 'A golden set needs a model that reads its questions')
  }
}

export interface GoldenPage {
  readonly questions: readonly GoldenQuestion[]
  readonly total: number
  readonly cursor: string | null
}

/** @throws CodedError INVALID_CURSOR */
export async function listGolden(
  { db }: Deps,
  domain: Domain,
  page: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<GoldenPage> {
  const after = page.cursor === undefined ? undefined : readText(page.cursor)
  const rows = await listQuestions(db, domain.id, { after, limit: page.limit + 1 })
  const questions = rows.slice(0, page.limit)
  const last = questions.at(-1)
  const more = rows.length > page.limit && last !== undefined
  const cursor = more ? writeText(last.externalId) : null
  return { questions, total: await countGolden(db, domain.id), cursor }
}

/** @throws CodedError UNKNOWN_QUESTION */
export async function deleteGolden({ db }: Deps, domain: Domain, id: string): Promise<void> {
  const isStorable = !id.includes('\0') && id.isWellFormed()
  if (isStorable && (await deleteRow(db, domain.id, id))) return
  throw new CodedError('UNKNOWN_QUESTION', `The golden set of "${domain.name}" has no question "${id}"`, {
    hint: `GET /v1/domains/${domain.name}/golden lists them`,
    details: { id },
  })
}

export const clearGolden = ({ db }: Deps, domain: Domain): Promise<number> => clearRows(db, domain.id)

export interface RunWishes extends RetrievalWishes {
  /** How many hits count. Nothing is cut by the threshold: what it would cut is counted. */
  readonly k: number
  readonly note?: string | null | undefined
}

export interface RunSettings extends RetrievalSettings {
  readonly k: number
}

export interface Run extends Omit<RunRow, 'metrics' | 'settings'> {
  readonly settings: RunSettings
  /** Null until it has finished. */
  readonly report: RunReport | null
}

/** Only what reportOf and startRun wrote is ever stored. */
const asRun = ({ metrics, settings, ...row }: RunRow): Run => ({
  ...row,
  settings: settings as unknown as RunSettings,
  report: metrics as RunReport | null,
})

/**
 * Begins a run over the set as it is now. A small one is done when this resolves; of a larger one the state is `running`,
 * and a worker does it.
 * @throws CodedError GOLDEN_EMPTY, UNKNOWN_DOMAIN, those of `decideRetrieval`, and what the engine throws: the run has
 * failed then
 */
export async function startRun(deps: RunDeps, domain: Domain, wishes: RunWishes): Promise<Run> {
  const { settings, levels } = decideRetrieval(deps, domain, wishes)
  if ((await countGolden(deps.db, domain.id)) === 0) {
    throw new CodedError('GOLDEN_EMPTY', `The golden set of "${domain.name}" has no questions`, {
      hint: `POST /v1/domains/${domain.name}/golden adds some`,
    })
  }
  const owner = randomUUID()
  const row = await insertRun(deps.db, {
    domainId: domain.id,
    generationId: domain.generationId,
    settings: { k: wishes.k, ...settings },
    model: domain.model,
    recipeHash: domain.recipeHash,
    levels: levels.map(({ key }) => key),
    note: wishes.note ?? null,
    owner: { id: owner, seconds: OWNED_SECONDS, upTo: QUESTIONS_AT_ONCE },
  })
  if (row === undefined) throw unknownDomain(domain.name)
  if (row.questions > QUESTIONS_AT_ONCE) return asRun(row)
  const run = { ...row, owner, domainId: domain.id }
  try {
    await finish(deps.db, run, retrieverOf(deps, domain, settings))
  } catch (error) {
    // Whoever asked is told; nobody is to go on with it behind their back.
    await fail(deps.db, run, error).catch(() => undefined)
    throw error
  }
  return getRun(deps, domain, String(row.id))
}

/**
 * Goes on with runs that nobody works on, to their end: large ones that were just begun, and those whose process died.
 * What may pass (an engine that died, a database that is away) is thrown, and leaves a run to be taken up again.
 */
export async function continueRuns(
  deps: RunDeps & { readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const run = await claimRun(deps.db, { owner: randomUUID(), seconds: OWNED_SECONDS })
    if (run === undefined) return
    await continueRun(deps, run, signal)
  }
}

async function continueRun(
  deps: RunDeps & { readonly log: Log },
  run: OwnedRun,
  signal: AbortSignal,
): Promise<void> {
  try {
    const domain = await liveDomain(deps, run)
    const isOver = await finish(deps.db, run, retrieverOf(deps, domain, asRun(run).settings), signal)
    if (!isOver) await releaseRun(deps.db, run)
  } catch (error) {
    if (!(error instanceof CodedError) || error.retryable) throw error
    deps.log.warn({ err: error, run: run.id }, 'a golden run failed')
    await fail(deps.db, run, error)
  }
}

/** @throws CodedError MODEL_CHANGED when the domain has other vectors now than the run began with */
async function liveDomain(deps: Deps, run: OwnedRun): Promise<Domain> {
  const domain = await findDomain(deps, run.domain)
  if (domain.generationId === run.generationId) return domain
  throw new CodedError(
    'MODEL_CHANGED',
    'The vectors of the domain were made anew while the run was under way',
    {
      hint: 'Run it again',
    },
  )
}

const fail = (db: Db, run: OwnedRun, error: unknown) =>
  endRun(db, run, { code: codeOf(error), message: messageOf(error) })

/** Works on a run slice by slice; each is stored before the next. False when `signal` ended it before its end. */
async function finish(db: Db, run: OwnedRun, retrieve: Retrieve, signal?: AbortSignal): Promise<boolean> {
  const { k, threshold } = asRun(run).settings
  for (let after = 0; ; ) {
    if (signal?.aborted) return false
    const questions = await nextQuestions(db, run, after, SLICE)
    const last = questions.at(-1)
    if (last === undefined) break
    const { results, embedMs, searchMs } = await measure(questions, k, retrieve)
    const took = { embedMs, searchMs, ownedSeconds: OWNED_SECONDS }
    // Somebody else has it, or it is gone with its domain.
    if (!(await storeResults(db, run, results, took))) return true
    after = last.position
  }
  await endRun(db, run, { metrics: { ...reportOf(await measuredOf(db, run.id), run.levels, threshold) } })
  return true
}

const none = {
  ranks: [],
  score: null,
  scored: null,
  grade: null,
  top: null,
  errorCode: null,
  errorMessage: null,
}

/** Results of some questions; those whose document is not among the first hits are searched again, deeper. */
async function measure(questions: readonly WaitingQuestion[], k: number, retrieve: Retrieve) {
  const asked = questions.filter(({ documents, absent }) => absent.length < documents.length)
  const depth = Math.max(k, DEPTH)
  const first = await retrieve(asked, depth)
  const found = new Map(asked.map((question, n) => [question.position, first.results[n]]))
  const missed = depth >= MISSED_DEPTH ? [] : asked.filter((one) => isMissed(one, found.get(one.position)))
  const second = missed.length === 0 ? undefined : await retrieve(missed, MISSED_DEPTH)
  const deeper = new Map(missed.map(({ position }, n) => [position, second?.results[n]]))
  const results = questions.map((question) =>
    resultOf(question, k, {
      depth,
      first: found.get(question.position),
      deeper: deeper.get(question.position),
    }),
  )
  return {
    results,
    embedMs: first.tookMs.embed + (second?.tookMs.embed ?? 0),
    searchMs: first.tookMs.search + (second?.tookMs.search ?? 0),
  }
}

function resultOf(
  { position, absent, documents }: WaitingQuestion,
  k: number,
  found: {
    readonly depth: number
    readonly first: Retrieved | undefined
    readonly deeper: Retrieved | undefined
  },
): NewResult {
  const { first, deeper, depth } = found
  if (first === undefined) return { position, state: 'unmeasured', absent, ...none }
  if ('error' in first) {
    const { code, message } = first.error
    return { position, state: 'failed', absent, ...none, errorCode: code, errorMessage: message }
  }
  const graded = gradeOf(first.hits, documents, k)
  if (graded.grade !== MISS) return { position, state: 'ranked', absent, ...none, ...graded }
  const top = first.hits.slice(0, INSTEAD).map(instead)
  if (deeper === undefined || 'error' in deeper) {
    return { position, state: 'ranked', absent, ...none, ...graded, top }
  }
  const beyond = gradeOf(deeper.hits, documents, k)
  // A search that looks at more may rank otherwise (a reranker has more to choose from): the first list is what counts.
  const ranks = beyond.ranks.map((rank, n) => Math.max(rank, depth + 1 + n))
  return { position, state: 'ranked', absent, ...none, ...beyond, ranks, grade: MISS, top }
}

/** Every expected document that is there counts for nDCG, but what is looked for deeper is the first. */
const isMissed = ({ documents }: WaitingQuestion, one: Retrieved | undefined): boolean =>
  one !== undefined && 'hits' in one && !one.hits.some(({ documentId }) => documents.includes(documentId))

const instead = (hit: {
  readonly documentId: string
  readonly title: string | null
  readonly score: number
  readonly level: { readonly key: string } | null
}) => ({
  documentId: hit.documentId,
  title: hit.title,
  score: hit.score,
  level: hit.level?.key ?? null,
})

/** @throws CodedError UNKNOWN_RUN */
export async function getRun({ db }: Deps, domain: Domain, id: string): Promise<Run> {
  const number = numberOf(id)
  const row = number === undefined ? undefined : await getRow(db, domain.id, number)
  if (row !== undefined) return asRun(row)
  throw new CodedError(
    'UNKNOWN_RUN',
    `Domain "${domain.name}" has no run ${id.slice(0, 40).toWellFormed()}`,
    {
      hint: `GET /v1/domains/${domain.name}/golden/runs lists the last 100`,
    },
  )
}

export interface RunPage {
  readonly runs: readonly Run[]
  readonly cursor: string | null
}

/** Newest first. @throws CodedError INVALID_CURSOR */
export async function listRuns(
  { db }: Deps,
  domain: Domain,
  page: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<RunPage> {
  const before = page.cursor === undefined ? undefined : readNumber(page.cursor)
  const rows = await listRows(db, domain.id, { before, limit: page.limit + 1 })
  const runs = rows.slice(0, page.limit).map(asRun)
  return { runs, cursor: rows.length > page.limit ? String(runs.at(-1)?.id ?? '') : null }
}

export interface ResultPage {
  readonly results: readonly ResultRow[]
  readonly cursor: string | null
}

/** Questions of a run with what they came to. @throws CodedError INVALID_CURSOR */
export async function listResults(
  { db }: Deps,
  run: Pick<Run, 'id'>,
  page: { readonly only: ResultKind; readonly cursor?: string | undefined; readonly limit: number },
): Promise<ResultPage> {
  const after = page.cursor === undefined ? 0 : readNumber(page.cursor)
  const rows = await listResultRows(db, run.id, { kind: page.only, after, limit: page.limit + 1 })
  const results = rows.slice(0, page.limit)
  return { results, cursor: rows.length > page.limit ? String(results.at(-1)?.position ?? '') : null }
}

/** @throws CodedError RUN_NOT_FINISHED */
export async function compareGolden({ db }: Deps, before: Run, after: Run): Promise<Comparison> {
  const open = [before, after].find(({ state }) => state !== 'finished')
  if (open !== undefined) {
    throw new CodedError('RUN_NOT_FINISHED', `Run ${open.id} is ${open.state}: it cannot be compared`, {
      hint: open.state === 'running' ? 'Wait until it has finished' : 'Compare another one, or run it again',
    })
  }
  const [old, now] = await Promise.all([comparableOf(db, before.id), comparableOf(db, after.id)])
  return compareRuns(old, now)
}
