import { listModels } from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { ApiDeps } from '../deps.js'
import { modelsOut } from '../schemas/models.js'
import { problems } from '../schemas/shared.js'

export const modelRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  app.get(
    '/v1/models',
    {
      schema: {
        summary: 'The models that are there: what each reads and gives, and its levels',
        tags: ['operation'],
        response: { 200: modelsOut, ...problems },
      },
    },
    () => ({
      default: deps.defaultModel,
      models: listModels(deps).map(({ languages, outputs, levels, ...model }) => ({
        ...model,
        languages: [...languages],
        outputs: [...outputs],
        levels: levels.map((level) => ({ ...level, name: { ...level.name } })),
      })),
    }),
  )
}
