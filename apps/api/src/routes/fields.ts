import { domainFields, findDomain } from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import { fieldsOut } from '../schemas/fields.js'
import { domainName, problems } from '../schemas/shared.js'

export const fieldRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  app.get(
    '/v1/domains/:name/fields',
    {
      schema: {
        summary: 'What the documents have in their metadata, for filters',
        tags: ['domains'],
        params: z.strictObject({ name: domainName }),
        response: { 200: fieldsOut, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      const { fields, ...looked } = await domainFields(deps, domain)
      return {
        ...looked,
        fields: fields.map(({ types, values, ...field }) => ({
          ...field,
          types: [...types],
          values: [...values],
        })),
      }
    },
  )
}
