import { CodedError } from '@millrace/errors'
import {
  type DocumentSummary,
  deleteDocument,
  findDomain,
  getDocument,
  listDocuments,
  requireSameModel,
  submitDocuments,
} from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import {
  documentDetail,
  type documentOut,
  documentsIn,
  documentsPage,
  documentsQuery,
  domainName,
  problems,
  submissionOut,
} from '../schemas.js'

const named = z.strictObject({ name: domainName })
const one = z.strictObject({ name: domainName, id: z.string() })

export const documentRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  app.post(
    '/v1/domains/:name/documents',
    {
      schema: {
        summary: 'Submit documents; they are embedded in the background',
        tags: ['documents'],
        params: named,
        body: documentsIn,
        response: { 202: submissionOut, ...problems },
      },
    },
    async (request, reply) => {
      const { documents } = request.body
      const { documents: most } = deps.settings.limits
      if (documents.length > most) {
        throw new CodedError('TOO_MANY_DOCUMENTS', `${documents.length} documents, the limit is ${most}`, {
          hint: 'Send them in several requests',
          details: { documents: documents.length, limit: most },
        })
      }
      const domain = await findDomain(deps, request.params.name)
      // Before anything is kept that could not be embedded.
      requireSameModel(deps.engine, domain.recipe)
      const submission = await submitDocuments(deps, domain, documents)
      return reply.status(202).send({ ...submission, rejected: [...submission.rejected] })
    },
  )
  app.get(
    '/v1/domains/:name/documents',
    {
      schema: {
        summary: 'List documents, by their id',
        tags: ['documents'],
        params: named,
        querystring: documentsQuery,
        response: { 200: documentsPage, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      const page = await listDocuments(deps, domain, request.query)
      return { documents: page.documents.map(show), cursor: page.cursor }
    },
  )
  app.get(
    '/v1/domains/:name/documents/:id',
    {
      schema: {
        summary: 'A document with its text and chunks',
        tags: ['documents'],
        params: one,
        response: { 200: documentDetail, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      const document = await getDocument(deps, domain, request.params.id)
      const chunks = document.chunkRows.map(({ ordinal, startAt, endAt, tokens, text }) => ({
        chunk: ordinal,
        start: startAt,
        end: endAt,
        tokens,
        text,
      }))
      return { ...show(document), text: document.text, chunks }
    },
  )
  app.delete(
    '/v1/domains/:name/documents/:id',
    {
      schema: {
        summary: 'Delete a document; no answer names it from then on',
        tags: ['documents'],
        params: one,
        response: { 204: z.null(), ...problems },
      },
    },
    async (request, reply) => {
      const domain = await findDomain(deps, request.params.name)
      await deleteDocument(deps, domain, request.params.id)
      return reply.status(204).send(null)
    },
  )
}

const show = (row: DocumentSummary): z.infer<typeof documentOut> => ({
  id: row.externalId,
  title: row.title,
  state: row.state,
  ageSeconds: row.ageSeconds,
  waiting: row.waiting,
  revision: row.revision,
  ingestion: String(row.ingestionId),
  metadata: { ...row.metadata },
  chunkCount: row.chunks,
  tokens: row.tokens,
  warnings: [...row.warnings],
  error: row.errorCode === null ? null : { code: row.errorCode, message: row.errorMessage ?? '' },
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
})
