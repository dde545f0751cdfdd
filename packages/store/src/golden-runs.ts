import { type Db, one, type Session, type Tx } from './connect.js'
import { lockSet } from './golden.js'

export type RunState = 'running' | 'finished' | 'failed'
export interface RunRow {
  readonly id: number
  readonly domain: string
  readonly generationId: number
  readonly state: RunState
  readonly settings: Readonly<Record<string, unknown>>
  readonly model: string
  readonly recipeHash: string
  readonly levels: readonly string[]
  readonly note: string | null
  readonly questions: number
  readonly done: number
  readonly metrics: Readonly<Record<string, unknown>> | null
  readonly embedMs: number
  readonly searchMs: number
  readonly errorCode: string | null
  readonly errorMessage: string | null
  readonly startedAt: Date
  readonly finishedAt: Date | null
}

export interface NewRun {
  readonly domainId: number
  readonly generationId: number
  readonly settings: Readonly<Record<string, unknown>>
  readonly model: string
  readonly recipeHash: string
  readonly levels: readonly string[]
  readonly note: string | null
  /** Of a run with at most `upTo` questions; a larger one is nobody's. */
  readonly owner: { readonly id: string; readonly seconds: number; readonly upTo: number }
}

/** Runs of a domain that are kept. */
export const RUNS_KEPT = 100
/** Owners that a run may have had without getting on; then it is what kills them. */
export const RUN_ATTEMPTS_MAX = 5

const RUN_COLUMNS = `r.id, d.name as domain, r.generation_id as "generationId", r.state, r.settings, r.model,
  r.recipe_hash as "recipeHash", r.levels, r.note, r.questions, r.done, r.metrics, r.embed_ms as "embedMs",
  r.search_ms as "searchMs", r.error_code as "errorCode", r.error_message as "errorMessage",
  r.started_at as "startedAt", r.finished_at as "finishedAt"`
const RUN_FROM = 'millrace.golden_runs r join millrace.domains d on d.id = r.domain_id'

/** Writes a run with a copy of the set, and lets the oldest go; undefined when the domain is gone. */
export const insertRun = (db: Db, given: NewRun): Promise<RunRow | undefined> =>
  db.transact((tx) => addRun(tx, given))

/** The same within a transaction, so that several runs have the same set. */
export async function addRun(tx: Tx, given: NewRun): Promise<RunRow | undefined> {
  // The set does not change while it is copied, and two runs do not both count a hundred.
  if (!(await lockSet(tx, given.domainId))) return undefined
  const run = one(
    await tx.query<{ id: number }>(
      `insert into millrace.golden_runs
         (domain_id, generation_id, settings, model, recipe_hash, levels, note, questions, attempts, owner, owned_until)
       select $1, $2, $3, $4, $5, $6, $7, s.size, (s.size <= $8)::int, case when s.size <= $8 then $9::uuid end,
         case when s.size <= $8 then now() + make_interval(secs => $10) else '-infinity' end
       from (select count(*)::int as size from millrace.golden where domain_id = $1) s
       returning id`,
      [
        given.domainId,
        given.generationId,
        JSON.stringify(given.settings),
        given.model,
        given.recipeHash,
        given.levels,
        given.note,
        given.owner.upTo,
        given.owner.id,
        given.owner.seconds,
      ],
    ),
    'the new run',
  )
  await tx.query(
    `insert into millrace.golden_results
       (run_id, position, external_id, question, question_hash, filter, documents)
     select $2, row_number() over (order by external_id), external_id, question, question_hash, filter, documents
     from millrace.golden where domain_id = $1`,
    [given.domainId, run.id],
  )
  await tx.query(
    `delete from millrace.golden_runs where id in (
       select id from millrace.golden_runs where domain_id = $1 and state <> 'running'
       order by id desc offset $2
     )`,
    [given.domainId, RUNS_KEPT - 1],
  )
  return getRun(tx, given.domainId, run.id)
}

export async function getRun(on: Session, domainId: number, id: number): Promise<RunRow | undefined> {
  const rows = await on.query<RunRow>(
    `select ${RUN_COLUMNS} from ${RUN_FROM} where r.id = $2 and r.domain_id = $1`,
    [domainId, id],
  )
  return rows[0]
}

/** Newest first, those before `before`. */
export const listRuns = (
  on: Session,
  domainId: number,
  page: { readonly before?: number | undefined; readonly limit: number },
): Promise<RunRow[]> =>
  on.query<RunRow>(
    `select ${RUN_COLUMNS} from ${RUN_FROM}
     where r.domain_id = $1 and ($2::bigint is null or r.id < $2) order by r.id desc limit $3`,
    [domainId, page.before ?? null, page.limit],
  )

/** A run that is somebody's to work on. */
export interface OwnedRun extends RunRow {
  readonly owner: string
  readonly domainId: number
}

/**
 * Takes the oldest run that nobody owns, or whose owner has not been heard of. One that had too many owners without
 * getting on fails instead. Undefined when there is none.
 */
export async function claimRun(
  db: Db,
  { owner, seconds }: { readonly owner: string; readonly seconds: number },
): Promise<OwnedRun | undefined> {
  const rows = await db.query<OwnedRun>(
    `with due as (
       select id from millrace.golden_runs
       where state = 'running' and owned_until < now()
       order by id limit 1 for update skip locked
     ), taken as (
       update millrace.golden_runs r set
         owner = $1, owned_until = now() + make_interval(secs => $2), attempts = attempts + 1,
         state = case when attempts >= $3 then 'failed' else state end,
         finished_at = case when attempts >= $3 then now() end,
         error_code = case when attempts >= $3 then 'RUN_FAILED' end,
         error_message = case when attempts >= $3
           then format('Its process died %s times over the same questions', attempts) end
       from due where r.id = due.id
       returning r.*
     )
     select ${RUN_COLUMNS}, r.owner, r.domain_id as "domainId"
     from taken r join millrace.domains d on d.id = r.domain_id
     where r.state = 'running'`,
    [owner, seconds, RUN_ATTEMPTS_MAX],
  )
  return rows[0]
}

/** Why a document cannot be found whatever the search. */
export interface AbsentDocument {
  readonly documentId: string
  /** missing: no such document; not_ready: not published yet, `state` says why; empty: it has no chunk. */
  readonly reason: 'missing' | 'not_ready' | 'empty'
  readonly state?: string
}

export interface WaitingQuestion {
  readonly position: number
  readonly question: string
  readonly filter: Readonly<Record<string, unknown>>
  readonly documents: readonly string[]
  readonly absent: readonly AbsentDocument[]
}

/** The next questions of a run that have no result, in order. */
export const nextQuestions = (
  on: Session,
  run: Pick<OwnedRun, 'id' | 'domainId' | 'generationId'>,
  after: number,
  limit: number,
): Promise<WaitingQuestion[]> =>
  on.query<WaitingQuestion>(
    `select q.position, q.question, q.filter, q.documents, (
       select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
         'documentId', e.id,
         'reason', case when d.id is null then 'missing' when p.document_id is null then 'not_ready' else 'empty' end,
         'state', case when p.document_id is null then d.state end
       )) order by e.n), '[]')
       from unnest(q.documents) with ordinality as e (id, n)
       left join millrace.documents d on d.domain_id = $2 and d.external_id = e.id
       left join millrace.published p on p.document_id = d.id and p.generation_id = $3
       where p.document_id is null or not exists (
         select 1 from millrace.chunks c
         where c.document_id = d.id and c.generation_id = $3 and c.revision = p.revision
       )
     ) as absent
     from millrace.golden_results q
     where q.run_id = $1 and q.state = 'waiting' and q.position > $4
     order by q.position limit $5`,
    [run.id, run.domainId, run.generationId, after, limit],
  )

export interface ResultState {
  readonly state: 'ranked' | 'unmeasured' | 'failed'
  readonly absent: readonly AbsentDocument[]
  readonly ranks: readonly number[]
  readonly score: number | null
  readonly scored: string | null
  readonly grade: string | null
  readonly top: readonly Instead[] | null
  readonly errorCode: string | null
  readonly errorMessage: string | null
}
export interface Instead {
  readonly documentId: string
  readonly title: string | null
  readonly score: number
  readonly level: string | null
}
export interface NewResult extends ResultState {
  readonly position: number
}

/**
 * Writes results and says that the owner lives. False when the run is not its any more, or gone: nothing is written then,
 * and whoever has it now goes on.
 */
export function storeResults(
  db: Db,
  run: Pick<OwnedRun, 'id' | 'owner'>,
  results: readonly NewResult[],
  took: { readonly embedMs: number; readonly searchMs: number; readonly ownedSeconds: number },
): Promise<boolean> {
  return db.transact(async (tx) => {
    const mine = await tx.query(
      `update millrace.golden_runs set
         done = done + $3, embed_ms = embed_ms + $4, search_ms = search_ms + $5, attempts = 1,
         owned_until = now() + make_interval(secs => $6)
       where id = $1 and owner = $2 and state = 'running' returning 1`,
      [run.id, run.owner, results.length, took.embedMs, took.searchMs, took.ownedSeconds],
    )
    if (mine.length === 0) return false
    await tx.query(
      `update millrace.golden_results q set
         state = r.state, absent = r.absent, ranks = r.ranks, score = r.score, scored = r.scored, grade = r.grade,
         top = nullif(r.top, 'null'), error_code = r."errorCode", error_message = r."errorMessage"
       from jsonb_to_recordset($2::jsonb) as r (
         position int, state text, absent jsonb, ranks int[], score float8, scored text, grade text, top jsonb,
         "errorCode" text, "errorMessage" text
       )
       where q.run_id = $1 and q.position = r.position`,
      [run.id, JSON.stringify(results)],
    )
    return true
  })
}

/** Ends a run; false when it is not its owner's any more. */
export async function endRun(
  on: Session,
  run: Pick<OwnedRun, 'id' | 'owner'>,
  end:
    | { readonly metrics: Readonly<Record<string, unknown>> }
    | { readonly code: string; readonly message: string },
): Promise<boolean> {
  const isGood = 'metrics' in end
  const ended = await on.query(
    `update millrace.golden_runs set
       state = $3, metrics = $4, error_code = $5, error_message = $6, finished_at = now()
     where id = $1 and owner = $2 and state = 'running' returning 1`,
    [
      run.id,
      run.owner,
      isGood ? 'finished' : 'failed',
      isGood ? JSON.stringify(end.metrics) : null,
      isGood ? null : end.code,
      isGood ? null : end.message,
    ],
  )
  return ended.length > 0
}

/** Gives a run back, so that the next who looks goes on with it at once. */
export async function releaseRun(on: Session, run: Pick<OwnedRun, 'id' | 'owner'>): Promise<void> {
  await on.query(
    `update millrace.golden_runs set owned_until = '-infinity', attempts = greatest(attempts - 1, 0)
     where id = $1 and owner = $2 and state = 'running'`,
    [run.id, run.owner],
  )
}

export interface ResultRow extends ResultState {
  readonly position: number
  readonly externalId: string
  readonly question: string
  readonly filter: Readonly<Record<string, unknown>>
  readonly documents: readonly string[]
}

const RESULT_COLUMNS = `position, external_id as "externalId", question, filter, documents, state, absent, ranks, score,
  scored, grade, top, error_code as "errorCode", error_message as "errorMessage"`

export type ResultKind = 'all' | 'misses' | 'unmeasured'
const KINDS: Readonly<Record<ResultKind, string>> = {
  all: 'true',
  misses: `state = 'ranked' and grade = 'miss'`,
  unmeasured: `state in ('unmeasured', 'failed')`,
}

/** In the order of ids. */
export const listResults = (
  on: Session,
  runId: number,
  page: { readonly kind: ResultKind; readonly after: number; readonly limit: number },
): Promise<ResultRow[]> =>
  on.query<ResultRow>(
    `select ${RESULT_COLUMNS} from millrace.golden_results
     where run_id = $1 and position > $2 and ${KINDS[page.kind]} order by position limit $3`,
    [runId, page.after, page.limit],
  )

/** What metrics are made of. */
export interface Measured extends Pick<ResultState, 'state' | 'absent' | 'ranks' | 'score' | 'grade'> {
  readonly documents: number
}

export const measuredOf = (on: Session, runId: number): Promise<Measured[]> =>
  on.query<Measured>(
    `select state, absent, ranks, score, grade, cardinality(documents) as documents
     from millrace.golden_results where run_id = $1 order by position`,
    [runId],
  )

/** What two runs are compared by. */
export interface Comparable extends Measured {
  readonly id: string
  readonly question: string
  /** What is asked; and what is expected, in any order. */
  readonly asked: string
  readonly expected: string
}

export const comparableOf = (on: Session, runId: number): Promise<Comparable[]> =>
  on.query<Comparable>(
    `select external_id as id, question, encode(question_hash, 'hex') as asked,
       array_to_json(array(select unnest(documents) order by 1))::text as expected,
       state, absent, ranks, score, grade, cardinality(documents) as documents
     from millrace.golden_results where run_id = $1 order by position`,
    [runId],
  )
