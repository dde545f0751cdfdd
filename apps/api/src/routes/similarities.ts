import { compareSimilarities, findDomain } from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { oneAtATime } from '../alone.js'
import type { ApiDeps } from '../deps.js'
import { named } from '../schemas/golden.js'
import { problems } from '../schemas/shared.js'
import { similaritiesOut, similaritiesQuery } from '../schemas/similarities.js'

export const similaritiesRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  const alone = oneAtATime(
    'Another comparison of similarities is running',
    'Try again when that one is done, half a minute at most',
  )
  app.get(
    '/v1/domains/:name/similarities',
    {
      schema: {
        summary: 'How alike random passages are, and how alike golden questions and their answers',
        tags: ['golden'],
        params: named,
        querystring: similaritiesQuery,
        response: { 200: similaritiesOut, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      // It reads and embeds for seconds: one at a time.
      return alone(async () => {
        const { bins, random, golden, levels, notes, ...rest } = await compareSimilarities(
          deps,
          domain,
          request.query,
        )
        return {
          ...rest,
          bins: [...bins],
          random: { ...random, counts: [...random.counts] },
          golden: golden === null ? null : { ...golden, counts: [...golden.counts] },
          levels: levels.map((level) => ({ ...level, name: { ...level.name } })),
          notes: [...notes],
        }
      })
    },
  )
}
