import { CodedError } from '@millrace/errors'
import { compareSimilarities, findDomain } from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { ApiDeps } from '../deps.js'
import { named } from '../schemas/golden.js'
import { problems } from '../schemas/shared.js'
import { similaritiesOut, similaritiesQuery } from '../schemas/similarities.js'

export const similaritiesRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  let isRunning = false
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
      if (isRunning) {
        throw new CodedError('OVERLOADED', 'Another comparison of similarities is running', {
          hint: 'Try again when that one is done, half a minute at most',
          retryable: true,
        })
      }
      isRunning = true
      try {
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
      } finally {
        isRunning = false
      }
    },
  )
}
