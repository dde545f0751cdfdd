import { findDomain, previewChunks } from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import { domainName, previewIn, previewOut, problems } from '../schemas.js'

export const chunkRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  app.post(
    '/v1/domains/:name/chunks/preview',
    {
      schema: {
        summary: 'The chunks that a text would have, with their tokens and overlaps; nothing is stored',
        tags: ['documents'],
        params: z.strictObject({ name: domainName }),
        body: previewIn,
        response: { 200: previewOut, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      const preview = await previewChunks(deps, domain, request.body)
      return {
        ...preview,
        chunks: preview.chunks.map((chunk) => ({ ...chunk, headings: [...chunk.headings] })),
        parents: preview.parents.map((parent) => ({ ...parent, headings: [...parent.headings] })),
        warnings: [...preview.warnings],
      }
    },
  )
}
