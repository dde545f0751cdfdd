import { CodedError } from '@millrace/errors'
import {
  countSchedules,
  type Db,
  deleteSchedule as deleteRow,
  getSchedule as getRow,
  getScheduleRun,
  insertSchedule,
  type LeftPaused,
  listSchedules as listRows,
  listScheduleRuns as listRunRows,
  type NewSchedule,
  type OpenHours,
  pauseSchedule as pauseRow,
  runNow,
  SCHEDULES_MAX,
  type ScheduleRow,
  type ScheduleRunRow,
  updateSchedule,
} from '@millrace/store'
import { numberOf, readNumber } from '../cursor.js'
import type { Log } from '../log.js'
import type { Queues } from '../queue.js'
import { canonicalJson } from '../recipe.js'
import { type Action, readAction } from '../schedules/action.js'
import { badSchedule, shownValue } from '../schedules/refuse.js'
import { checkHours, checkWhen, nextTick, type When } from '../schedules/when.js'
import { findDomain, unknownDomain } from './domains.js'

export interface Schedule extends Omit<ScheduleRow, 'action'> {
  readonly action: Action
}

export interface ScheduleWishes {
  readonly name: string
  /** Null: every domain. */
  readonly domain?: string | null | undefined
  readonly action: Readonly<Record<string, unknown>>
  readonly cron?: string | null | undefined
  /** Seconds. */
  readonly every?: number | null | undefined
  readonly timeZone?: string | undefined
  readonly window?: Readonly<Record<string, unknown>> | null | undefined
  readonly tokensAnHour?: number | null | undefined
  readonly paused?: boolean | undefined
}
export type ScheduleChange = { readonly [K in keyof ScheduleWishes]?: ScheduleWishes[K] | undefined }

export interface SchedulesDeps {
  readonly db: Db
  readonly queues: Pick<Queues, 'ticks'>
  readonly log: Log
  readonly now: () => Date
}

/** Only what readAction gave is ever stored. */
const asSchedule = ({ action, ...row }: ScheduleRow): Schedule => ({
  ...row,
  action: action as unknown as Action,
})

/** @throws CodedError BAD_SCHEDULE, SCHEDULE_EXISTS, UNKNOWN_DOMAIN */
export async function createSchedule(deps: SchedulesDeps, wishes: ScheduleWishes): Promise<Schedule> {
  const now = deps.now()
  const when = checkWhen(wishes, now)
  const given: NewSchedule = {
    name: checkName(wishes.name),
    domainId: await domainOf(deps, wishes.domain),
    action: { ...readAction(wishes.action) },
    ...when,
    paused: wishes.paused ?? false,
    opens: hoursOf(wishes.window, when.timeZone),
    tokensAnHour: checkTokens(wishes.tokensAnHour),
    nextAt: nextTick(when, now, now),
    createdAt: now,
  }
  if ((await countSchedules(deps.db)) >= SCHEDULES_MAX) {
    throw badSchedule(
      `There are ${SCHEDULES_MAX} schedules already`,
      'Delete one, or let one do several domains',
    )
  }
  const made = await insertSchedule(deps.db, given)
  if (made === 'taken') throw exists(given.name)
  if (made === 'no domain') throw unknownDomain(wishes.domain ?? '')
  await tell(deps, made)
  return asSchedule(made)
}

const exists = (name: string) =>
  new CodedError('SCHEDULE_EXISTS', `There is a schedule "${name}" already`, {
    hint: 'Choose another name, or change that one with PATCH',
    details: { name },
  })

function checkName(name: string): string {
  if (/^[a-z][a-z0-9_-]{0,54}$/.test(name)) return name
  throw badSchedule(
    `A schedule cannot be named ${shownValue(name)}`,
    'A lower-case letter, then lower-case letters, digits, - and _, 55 characters at most',
    { name },
  )
}

async function domainOf(deps: SchedulesDeps, name: string | null | undefined): Promise<number | null> {
  return name == null ? null : (await findDomain(deps, name)).id
}

const hoursOf = (window: ScheduleWishes['window'], timeZone: string): OpenHours | null =>
  window == null ? null : checkHours(window, timeZone)

function checkTokens(tokens: number | null | undefined): number | null {
  if (tokens == null) return null
  if (Number.isInteger(tokens) && tokens >= 1 && tokens <= 1e12) return tokens
  throw badSchedule(`tokensAnHour is ${tokens}`, 'A whole number from 1 on; leave it out for any number', {
    tokensAnHour: tokens,
  })
}

/** The queue says sooner than the next look at the rows when it is due; without it that look does. */
async function tell({ queues, log }: SchedulesDeps, schedule: ScheduleRow): Promise<void> {
  const { paused, id, name } = schedule
  await (paused ? queues.ticks.remove(id) : queues.ticks.put(schedule)).catch((error: unknown) =>
    log.warn(
      { err: error, schedule: name },
      'the queue was not told of a schedule, the rows say when it is due',
    ),
  )
}

/** @throws CodedError UNKNOWN_SCHEDULE */
export async function findSchedule({ db }: Pick<SchedulesDeps, 'db'>, idOrName: string): Promise<Schedule> {
  const id = numberOf(idOrName)
  const isStorable = !idOrName.includes('\0') && idOrName.isWellFormed()
  const row = !isStorable ? undefined : await getRow(db, id === undefined ? { name: idOrName } : { id })
  if (row !== undefined) return asSchedule(row)
  const shown = idOrName.slice(0, 60).toWellFormed()
  throw new CodedError('UNKNOWN_SCHEDULE', `There is no schedule ${shown}`, {
    hint: 'GET /v1/schedules lists them; one goes with its domain',
    details: { id: shown },
  })
}

export const listSchedules = async ({ db }: Pick<SchedulesDeps, 'db'>): Promise<Schedule[]> =>
  (await listRows(db)).map(asSchedule)

/** @throws CodedError UNKNOWN_SCHEDULE, BAD_SCHEDULE, SCHEDULE_EXISTS, UNKNOWN_DOMAIN */
export async function changeSchedule(
  deps: SchedulesDeps,
  idOrName: string,
  change: ScheduleChange,
): Promise<Schedule> {
  const old = await findSchedule(deps, idOrName)
  const now = deps.now()
  const when = changedWhen(old, change, now)
  const isNew =
    when.cron !== old.cron || when.everySeconds !== old.everySeconds || when.timeZone !== old.timeZone
  const paused = change.paused ?? old.paused
  const isResumed = old.paused && !paused
  const action = change.action === undefined ? old.action : readAction(change.action)
  const domainId = change.domain === undefined ? old.domainId : await domainOf(deps, change.domain)
  const written = await updateSchedule(deps.db, old.id, {
    other: domainId !== old.domainId || canonicalJson(action) !== canonicalJson(old.action),
    name: change.name === undefined ? old.name : checkName(change.name),
    domainId,
    action: { ...action },
    ...when,
    paused,
    opens: change.window === undefined ? old.opens : hoursOf(change.window, when.timeZone),
    tokensAnHour: change.tokensAnHour === undefined ? old.tokensAnHour : checkTokens(change.tokensAnHour),
    nextAt: isNew || isResumed ? nextTick(when, old.createdAt, now) : old.nextAt,
  })
  if (written === 'taken') throw exists(change.name ?? old.name)
  if (written === 'no domain') throw unknownDomain(change.domain ?? '')
  if (paused && !old.paused) await pauseRow(deps.db, old.id, { paused, nextAt: old.nextAt })
  return told(deps, String(old.id))
}

/** With cron or every given, the other one goes. */
function changedWhen(old: Schedule, { cron, every, timeZone }: ScheduleChange, now: Date): When {
  const zone = timeZone ?? old.timeZone
  if (cron === undefined && every === undefined) {
    return checkWhen({ cron: old.cron, every: old.everySeconds, timeZone: zone }, now)
  }
  return checkWhen({ cron, every, timeZone: zone }, now)
}

async function told(deps: SchedulesDeps, id: string): Promise<Schedule> {
  const schedule = await findSchedule(deps, id)
  await tell(deps, { ...schedule, action: { ...schedule.action } })
  return schedule
}

/**
 * Deletes a schedule with its runs; returned are generations that it began, which stay, paused.
 * @throws CodedError UNKNOWN_SCHEDULE
 */
export async function deleteSchedule(deps: SchedulesDeps, idOrName: string): Promise<LeftPaused[]> {
  const { id } = await findSchedule(deps, idOrName)
  const left = await deleteRow(deps.db, id)
  // A job scheduler that stays finds no row, and goes at the next look.
  await deps.queues.ticks.remove(id).catch(() => undefined)
  return left
}

/**
 * Ticks no more until it is resumed, and ends what is at work at its next step; of a resumed one the next tick is the
 * first after now.
 * @throws CodedError UNKNOWN_SCHEDULE
 */
export async function pauseSchedule(
  deps: SchedulesDeps,
  idOrName: string,
  paused: boolean,
): Promise<Schedule> {
  const old = await findSchedule(deps, idOrName)
  const nextAt = old.paused && !paused ? nextTick(old, old.createdAt, deps.now()) : old.nextAt
  await pauseRow(deps.db, old.id, { paused, nextAt })
  return told(deps, String(old.id))
}

/** Begins a run now, also of a paused one. @throws CodedError UNKNOWN_SCHEDULE, SCHEDULE_AT_WORK */
export async function runSchedule(deps: SchedulesDeps, idOrName: string): Promise<ScheduleRunRow> {
  const { id, name } = await findSchedule(deps, idOrName)
  const run = await runNow(deps.db, id, deps.now())
  const row = run === undefined ? undefined : await getScheduleRun(deps.db, run)
  if (row !== undefined) return row
  throw new CodedError('SCHEDULE_AT_WORK', `A run of "${name}" is at work`, {
    hint: `GET /v1/schedules/${name} says how far it is; pause ends it`,
    details: { name },
    retryable: true,
  })
}

export interface ScheduleRunPage {
  readonly runs: readonly ScheduleRunRow[]
  readonly cursor: string | null
}

/** Newest first. @throws CodedError INVALID_CURSOR */
export async function listScheduleRuns(
  { db }: Pick<SchedulesDeps, 'db'>,
  schedule: Pick<Schedule, 'id'>,
  page: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<ScheduleRunPage> {
  const before = page.cursor === undefined ? undefined : readNumber(page.cursor)
  const rows = await listRunRows(db, schedule.id, { before, limit: page.limit + 1 })
  const runs = rows.slice(0, page.limit)
  return { runs, cursor: rows.length > page.limit ? String(runs.at(-1)?.id ?? '') : null }
}
