import { codeOf } from '@millrace/errors'
import { type Db, one, type Session, type Tx } from '../connect.js'
import { type LeftPaused, leavePaused } from '../generations/pause.js'

export type Outcome = 'done' | 'failed' | 'stopped' | 'skipped'
/** tick: it was due. missed: it was due while nobody was there. now: somebody asked for it. */
export type RunCause = 'tick' | 'missed' | 'now'

/** When work may be done: from one time of day to another, which may be on the next day. */
export interface OpenHours {
  readonly from: string
  readonly to: string
  readonly timeZone: string
}

export interface NewSchedule {
  readonly name: string
  /** Null: every domain. */
  readonly domainId: number | null
  readonly action: Readonly<Record<string, unknown>>
  readonly cron: string | null
  readonly everySeconds: number | null
  readonly timeZone: string
  readonly paused: boolean
  readonly opens: OpenHours | null
  readonly tokensAnHour: number | null
  readonly nextAt: Date
  readonly createdAt: Date
}

export interface ScheduleRow extends NewSchedule {
  readonly id: number
  readonly domain: string | null
  readonly done: number
  readonly failed: number
  readonly stopped: number
  readonly skipped: number
  readonly updatedAt: Date
  /** The youngest run that was not skipped. */
  readonly last: ScheduleRunRow | null
}

export interface ScheduleRunRow {
  readonly id: number
  readonly cause: RunCause
  readonly dueAt: Date
  readonly startedAt: Date
  readonly finishedAt: Date | null
  /** Null: at work. */
  readonly outcome: Outcome | null
  readonly ticks: number
  readonly cost: Readonly<Record<string, number>>
  readonly summary: string | null
  readonly alarm: string | null
  readonly errorCode: string | null
  readonly errorMessage: string | null
  readonly heldUntil: Date | null
  readonly heldBy: string | null
}

/** Runs of a schedule that are kept. */
export const SCHEDULE_RUNS_KEPT = 100
export const SCHEDULES_MAX = 1_000

const RUN = `id, cause, due_at as "dueAt", started_at as "startedAt", finished_at as "finishedAt", outcome, ticks, cost,
  summary, alarm, error_code as "errorCode", error_message as "errorMessage", held_until as "heldUntil", held_by as "heldBy"`

const COLUMNS = `s.id, s.name, s.domain_id as "domainId", d.name as domain, s.action, s.cron,
  s.every_seconds as "everySeconds", s.time_zone as "timeZone", s.paused, s.opens, s.tokens_an_hour as "tokensAnHour",
  s.next_at as "nextAt", s.done, s.failed, s.stopped, s.skipped, s.created_at as "createdAt", s.updated_at as "updatedAt",
  to_jsonb(r) as last`
const FROM = `millrace.schedules s left join millrace.domains d on d.id = s.domain_id
  left join lateral (
    select ${RUN} from millrace.schedule_runs
    where schedule_id = s.id and outcome is distinct from 'skipped' order by id desc limit 1
  ) r on true`

type Raw = Omit<ScheduleRow, 'last'> & { readonly last: RawRun | null }
type RawRun = Omit<ScheduleRunRow, 'dueAt' | 'startedAt' | 'finishedAt' | 'heldUntil'> & {
  readonly dueAt: string
  readonly startedAt: string
  readonly finishedAt: string | null
  readonly heldUntil: string | null
}

const dateOf = (text: string | null): Date | null => (text === null ? null : new Date(text))
const rowOf = ({ last, ...row }: Raw): ScheduleRow => ({
  ...row,
  last:
    last === null
      ? null
      : {
          ...last,
          dueAt: new Date(last.dueAt),
          startedAt: new Date(last.startedAt),
          finishedAt: dateOf(last.finishedAt),
          heldUntil: dateOf(last.heldUntil),
        },
})

/** In the order of their names. */
export const listSchedules = async (on: Session): Promise<ScheduleRow[]> =>
  (await on.query<Raw>(`select ${COLUMNS} from ${FROM} order by s.name`)).map(rowOf)

export async function getSchedule(
  on: Session,
  by: { readonly id: number } | { readonly name: string },
): Promise<ScheduleRow | undefined> {
  const [column, value] = 'id' in by ? ['id', by.id] : ['name', by.name]
  const found = await on.query<Raw>(`select ${COLUMNS} from ${FROM} where s.${column} = $1`, [value])
  return found.map(rowOf)[0]
}

export async function countSchedules(on: Session): Promise<number> {
  return one(
    await on.query<{ count: number }>('select count(*)::int as count from millrace.schedules'),
    'count',
  ).count
}

/** Postgres's unique_violation and foreign_key_violation. */
const TAKEN = '23505'
const NO_PARENT = '23503'
export type Refused = 'taken' | 'no domain'
const refused = (error: unknown): Refused => {
  const code = codeOf(error)
  if (code === TAKEN) return 'taken'
  if (code === NO_PARENT) return 'no domain'
  throw error
}

export async function insertSchedule(db: Db, given: NewSchedule): Promise<ScheduleRow | Refused> {
  try {
    const rows = await db.query<{ id: number }>(
      `insert into millrace.schedules
         (name, domain_id, action, cron, every_seconds, time_zone, paused, opens, tokens_an_hour, next_at, created_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning id`,
      [given.name, ...valuesOf(given), given.nextAt, given.createdAt],
    )
    const { id } = one(rows, 'the new schedule')
    return (await getSchedule(db, { id })) ?? 'no domain'
  } catch (error) {
    return refused(error)
  }
}

const valuesOf = (given: Omit<NewSchedule, 'name' | 'nextAt' | 'createdAt'>) => [
  given.domainId,
  JSON.stringify(given.action),
  given.cron,
  given.everySeconds,
  given.timeZone,
  given.paused,
  given.opens === null ? null : JSON.stringify(given.opens),
  given.tokensAnHour,
]

/**
 * False when it is gone. A run at work looks anew at its limits, and ends at its next step where something `other` is to
 * be done: how far it has come says nothing about that.
 */
export async function updateSchedule(
  db: Db,
  id: number,
  given: Omit<NewSchedule, 'createdAt'> & { readonly other: boolean },
): Promise<boolean | Refused> {
  try {
    return await db.transact(async (tx) => {
      const rows = await tx.query(
        `update millrace.schedules set
           name = $2, domain_id = $3, action = $4, cron = $5, every_seconds = $6, time_zone = $7, paused = $8,
           opens = $9, tokens_an_hour = $10, next_at = $11, updated_at = now(),
           settled_run = case when not $12::boolean then settled_run
             else coalesce((select max(r.id) from millrace.schedule_runs r where r.schedule_id = $1), 0) end
         where id = $1 returning 1`,
        [id, given.name, ...valuesOf(given), given.nextAt, given.other],
      )
      await tx.query(
        `update millrace.schedule_runs set stopping = stopping or $2,
           held_until = case when held_by in ('window', 'tokens') or $2 then null else held_until end
         where schedule_id = $1 and outcome is null`,
        [id, given.other],
      )
      return rows.length > 0
    })
  } catch (error) {
    return refused(error)
  }
}

/** What it was building stays, paused; returned is what that is. */
export function deleteSchedule(db: Db, id: number): Promise<LeftPaused[]> {
  return db.transact(async (tx) => {
    const left = await leavePaused(tx, id)
    await tx.query('delete from millrace.schedules where id = $1', [id])
    return left
  })
}

/** Pausing ends what is at work at its next step. */
export function pauseSchedule(
  db: Db,
  id: number,
  to: { readonly paused: boolean; readonly nextAt: Date },
): Promise<void> {
  return db.transact(async (tx) => {
    await tx.query(
      'update millrace.schedules set paused = $2, next_at = $3, updated_at = now() where id = $1',
      [id, to.paused, to.nextAt],
    )
    if (!to.paused) return
    await tx.query(
      `update millrace.schedule_runs set stopping = true, held_until = null where schedule_id = $1 and outcome is null`,
      [id],
    )
  })
}

/** Schedules whose time has come, the longest due first. */
export const listDue = async (on: Session, now: Date): Promise<ScheduleRow[]> =>
  (
    await on.query<Raw>(
      `select ${COLUMNS} from ${FROM} where not s.paused and s.next_at <= $1 order by s.next_at, s.id limit 100`,
      [now],
    )
  ).map(rowOf)

/**
 * Takes a tick: one caller alone, however many saw that it was due. It begins a run, or, where the one before is at work,
 * counts it as skipped. Undefined: somebody else had it, or it is paused or gone.
 */
export function takeTick(
  db: Db,
  schedule: { readonly id: number; readonly nextAt: Date },
  tick: { readonly now: Date; readonly nextAt: Date; readonly cause: 'tick' | 'missed' },
): Promise<'begun' | 'skipped' | undefined> {
  return db.transact(async (tx) => {
    const mine = await tx.query(
      `update millrace.schedules set next_at = $3 where id = $1 and next_at = $2 and not paused returning 1`,
      [schedule.id, schedule.nextAt, tick.nextAt],
    )
    if (mine.length === 0) return undefined
    const run = { ...tick, scheduleId: schedule.id, dueAt: schedule.nextAt }
    if ((await beginRun(tx, run)) !== undefined) return 'begun'
    await skipTick(tx, run)
    return 'skipped'
  })
}

/** A run that somebody asked for; undefined while one is at work, or when the schedule is gone. */
export function runNow(db: Db, scheduleId: number, now: Date): Promise<number | undefined> {
  return db.transact(async (tx) => {
    const held = await tx.query('select 1 from millrace.schedules where id = $1 for no key update', [
      scheduleId,
    ])
    return held.length === 0 ? undefined : beginRun(tx, { scheduleId, dueAt: now, now, cause: 'now' })
  })
}

interface Begun {
  readonly scheduleId: number
  readonly dueAt: Date
  readonly now: Date
  readonly cause: RunCause
}

/** The caller has locked the schedule. */
async function beginRun(tx: Tx, { scheduleId, dueAt, now, cause }: Begun): Promise<number | undefined> {
  const begun = await tx.query<{ id: number }>(
    `insert into millrace.schedule_runs (schedule_id, cause, due_at, started_at)
     select $1::bigint, $2::text, $3::timestamptz, $4::timestamptz
     where not exists (select 1 from millrace.schedule_runs where schedule_id = $1 and outcome is null)
     returning id`,
    [scheduleId, cause, dueAt, now],
  )
  if (begun.length > 0) await forgetRuns(tx, scheduleId)
  return begun[0]?.id
}

/** Ticks that are skipped one after the other are one row: they would leave no room for runs. */
async function skipTick(tx: Tx, { scheduleId, dueAt, now, cause }: Begun): Promise<void> {
  await tx.query('update millrace.schedules set skipped = skipped + 1 where id = $1', [scheduleId])
  const counted = await tx.query(
    `update millrace.schedule_runs set ticks = ticks + 1, finished_at = $2
     where id = (select max(id) from millrace.schedule_runs where schedule_id = $1) and outcome = 'skipped' returning 1`,
    [scheduleId, now],
  )
  if (counted.length > 0) return
  await tx.query(
    `insert into millrace.schedule_runs (schedule_id, cause, due_at, started_at, finished_at, outcome, summary)
     values ($1, $2, $3, $4, $4, 'skipped', 'the run before was still at work')`,
    [scheduleId, cause, dueAt, now],
  )
  await forgetRuns(tx, scheduleId)
}

const forgetRuns = (tx: Tx, scheduleId: number) =>
  tx.query(
    `delete from millrace.schedule_runs where id in (
       select id from millrace.schedule_runs where schedule_id = $1 and outcome is not null
       order by id desc offset $2
     )`,
    [scheduleId, SCHEDULE_RUNS_KEPT - 1],
  )

/** Newest first, those before `before`. */
export const listScheduleRuns = (
  on: Session,
  scheduleId: number,
  page: { readonly before?: number | undefined; readonly limit: number },
): Promise<ScheduleRunRow[]> =>
  on.query<ScheduleRunRow>(
    `select ${RUN} from millrace.schedule_runs
     where schedule_id = $1 and ($2::bigint is null or id < $2) order by id desc limit $3`,
    [scheduleId, page.before ?? null, page.limit],
  )

export async function getScheduleRun(on: Session, id: number): Promise<ScheduleRunRow | undefined> {
  return (await on.query<ScheduleRunRow>(`select ${RUN} from millrace.schedule_runs where id = $1`, [id]))[0]
}

/** True for one caller every `everySeconds`, whichever process it is in. */
export async function takeSchedules(db: Db, everySeconds: number): Promise<boolean> {
  const rows = await db.query(
    `update millrace.roles set until = now() + make_interval(secs => $1)
     where name = 'schedule' and until <= now() returning 1`,
    [everySeconds],
  )
  return rows.length > 0
}
