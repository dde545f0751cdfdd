import {
  changeSchedule,
  createSchedule,
  deleteSchedule,
  findSchedule,
  listScheduleRuns,
  listSchedules,
  pauseSchedule,
  runSchedule,
  type Schedule,
  type ScheduleRunPage,
} from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import {
  runOut,
  scheduleChange,
  scheduleDeleted,
  scheduleDetail,
  scheduleIn,
  scheduleNamed,
  scheduleOut,
  scheduleRunsPage,
  scheduleRunsQuery,
  schedulesOut,
} from '../schemas/schedules.js'
import { problems } from '../schemas/shared.js'

const HISTORY = 20
const tags = ['schedules']

export const scheduleRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  app.post(
    '/v1/schedules',
    {
      schema: {
        summary: 'Has something done again and again',
        tags,
        body: scheduleIn,
        response: { 201: scheduleOut, ...problems },
      },
    },
    async (request, reply) => reply.status(201).send(show(await createSchedule(deps, request.body))),
  )
  app.get(
    '/v1/schedules',
    {
      schema: {
        summary: 'All schedules, with the next and the last run of each',
        tags,
        response: { 200: schedulesOut, ...problems },
      },
    },
    async () => ({ schedules: (await listSchedules(deps)).map(show) }),
  )
  app.get(
    '/v1/schedules/:id',
    {
      schema: {
        summary: 'A schedule with its last runs',
        tags,
        params: scheduleNamed,
        response: { 200: scheduleDetail, ...problems },
      },
    },
    async (request) => {
      const schedule = await findSchedule(deps, request.params.id)
      const { runs } = await listScheduleRuns(deps, schedule, { limit: HISTORY })
      return { ...show(schedule), history: runs.map(showRun) }
    },
  )
  app.patch(
    '/v1/schedules/:id',
    {
      schema: {
        summary: 'Changes what is named; with cron or every the other one goes',
        tags,
        params: scheduleNamed,
        body: scheduleChange,
        response: { 200: scheduleOut, ...problems },
      },
    },
    async (request) => show(await changeSchedule(deps, request.params.id, request.body)),
  )
  app.delete(
    '/v1/schedules/:id',
    {
      schema: {
        summary: 'Deletes a schedule and its runs; a generation that it is building stays, paused',
        tags,
        params: scheduleNamed,
        response: { 200: scheduleDeleted, ...problems },
      },
    },
    async (request) => {
      const left = await deleteSchedule(deps, request.params.id)
      return {
        deleted: request.params.id,
        paused: left.map(({ domain, generation }) => ({ domain, generation: String(generation) })),
      }
    },
  )
  for (const [verb, paused, summary] of [
    ['pause', true, 'No more runs until it is resumed; one at work ends at its next step'],
    ['resume', false, 'Goes on with the next time it is due'],
  ] as const) {
    app.post(
      `/v1/schedules/:id/${verb}`,
      { schema: { summary, tags, params: scheduleNamed, response: { 200: scheduleOut, ...problems } } },
      async (request) => show(await pauseSchedule(deps, request.params.id, paused)),
    )
  }
  app.post(
    '/v1/schedules/:id/run',
    {
      schema: {
        summary: 'Begins a run now, within its window; a worker does it',
        tags,
        params: scheduleNamed,
        response: { 202: runOut, ...problems },
      },
    },
    async (request, reply) => reply.status(202).send(showRun(await runSchedule(deps, request.params.id))),
  )
  app.get(
    '/v1/schedules/:id/runs',
    {
      schema: {
        summary: 'Its runs, newest first; the last 100 are kept',
        tags,
        params: scheduleNamed,
        querystring: scheduleRunsQuery,
        response: { 200: scheduleRunsPage, ...problems },
      },
    },
    async (request) => {
      const schedule = await findSchedule(deps, request.params.id)
      const { runs, cursor } = await listScheduleRuns(deps, schedule, request.query)
      return { runs: runs.map(showRun), cursor }
    },
  )
}

type Run = ScheduleRunPage['runs'][number]

function show(schedule: Schedule): z.input<typeof scheduleOut> {
  const { id, name, domain, action, cron, everySeconds, timeZone, opens, tokensAnHour, paused, last } =
    schedule
  const { done, failed, stopped, skipped } = schedule
  return {
    id: String(id),
    name,
    domain,
    action: { ...action },
    cron,
    every: everySeconds,
    timeZone,
    window: opens,
    tokensAnHour,
    paused,
    nextAt: paused ? null : schedule.nextAt.toISOString(),
    last: last === null ? null : showRun(last),
    runs: { done, failed, stopped, skipped },
    createdAt: schedule.createdAt.toISOString(),
    updatedAt: schedule.updatedAt.toISOString(),
  }
}

const WAITS = ['window', 'tokens', 'work'] as const

function showRun(run: Run): z.input<typeof runOut> {
  const { id, dueAt, startedAt, finishedAt, heldUntil, heldBy, errorCode, errorMessage, ...rest } = run
  const why = WAITS.find((one) => one === heldBy)
  return {
    ...rest,
    id: String(id),
    dueAt: dueAt.toISOString(),
    startedAt: startedAt.toISOString(),
    finishedAt: finishedAt?.toISOString() ?? null,
    error: errorCode === null ? null : { code: errorCode, message: errorMessage ?? '' },
    waits: heldUntil === null || why === undefined ? null : { until: heldUntil.toISOString(), why },
  }
}
