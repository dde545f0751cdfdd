import { ACTIONS } from '@millrace/flow'
import { z } from 'zod'
import { domainName } from './shared.js'

/** What may be wrong in it is told with a hint by the verb: BAD_SCHEDULE. */
const action = z
  .record(z.string(), z.unknown())
  .describe(`{kind, …}: kind is one of ${ACTIONS.join(', ')}, with the options that docs/schedules.md lists`)
const cron = z.string().max(200).describe('Five fields, or @hourly, @daily, @weekly, @monthly, @yearly')
const every = z.number().describe('Instead of cron: seconds, 60 at least')
const timeZone = z.string().max(100).describe('Of cron and window, as Europe/Berlin')
const hours = z
  .record(z.string(), z.unknown())
  .describe('{from: "22:00", to: "06:00", timeZone?}: work is done between them, which may cross midnight')
const tokensAnHour = z.number().describe('Embedded by its runs at most')

const fields = {
  name: z.string().max(200),
  domain: domainName.nullable().optional().describe('null, or left out: every domain'),
  action,
  cron: cron.nullable().optional(),
  every: every.nullable().optional(),
  window: hours.nullable().optional(),
  tokensAnHour: tokensAnHour.nullable().optional(),
  paused: z.boolean().optional(),
}
export const scheduleIn = z.strictObject({ ...fields, timeZone: timeZone.default('UTC') })
export const scheduleChange = z.strictObject({
  ...fields,
  name: fields.name.optional(),
  action: action.optional(),
  timeZone: timeZone.optional(),
})
export const scheduleNamed = z.strictObject({ id: z.string().describe('Its id or its name') })

export const runOut = z.object({
  id: z.string(),
  cause: z
    .enum(['tick', 'missed', 'now'])
    .describe('tick: it was due; missed: it was due while nobody was there; now: it was asked for'),
  dueAt: z.string(),
  startedAt: z.string(),
  finishedAt: z.string().nullable(),
  outcome: z
    .enum(['done', 'failed', 'stopped', 'skipped'])
    .nullable()
    .describe('null: at work; skipped: the run before was still at work'),
  ticks: z.int().describe('Of a skipped one: ticks that followed each other'),
  cost: z
    .record(z.string(), z.number())
    .describe(
      'By name, as far as it applies: seconds, documents, texts, tokens, fetched, unchanged, changed, …',
    ),
  summary: z.string().nullable(),
  alarm: z.string().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  waits: z
    .object({ until: z.string(), why: z.enum(['window', 'tokens', 'work']) })
    .nullable()
    .describe('Of one at work: for its window, for the next hour of tokens, or for what it began'),
})
export const scheduleOut = z.object({
  id: z.string(),
  name: z.string(),
  domain: z.string().nullable(),
  action: z.record(z.string(), z.unknown()).describe('With every option decided'),
  cron: z.string().nullable(),
  every: z.int().nullable(),
  timeZone: z.string(),
  window: z.object({ from: z.string(), to: z.string(), timeZone: z.string() }).nullable(),
  tokensAnHour: z.int().nullable(),
  paused: z.boolean(),
  nextAt: z.string().nullable().describe('null: it is paused'),
  last: runOut.nullable().describe('The last run that was not skipped'),
  runs: z
    .object({ done: z.int(), failed: z.int(), stopped: z.int(), skipped: z.int() })
    .describe('How many came to what, those that are not kept too'),
  createdAt: z.string(),
  updatedAt: z.string(),
})
export const scheduleDetail = scheduleOut.extend({
  history: z.array(runOut).describe('The last 20 runs, newest first; …/runs has those that are kept'),
})
export const scheduleDeleted = z.object({
  deleted: z.string(),
  paused: z
    .array(z.object({ domain: z.string(), generation: z.string() }))
    .describe('Generations that it began and that are not built: resume them or cancel them'),
})
export const schedulesOut = z.object({ schedules: z.array(scheduleOut) })
export const scheduleRunsQuery = z.strictObject({
  cursor: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(100).default(20),
})
export const scheduleRunsPage = z.object({ runs: z.array(runOut), cursor: z.string().nullable() })
