import { z } from 'zod'

/** The parts of the HTTP contract of schedules that the commands use. */
export const scheduleRunSchema = z.object({
  id: z.string(),
  cause: z.string(),
  dueAt: z.string(),
  startedAt: z.string(),
  finishedAt: z.string().nullable(),
  outcome: z.string().nullable(),
  ticks: z.number(),
  cost: z.record(z.string(), z.number()),
  summary: z.string().nullable(),
  alarm: z.string().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  waits: z.object({ until: z.string(), why: z.string() }).nullable(),
})
export type ScheduleRun = z.infer<typeof scheduleRunSchema>

export const scheduleSchema = z.object({
  id: z.string(),
  name: z.string(),
  domain: z.string().nullable(),
  action: z.record(z.string(), z.unknown()),
  cron: z.string().nullable(),
  every: z.number().nullable(),
  timeZone: z.string(),
  window: z.object({ from: z.string(), to: z.string(), timeZone: z.string() }).nullable(),
  tokensAnHour: z.number().nullable(),
  paused: z.boolean(),
  nextAt: z.string().nullable(),
  last: scheduleRunSchema.nullable(),
  runs: z.object({ done: z.number(), failed: z.number(), stopped: z.number(), skipped: z.number() }),
})
export type Schedule = z.infer<typeof scheduleSchema>

export const scheduleDeletedSchema = z.object({
  deleted: z.string(),
  paused: z.array(z.object({ domain: z.string(), generation: z.string() })),
})
export const schedulesSchema = z.object({ schedules: z.array(scheduleSchema) })
export const scheduleDetailSchema = scheduleSchema.extend({ history: z.array(scheduleRunSchema) })
export const scheduleRunsSchema = z.object({
  runs: z.array(scheduleRunSchema),
  cursor: z.string().nullable(),
})
