import { findDomain, measureRecall } from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { oneAtATime } from '../alone.js'
import type { ApiDeps } from '../deps.js'
import { named, recallOut, recallQuery } from '../schemas/golden.js'
import { problems } from '../schemas/shared.js'

export const recallRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  const alone = oneAtATime(
    'Another comparison of an index is running',
    'Try again when that one is done, half a minute at most',
  )
  app.get(
    '/v1/domains/:name/recall',
    {
      schema: {
        summary: 'How many of the true nearest the index finds, and how long both take',
        tags: ['golden'],
        params: named,
        querystring: recallQuery,
        response: { 200: recallOut, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      // Two at once would slow each other, and take connections from those who search.
      return alone(async () => {
        const { recall, notes, ...measured } = await measureRecall(deps, domain, request.query)
        return {
          domain: domain.name,
          from: request.query.from,
          ...measured,
          recall: recall.map((one) => ({ ...one })),
          notes: [...notes],
        }
      })
    },
  )
}
