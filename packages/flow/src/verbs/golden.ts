import { randomUUID } from 'node:crypto'
import type { Engine } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  claimRun,
  clearGolden as clearRows,
  comparableOf,
  countGolden,
  type Db,
  deleteGolden as deleteRow,
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
  missingDocuments,
  type OwnedRun,
  putGolden,
  type ResultKind,
  type ResultRow,
  releaseRun,
  type Tx,
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
import {
  asRun,
  failRun,
  OWNED_SECONDS,
  planRun,
  QUESTIONS_AT_ONCE,
  type Run,
  type RunPurpose,
  type RunWishes,
  workOn,
} from '../golden/run.js'
import type { Log } from '../log.js'
import type { Settings } from '../settings.js'
import { type Domain, findDomainAt, unknownDomain } from './domains.js'
import { REJECTED_SHOWN } from './submit.js'

/** Questions in a set. */
export const QUESTIONS_MAX = 10_000

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

/**
 * Begins a run over the set as it is now. A small one is done when this resolves; of a larger one the state is `running`,
 * and a worker does it.
 * @throws CodedError GOLDEN_EMPTY, UNKNOWN_DOMAIN, those of `decideRetrieval`, and what the engine throws: the run has
 * failed then
 */
export async function startRun(
  deps: RunDeps,
  domain: Domain,
  wishes: RunWishes & { readonly purpose?: RunPurpose | undefined },
): Promise<Run> {
  const given = planRun(deps, domain, wishes)
  await requireQuestions(deps, domain)
  const row = await insertRun(deps.db, given)
  if (row === undefined) throw unknownDomain(domain.name)
  if (row.questions > QUESTIONS_AT_ONCE) return asRun(row)
  const run = { ...row, owner: given.owner.id, domainId: domain.id }
  try {
    await workOn(deps, domain, run)
  } catch (error) {
    // Whoever asked is told; nobody is to go on with it behind their back.
    await failRun(deps.db, run, error).catch(() => undefined)
    throw error
  }
  return getRun(deps, domain, String(row.id))
}

/** @throws CodedError GOLDEN_EMPTY */
export async function requireQuestions({ db }: Deps, domain: Domain): Promise<void> {
  if ((await countGolden(db, domain.id)) > 0) return
  throw new CodedError('GOLDEN_EMPTY', `The golden set of "${domain.name}" has no questions`, {
    hint: `POST /v1/domains/${domain.name}/golden adds some`,
  })
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
    const domain = await domainOf(deps, run)
    // Nobody holds a connection for it.
    const isOver = await workOn({ ...deps, priority: 'bulk' }, domain, run, signal)
    if (!isOver) await releaseRun(deps.db, run)
  } catch (error) {
    if (!(error instanceof CodedError) || error.retryable) throw error
    deps.log.warn({ err: error, run: run.id }, 'a golden run failed')
    await failRun(deps.db, run, error)
  }
}

/** At the generation of the run. @throws CodedError MODEL_CHANGED when that one has ended meanwhile */
async function domainOf(deps: Deps, run: OwnedRun): Promise<Domain> {
  try {
    return await findDomainAt(deps, run.domain, String(run.generationId))
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'UNKNOWN_GENERATION') throw error
    throw new CodedError('MODEL_CHANGED', 'The generation that the run was about has ended meanwhile', {
      hint: 'Run it again',
      cause: error,
    })
  }
}

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
