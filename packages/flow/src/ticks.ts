/** When a schedule is due, as much of it as a queue has to know. */
export interface Ticking {
  readonly id: number
  readonly cron: string | null
  readonly everySeconds: number | null
  readonly timeZone: string
  readonly nextAt: Date
}

/** The job schedulers of a queue, as far as they are used: https://docs.bullmq.io/guide/job-schedulers */
export interface Repeating {
  upsertJobScheduler(
    id: string,
    repeat: RepeatAt,
    template: {
      readonly name: string
      readonly data: { schedule: number }
      readonly opts: { readonly removeOnComplete: true; readonly removeOnFail: true }
    },
  ): Promise<unknown>
  removeJobScheduler(id: string): Promise<boolean>
  getJobSchedulers(): Promise<readonly Known[]>
}
type RepeatAt =
  | { readonly pattern: string; readonly tz: string }
  | { readonly every: number; readonly startDate: Date }
interface Known {
  readonly key: string
  readonly pattern?: string | null
  readonly tz?: string | null
  readonly every?: number | null
}

/** Says when schedules are due; whether they are is decided by the rows. */
export interface Ticks {
  /** Has a job scheduler for each of these, and no other. */
  keep(schedules: readonly Ticking[]): Promise<void>
  /** Has one for this schedule as it is now. */
  put(schedule: Ticking): Promise<void>
  remove(id: number): Promise<void>
}

const keyOf = (id: number): string => `schedule-${id}`

export function openTicks(queue: Repeating): Ticks {
  const put = async (schedule: Ticking): Promise<void> => {
    await queue.upsertJobScheduler(keyOf(schedule.id), repeatOf(schedule), {
      name: 'tick',
      data: { schedule: schedule.id },
      // What is not taken is taken from the rows.
      opts: { removeOnComplete: true, removeOnFail: true },
    })
  }
  return {
    put,
    remove: async (id) => {
      await queue.removeJobScheduler(keyOf(id))
    },
    keep: async (schedules) => {
      const known = new Map((await queue.getJobSchedulers()).map((one) => [one.key, one]))
      const wanted = new Set(schedules.map(({ id }) => keyOf(id)))
      for (const key of known.keys()) if (!wanted.has(key)) await queue.removeJobScheduler(key)
      for (const schedule of schedules) {
        if (!isSame(schedule, known.get(keyOf(schedule.id)))) await put(schedule)
      }
    },
  }
}

const repeatOf = ({ cron, everySeconds, timeZone, nextAt }: Ticking): RepeatAt =>
  cron === null ? { every: (everySeconds ?? 0) * 1_000, startDate: nextAt } : { pattern: cron, tz: timeZone }

function isSame({ cron, everySeconds, timeZone }: Ticking, known: Known | undefined): boolean {
  if (known === undefined) return false
  if (cron === null) return known.every === (everySeconds ?? 0) * 1_000
  return known.pattern === cron && known.tz === timeZone
}
