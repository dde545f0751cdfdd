import { messageOf } from '@millrace/errors'
import { listDomains, modelsOf, withinMs } from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'

const ready = z.object({
  ready: z.boolean(),
  database: z.string(),
  queue: z.string(),
  models: z.record(z.string(), z.string()),
})

/** A check that does not answer within this long has failed. */
const CHECK_MS = 3_000

export const healthRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  app.get(
    '/healthz',
    {
      schema: {
        summary: 'The process is up',
        tags: ['operation'],
        response: { 200: z.object({ ok: z.boolean() }) },
      },
    },
    async () => ({ ok: true }),
  )
  app.get(
    '/readyz',
    {
      schema: {
        summary: 'Database, queue and models are up, or 503 with what is missing',
        tags: ['operation'],
        response: { 200: ready, 503: ready },
      },
    },
    async (_request, reply) => {
      const [database, queue, names] = await Promise.all([
        check(() => deps.db.query('select 1')),
        check(() => deps.queues.ping()),
        listDomains(deps).then(
          (domains) => [deps.defaultModel, ...domains.flatMap(modelsOf)],
          () => [deps.defaultModel],
        ),
      ])
      const models = Object.fromEntries([...new Set(names)].map((id) => [id, stateOf(deps, id)]))
      const all = [
        database,
        queue,
        ...Object.values(models).map((state) => (state === 'ready' ? 'ok' : state)),
      ]
      const isReady = all.every((state) => state === 'ok')
      return reply.status(isReady ? 200 : 503).send({ ready: isReady, database, queue, models })
    },
  )
}

/** The model of a domain may be gone from the disk since. */
function stateOf({ engine }: ApiDeps, id: string): string {
  return engine.models().some((model) => model.id === id) ? engine.state(id) : 'its files are missing'
}

async function check(ask: () => Promise<unknown>): Promise<string> {
  try {
    await withinMs(CHECK_MS, ask())
    return 'ok'
  } catch (error) {
    return messageOf(error)
  }
}
