import { CodedError, messageOf } from '@millrace/errors'
import type { OpenHours } from '@millrace/store'
import { type CronExpression, CronExpressionParser } from 'cron-parser'
import { badSchedule, shownValue } from './refuse.js'

/** When a schedule is due: at the times of a cron expression, or every so many seconds since it was made. */
export interface When {
  readonly cron: string | null
  readonly everySeconds: number | null
  readonly timeZone: string
}

export const EVERY_SECONDS_MIN = 60
export const EVERY_SECONDS_MAX = 366 * 24 * 3_600
/** A tick that is taken later than this after it was due was missed: nobody was there. */
export const MISSED_SECONDS = 120

const NICKNAMES = new Set(['@hourly', '@daily', '@weekly', '@monthly', '@yearly'])
const CRON_HINT =
  'Five fields, minute hour day month weekday, as in "30 2 * * 1-5", or @hourly, @daily, @weekly, @monthly, @yearly'

/** @throws CodedError BAD_SCHEDULE: what was given is never due, or makes no sense */
export function checkWhen(
  given: {
    readonly cron?: string | null | undefined
    readonly every?: number | null | undefined
    readonly timeZone?: string | undefined
  },
  now: Date,
): When {
  const timeZone = checkZone(given.timeZone ?? 'UTC')
  const cron = given.cron ?? null
  const everySeconds = given.every ?? null
  if ((cron === null) === (everySeconds === null)) {
    const what = cron === null ? 'neither cron nor every says' : 'both cron and every say'
    throw badSchedule(`When it is due: ${what} it`, 'Send one of them', { cron, every: everySeconds })
  }
  if (everySeconds !== null) return { cron: null, everySeconds: checkEvery(everySeconds), timeZone }
  return { cron: checkCron(cron ?? '', timeZone, now), everySeconds: null, timeZone }
}

function checkEvery(seconds: number): number {
  const isGood = Number.isInteger(seconds) && seconds >= EVERY_SECONDS_MIN && seconds <= EVERY_SECONDS_MAX
  if (isGood) return seconds
  throw badSchedule(
    `every is ${seconds} seconds`,
    `A whole number of seconds from ${EVERY_SECONDS_MIN} to ${EVERY_SECONDS_MAX} (a year)`,
    { every: seconds },
  )
}

/** @throws CodedError BAD_SCHEDULE */
export function checkZone(timeZone: string): string {
  try {
    // A time zone has a name: what is an offset alone knows no summer time, and cron-parser not all of them.
    if (!/^[A-Za-z]/.test(timeZone)) throw new RangeError('no name')
    new Intl.DateTimeFormat('en', { timeZone })
    return timeZone
  } catch {
    throw badSchedule(
      `There is no time zone ${shownValue(timeZone)}`,
      'Write it as in the IANA database: UTC, Europe/Berlin, Asia/Shanghai',
      { timeZone },
    )
  }
}

function checkCron(given: string, timeZone: string, now: Date): string {
  const cron = given.trim().replaceAll(/\s+/g, ' ')
  const refuse = (why: string) =>
    badSchedule(`cron is ${shownValue(given)}: ${why}`, CRON_HINT, { cron: given })
  const fields = cron === '' ? 0 : cron.split(' ').length
  if (cron.startsWith('@') && !NICKNAMES.has(cron)) throw refuse('there is no such name')
  if (!cron.startsWith('@') && fields !== 5) throw refuse(`it has ${fields} fields`)
  // cron-parser would choose a minute at random.
  if (/(^|[ ,/-])H/i.test(cron)) throw refuse('H is not a time')
  try {
    const parsed = CronExpressionParser.parse(cron, { tz: timeZone, currentDate: now })
    if (isNever(parsed)) throw refuse(NEVER)
    parsed.next()
    return cron
  } catch (error) {
    if (error instanceof CodedError) throw error
    const why = messageOf(error)
    throw refuse(/loop limit|explicit day of month/i.test(why) ? NEVER : why)
  }
}

const NEVER = 'there is no such day, it would never be due'
const DAYS_IN_MONTH = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** Whether no month that it names has a day that it names: cron-parser looks for one for a second before it gives up. */
function isNever({ fields: { dayOfMonth, month, dayOfWeek } }: CronExpression): boolean {
  if (!dayOfWeek.isWildcard || dayOfMonth.hasLastChar) return false
  const longest = Math.max(...month.values.map((number) => DAYS_IN_MONTH[number - 1] ?? 31))
  return dayOfMonth.values.every((day) => Number(day) > longest)
}

/**
 * The first time after `after` that it is due. A time that the clocks skip is taken when they have been put forward, once;
 * one that they show twice is taken the first time.
 * @param anchor what `everySeconds` is counted from
 */
export function nextTick(when: When, anchor: Date, after: Date): Date {
  const { cron, everySeconds, timeZone } = when
  if (cron !== null) {
    return CronExpressionParser.parse(cron, { tz: timeZone, currentDate: after }).next().toDate()
  }
  const ms = (everySeconds ?? EVERY_SECONDS_MAX) * 1_000
  const passed = Math.floor((after.getTime() - anchor.getTime()) / ms)
  return new Date(anchor.getTime() + Math.max(1, passed + 1) * ms)
}

/** Why a tick that is taken now was not taken when it was due, if it was not. */
export const causeOf = (dueAt: Date, now: Date): 'tick' | 'missed' =>
  now.getTime() - dueAt.getTime() > MISSED_SECONDS * 1_000 ? 'missed' : 'tick'

const TIME = /^([01]\d|2[0-3]):([0-5]\d)$/

/** @throws CodedError BAD_SCHEDULE */
export function checkHours(given: Readonly<Record<string, unknown>>, timeZone: string): OpenHours {
  const { from, to, timeZone: zone = timeZone, ...rest } = given
  const [unknown] = Object.keys(rest)
  const hint = 'As in {"from": "22:00", "to": "06:00", "timeZone": "Europe/Berlin"}'
  if (unknown !== undefined)
    throw badSchedule(`window has no field ${shownValue(unknown)}`, hint, { window: given })
  if (typeof from !== 'string' || typeof to !== 'string' || !TIME.test(from) || !TIME.test(to)) {
    throw badSchedule(
      `window is from ${shownValue(from)} to ${shownValue(to)}: each must be a time from 00:00 to 23:59`,
      hint,
      { window: given },
    )
  }
  if (from === to) {
    throw badSchedule(
      `window is from ${from} to ${to}: it is never open`,
      'Leave it out to work at any time',
      {
        window: given,
      },
    )
  }
  if (typeof zone !== 'string')
    throw badSchedule(`window.timeZone is ${shownValue(zone)}`, hint, { window: given })
  return { from, to, timeZone: checkZone(zone) }
}

const minutesIn = (time: string): number => {
  const [, hours = '0', minutes = '0'] = TIME.exec(time) ?? []
  return Number(hours) * 60 + Number(minutes)
}

/** Whether work may be done now: `from` is in it, `to` is not. It may end on the next day. */
export function isOpen({ from, to, timeZone }: OpenHours, now: Date): boolean {
  const shown = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).format(now)
  const minute = minutesIn(shown)
  const [start, end] = [minutesIn(from), minutesIn(to)]
  return start < end ? start <= minute && minute < end : minute >= start || minute < end
}

/** When it opens next; it is closed now. */
export function opensAt({ from, timeZone }: OpenHours, now: Date): Date {
  const minutes = minutesIn(from)
  const cron = `${minutes % 60} ${Math.floor(minutes / 60)} * * *`
  return CronExpressionParser.parse(cron, { tz: timeZone, currentDate: now }).next().toDate()
}
