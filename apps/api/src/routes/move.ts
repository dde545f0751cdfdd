import { readFileSync } from 'node:fs'
import { CodedError } from '@millrace/errors'
import { exportDomain, findDomain, importDomain } from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import { isArchive, TAR } from '../intake/archive.js'
import { importedOut } from '../schemas/move.js'
import { domainName, problems } from '../schemas/shared.js'

const named = z.strictObject({ name: domainName })

const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')))

export const moveRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  app.get(
    '/v1/domains/:name/export',
    {
      schema: {
        summary: 'A domain as an archive: documents, chunks, vectors and settings, as a tar (docs/move.md)',
        tags: ['domains'],
        params: named,
        produces: [TAR],
      },
    },
    async (request, reply) => {
      const domain = await findDomain(deps, request.params.name)
      return reply
        .header('content-type', TAR)
        .header('content-disposition', `attachment; filename="${domain.name}.tar"`)
        .send(await exportDomain({ db: deps.db, version }, domain))
    },
  )
  app.post(
    '/v1/domains/:name/import',
    {
      schema: {
        summary:
          'Create a domain from an archive that an export gave; the body is the tar, its vectors are taken over',
        tags: ['domains'],
        params: named,
        consumes: [TAR, 'application/octet-stream'],
        response: { 201: importedOut, ...problems },
      },
    },
    async (request, reply) => {
      if (!isArchive(request)) {
        throw new CodedError('UNSUPPORTED_MEDIA_TYPE', 'The body is no archive', {
          hint: `Send the tar that GET /v1/domains/NAME/export gave, with content-type: ${TAR}`,
        })
      }
      return reply.status(201).send(await importDomain(deps, request.params.name, request.raw))
    },
  )
}
