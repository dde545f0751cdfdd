import type { Schedule, ScheduleRun } from './schedules-contract.js'
import { printable, table } from './table.js'
import { count, duration } from './words.js'

const minute = (at: string): string => `${at.slice(0, 16).replace('T', ' ')} UTC`

const whenOf = ({ cron, every, timeZone }: Schedule): string =>
  cron === null ? `every ${duration(every ?? 0)}` : `${cron} ${timeZone}`

export const waitOf = ({ until, why }: NonNullable<ScheduleRun['waits']>): string =>
  `waits until ${minute(until)} (${why})`

const outcomeOf = (run: ScheduleRun | null): string => {
  if (run === null) return 'never ran'
  if (run.outcome !== null) return run.alarm === null ? run.outcome : `${run.outcome}, alarm`
  if (run.waits === null) return 'at work'
  return run.waits.why === 'work' ? 'at work' : waitOf(run.waits)
}

export function showSchedules(schedules: readonly Schedule[]): string {
  if (schedules.length === 0) return 'no schedules yet: millrace schedules create NAME\n'
  return table([
    ['schedule', 'does', 'domain', 'when', 'next', 'last', ''],
    ...schedules.map((one) => [
      one.name,
      String(one.action.kind),
      one.domain ?? 'every domain',
      whenOf(one),
      one.nextAt === null ? 'paused' : minute(one.nextAt),
      one.last === null ? '' : minute(one.last.startedAt),
      outcomeOf(one.last),
    ]),
  ])
}

/** Options that are set, the kind first. */
const actionOf = ({ action: { kind, ...options } }: Schedule): string => {
  const set = Object.entries(options).filter(([, value]) => value !== null)
  return [String(kind), ...set.map(([name, value]) => `${name} ${JSON.stringify(value)}`)].join(', ')
}

export function showSchedule(schedule: Schedule, history: readonly ScheduleRun[]): string {
  const { name, domain, window, tokensAnHour, nextAt, runs } = schedule
  const hours = window === null ? [] : [['only', `${window.from} to ${window.to} ${window.timeZone}`]]
  const tokens = tokensAnHour === null ? [] : [['at most', `${count(tokensAnHour)} tokens an hour`]]
  return [
    `${name}: ${domain ?? 'every domain'}\n`,
    table([
      ['does', actionOf(schedule)],
      ['when', whenOf(schedule)],
      ...hours,
      ...tokens,
      ['next', nextAt === null ? 'paused' : minute(nextAt)],
      [
        'runs',
        Object.entries(runs)
          .map(([outcome, number]) => `${count(number)} ${outcome}`)
          .join(', '),
      ],
    ]),
    showScheduleRuns(history),
  ].join('')
}

export function showScheduleRuns(runs: readonly ScheduleRun[]): string {
  if (runs.length === 0) return 'no runs yet\n'
  return table([
    ['run', 'begun', 'because', 'outcome', 'took', 'tokens', 'what came of it'],
    ...runs.map((run) => [
      run.id,
      minute(run.startedAt),
      run.cause,
      run.outcome === 'skipped' ? `skipped, ${count(run.ticks, 'tick')}` : outcomeOf(run),
      run.cost.seconds === undefined ? '' : duration(run.cost.seconds),
      run.cost.tokens === undefined ? '' : count(run.cost.tokens),
      cameOf(run),
    ]),
  ])
}

const cameOf = ({ error, alarm, summary }: ScheduleRun): string =>
  printable(error === null ? (alarm ?? summary ?? '') : `${error.code}: ${error.message}`)
