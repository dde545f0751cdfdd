import type { Db, Session } from '../connect.js'
import type { OpenHours, Outcome, RunCause } from './rows.js'

/** A run that is somebody's to work on. */
export interface OwnedScheduleRun {
  readonly id: number
  readonly owner: string
  readonly scheduleId: number
  readonly schedule: string
  /** Null: every domain. */
  readonly domainId: number | null
  readonly action: Readonly<Record<string, unknown>>
  readonly opens: OpenHours | null
  readonly tokensAnHour: number | null
  readonly cause: RunCause
  readonly startedAt: Date
  readonly progress: Readonly<Record<string, unknown>>
  readonly cost: Readonly<Record<string, number>>
  readonly stopping: boolean
  readonly heldBy: string | null
}

/** Owners that a run may have had without getting on; then it is what kills them. */
export const SCHEDULE_ATTEMPTS_MAX = 5

/**
 * Takes the oldest run that nobody owns, or whose owner has not been heard of, and that waits for nothing. One that had
 * too many owners without getting on fails instead. Undefined when there is none.
 */
export async function claimScheduleRun(
  db: Db,
  by: { readonly owner: string; readonly seconds: number; readonly now: Date },
): Promise<OwnedScheduleRun | undefined> {
  const open = await db.query('select 1 from millrace.schedule_runs where outcome is null limit 1')
  if (open.length === 0) return undefined
  return db.transact(async (tx) => {
    const dead = await tx.query<{ scheduleId: number }>(
      `update millrace.schedule_runs set
         outcome = 'failed', finished_at = $2, error_code = 'RUN_FAILED',
         error_message = format('It broke off %s times at the same step', attempts)
       where outcome is null and owned_until < now() and attempts >= $1 returning schedule_id as "scheduleId"`,
      [SCHEDULE_ATTEMPTS_MAX, by.now],
    )
    if (dead.length > 0) {
      await tx.query('update millrace.schedules set failed = failed + 1 where id = any($1)', [
        dead.map(({ scheduleId }) => scheduleId),
      ])
    }
    const rows = await tx.query<OwnedScheduleRun>(
      `with due as (
         select id from millrace.schedule_runs
         where outcome is null and owned_until < now() and (held_until is null or held_until <= $3)
         order by coalesce(held_until, started_at), id limit 1 for update skip locked
       )
       update millrace.schedule_runs r set
         owner = $1, owned_until = now() + make_interval(secs => $2), attempts = r.attempts + 1
       from due, millrace.schedules s
       where r.id = due.id and s.id = r.schedule_id
       returning r.id, r.owner, s.id as "scheduleId", s.name as schedule, s.domain_id as "domainId", s.action, s.opens,
         s.tokens_an_hour as "tokensAnHour", r.cause, r.started_at as "startedAt", r.progress, r.cost, r.stopping,
         r.held_by as "heldBy"`,
      [by.owner, by.seconds, by.now],
    )
    return rows[0]
  })
}

type Mine = Pick<OwnedScheduleRun, 'id' | 'owner'>

/** The owner lives. Null when it is not its run any more, else whether it is to stop. */
export async function renewScheduleRun(
  on: Session,
  run: Mine,
  seconds: number,
): Promise<{ readonly stopping: boolean } | null> {
  const rows = await on.query<{ stopping: boolean }>(
    `update millrace.schedule_runs set owned_until = now() + make_interval(secs => $3)
     where id = $1 and owner = $2 and outcome is null returning stopping`,
    [run.id, run.owner, seconds],
  )
  return rows[0] ?? null
}

export interface Step {
  readonly progress: Readonly<Record<string, unknown>>
  readonly cost: Readonly<Record<string, number>>
  readonly seconds: number
}

/** Keeps how far a run has come, and that its owner lives; the answers are those of `renewScheduleRun`. */
export async function storeStep(
  on: Session,
  run: Mine,
  { progress, cost, seconds }: Step,
): Promise<{ readonly stopping: boolean } | null> {
  const rows = await on.query<{ stopping: boolean }>(
    `update millrace.schedule_runs set
       progress = $3, cost = $4, attempts = 1, held_until = null, held_by = null,
       owned_until = now() + make_interval(secs => $5)
     where id = $1 and owner = $2 and outcome is null returning stopping`,
    [run.id, run.owner, JSON.stringify(progress), JSON.stringify(cost), seconds],
  )
  return rows[0] ?? null
}

/** Gives a run back until `until`; `failed`: it did not get on, which counts. A run that is to stop waits for nothing. */
export async function holdScheduleRun(
  on: Session,
  run: Mine,
  held: {
    readonly until: Date | null
    readonly by: string | null
    readonly failed?: boolean
    /** It stops, and waits for what it began to do so too. */
    readonly stops?: boolean
  },
): Promise<void> {
  await on.query(
    `update millrace.schedule_runs set
       owned_until = '-infinity', owner = null, held_until = case when stopping and not $6::boolean then null else $3::timestamptz end,
       held_by = $4, attempts = case when $5 then attempts else 0 end
     where id = $1 and owner = $2 and outcome is null`,
    [run.id, run.owner, held.until, held.by, held.failed === true, held.stops === true],
  )
}

export interface RunEnd {
  readonly outcome: Exclude<Outcome, 'skipped'>
  readonly now: Date
  readonly cost: Readonly<Record<string, number>>
  readonly summary: string | null
  readonly alarm?: string | null
  readonly error?: { readonly code: string; readonly message: string } | null
}

/** False when it is not its owner's any more. */
export function endScheduleRun(
  db: Db,
  run: Mine & { readonly scheduleId: number },
  end: RunEnd,
): Promise<boolean> {
  return db.transact(async (tx) => {
    const ended = await tx.query(
      `update millrace.schedule_runs set
         outcome = $3, finished_at = $4, cost = $5, summary = $6, alarm = $7, error_code = $8, error_message = $9,
         owner = null, held_until = null, held_by = null, progress = '{}'
       where id = $1 and owner = $2 and outcome is null returning 1`,
      [
        run.id,
        run.owner,
        end.outcome,
        end.now,
        JSON.stringify(end.cost),
        end.summary,
        end.alarm ?? null,
        end.error?.code ?? null,
        end.error?.message ?? null,
      ],
    )
    if (ended.length === 0) return false
    const counter = { done: 'done', failed: 'failed', stopped: 'stopped' }[end.outcome]
    await tx.query(`update millrace.schedules set ${counter} = ${counter} + 1 where id = $1`, [
      run.scheduleId,
    ])
    return true
  })
}

export interface ScheduleAlarm {
  readonly schedule: string
  readonly domain: string | null
  readonly alarm: string
  readonly at: Date
}

/** Schedules whose last finished run found something wrong, or failed; not of those that were paused or changed since. */
export const listAlarms = (on: Session): Promise<ScheduleAlarm[]> =>
  on.query<ScheduleAlarm>(
    `select s.name as schedule, d.name as domain, r.finished_at as at,
       coalesce(r.alarm, r.error_code || ': ' || r.error_message) as alarm
     from millrace.schedules s left join millrace.domains d on d.id = s.domain_id
     cross join lateral (
       select * from millrace.schedule_runs
       where schedule_id = s.id and outcome in ('done', 'failed') order by id desc limit 1
     ) r
     where (r.alarm is not null or r.outcome = 'failed') and not s.paused
       and r.id > s.settled_run order by s.name limit 100`,
  )

export interface RunCounts {
  readonly schedule: string
  readonly done: number
  readonly failed: number
  readonly stopped: number
  readonly skipped: number
  readonly atWork: number
}

export const countScheduleRuns = (on: Session): Promise<RunCounts[]> =>
  on.query<RunCounts>(
    `select name as schedule, done, failed, stopped, skipped,
       (select count(*)::int from millrace.schedule_runs r where r.schedule_id = s.id and r.outcome is null) as "atWork"
     from millrace.schedules s order by name`,
  )

/** The names of a run's domains, in the order of their ids. */
export const domainsOf = (on: Session, domainId: number | null): Promise<{ id: number; name: string }[]> =>
  on.query('select id, name from millrace.domains where $1::bigint is null or id = $1 order by id', [
    domainId,
  ])

/** How far a submission has come that a run waits for; undefined: it is gone. */
export async function ingestionEnd(
  on: Session,
  id: number,
): Promise<{ isOver: boolean; ready: number; failed: number; tokens: number; texts: number } | undefined> {
  const rows = await on.query<{
    isOver: boolean
    ready: number
    failed: number
    tokens: number
    texts: number
  }>(
    `select state <> 'running' as "isOver", ready, failed, tokens_embedded as tokens, chunks_embedded as texts
     from millrace.ingestions where id = $1`,
    [id],
  )
  return rows[0]
}
