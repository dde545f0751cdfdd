import {
  type Db,
  getSchedule,
  listDue,
  listSchedules,
  type ScheduleRow,
  takeSchedules,
  takeTick,
} from '@millrace/store'
import type { Log } from '../log.js'
import type { Queues } from '../queue.js'
import { causeOf, nextTick } from './when.js'

export interface TickDeps {
  readonly db: Db
  readonly log: Log
  readonly now: () => Date
}

/** A queue's clock may be a little ahead of ours. */
const EARLY_MS = 1_000

/**
 * Takes the tick of a schedule that is due: by whoever is first, however many see it, and however often the queue says so.
 * Ticks that were missed meanwhile are one.
 */
export async function tick(deps: TickDeps, id: number): Promise<'begun' | 'skipped' | undefined> {
  const schedule = await getSchedule(deps.db, { id })
  return schedule === undefined ? undefined : take(deps, schedule)
}

async function take({ db, log, now: clock }: TickDeps, schedule: ScheduleRow) {
  const now = clock()
  const { nextAt, createdAt, paused, name } = schedule
  const late = new Date(Math.max(now.getTime(), nextAt.getTime()))
  if (paused || nextAt.getTime() > now.getTime() + EARLY_MS) return undefined
  const cause = causeOf(nextAt, now)
  const taken = await takeTick(db, schedule, { now, cause, nextAt: nextTick(schedule, createdAt, late) })
  if (taken !== undefined) log.info({ schedule: name, dueAt: nextAt, cause, taken }, 'a schedule was due')
  return taken
}

/** Takes every tick that is due: those that the queue lost, or that came while everything was down. */
export async function tickDue(deps: TickDeps): Promise<number> {
  const due = await listDue(deps.db, deps.now())
  let begun = 0
  for (const schedule of due) if ((await take(deps, schedule)) === 'begun') begun++
  return begun
}

/** Between two looks at what is due, and at what the queue has. */
export const KEEP_SECONDS = 5
const STEP_SECONDS = 30

/**
 * What one worker does for all of them, whichever it is: takes what is due, and lets the queue have a job scheduler for
 * each schedule and no other. Undefined for those whose turn it is not.
 */
export function openKeeper(deps: TickDeps & { readonly queues: Queues }): () => Promise<number | undefined> {
  let stepped = Number.NEGATIVE_INFINITY
  return async () => {
    if (!(await takeSchedules(deps.db, KEEP_SECONDS * 0.9))) return undefined
    const begun = await tickDue(deps)
    if (performance.now() - stepped > STEP_SECONDS * 1_000) {
      await keepInStep(deps)
      stepped = performance.now()
    }
    return begun
  }
}

export async function keepInStep({
  db,
  queues,
}: {
  readonly db: Db
  readonly queues: Queues
}): Promise<void> {
  const schedules = await listSchedules(db)
  await queues.ticks.keep(schedules.filter(({ paused }) => !paused))
}
