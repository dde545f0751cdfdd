import { getStatus } from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { ApiDeps } from '../deps.js'
import { problems } from '../schemas/shared.js'
import { statusOut } from '../schemas/status.js'
import { stateOf } from './domains.js'
import { show } from './ingestions.js'

export const statusRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  app.get(
    '/v1/status',
    {
      schema: {
        summary: 'What goes on: workers, backlog, queues, models, failures, running ingestions, domains',
        tags: ['operation'],
        response: { 200: statusOut, ...problems },
      },
    },
    async () => {
      const { workers, queues, models, failed, alarms, ingestions, domains, ...rest } = await getStatus(deps)
      return {
        ...rest,
        workers: [...workers],
        queues: [...queues],
        models: [...models],
        failed: [...failed],
        alarms: alarms.map(({ at, ...alarm }) => ({ ...alarm, at: at.toISOString() })),
        ingestions: ingestions.map(show),
        domains: domains.map((domain) => ({ ...domain, modelState: stateOf(deps.engine, domain.model) })),
      }
    },
  )
}
