import { Readable } from 'node:stream'
import { CodedError, messageOf } from '@millrace/errors'
import {
  type DocumentSummary,
  deleteDocument,
  type FileBytes,
  findDomain,
  type Given,
  getDocument,
  getFile,
  listDocuments,
  type OpenSubmission,
  openPlan,
  openSubmission,
  type Reason,
  refuseEscapes,
  requireSameModel,
  type Submission,
  type SubmitOptions,
  type SubmittedDocument,
  submitDocuments,
  takeLines,
} from '@millrace/flow'
import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import { isLines } from '../intake/lines.js'
import { takeFiles } from '../intake/multipart.js'
import {
  documentDetail,
  documentIn,
  type documentOut,
  documentsIn,
  documentsPage,
  documentsQuery,
  planOut,
  submissionOut,
  submitQuery,
} from '../schemas/documents.js'
import { domainName, firstIssue, problems } from '../schemas/shared.js'

const named = z.strictObject({ name: domainName })
const one = z.strictObject({ name: domainName, id: z.string() })

export const documentRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  app.post(
    '/v1/domains/:name/documents',
    {
      schema: {
        summary:
          'Submit documents, as JSON, as a stream of JSON lines or as files; they are embedded in the background',
        tags: ['documents'],
        params: named,
        querystring: submitQuery,
        // Streams are read by the handler: they have no body here.
        body: documentsIn.nullish(),
        response: { 200: planOut, 202: submissionOut, ...problems },
      },
    },
    async (request, reply) => {
      const domain = await findDomain(deps, request.params.name)
      // Before anything is kept that could not be embedded.
      requireSameModel(deps.engine, domain.recipe)
      const body = request.body ?? undefined
      const options = optionsOf(request.query, body)
      if (body?.dryRun === true || request.query.dryRun === true) {
        const plan = openPlan(deps, domain, options)
        await receive(request, deps, (slice, bytes) => plan.add(slice, bytes))
        const planned = await plan.end()
        return reply.status(200).send({ dryRun: true, ...planned, rejected: [...planned.rejected] })
      }
      const submission =
        body === undefined
          ? await receiveStream(request, deps, openSubmission(deps, domain, options))
          : await submitDocuments(deps, domain, withinLimit(body.documents, deps), options)
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
      const chunks = document.chunkRows.map(({ ordinal, startAt, endAt, headings, ...chunk }) => ({
        ...chunk,
        chunk: ordinal,
        start: startAt,
        end: endAt,
        headings: [...headings],
      }))
      return { ...show(document), text: document.text, chunks }
    },
  )
  app.get(
    '/v1/domains/:name/documents/:id/file',
    {
      schema: {
        summary: 'The bytes of a file as they were submitted or fetched',
        tags: ['documents'],
        params: one,
        produces: ['application/octet-stream'],
      },
    },
    async (request, reply) => {
      const domain = await findDomain(deps, request.params.name)
      const file = await getFile(deps, domain, request.params.id)
      // Never shown in place: it is whatever somebody sent.
      return reply
        .header('content-type', 'application/octet-stream')
        .header('x-content-type-options', 'nosniff')
        .header('content-disposition', `attachment; filename*=UTF-8''${encodeURIComponent(file.name)}`)
        .send(Readable.from(file.pieces))
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

type SubmitQuery = z.infer<typeof submitQuery>
type Take = (slice: readonly Given[], bytes?: FileBytes) => Promise<void>

function optionsOf(
  query: SubmitQuery,
  body: Pick<SubmitQuery, 'source' | 'sync'> | undefined,
): SubmitOptions {
  if (body?.source !== undefined && query.source !== undefined && body.source !== query.source) {
    throw new CodedError('INVALID_REQUEST', 'The body and the query name different sources', {
      hint: 'Name it in one of them',
      details: { body: body.source, query: query.source },
    })
  }
  const source = body?.source ?? query.source ?? null
  const sync = body?.sync ?? query.sync ?? null
  if (sync !== null && source === null) {
    throw new CodedError(
      'SYNC_NEEDS_SOURCE',
      'sync says what is to be deleted of a source, and none is named',
      {
        hint: 'Name the source: a site, a folder, a system',
      },
    )
  }
  const wrong = source === null ? undefined : refuseEscapes('source', JSON.stringify(source))
  if (wrong !== undefined) throw new CodedError(wrong.code, wrong.message, { hint: 'Send valid UTF-8' })
  return { source, sync }
}

function withinLimit<T>(documents: readonly T[], { settings }: ApiDeps): readonly T[] {
  const { documents: most } = settings.limits
  if (documents.length <= most) return documents
  throw new CodedError('TOO_MANY_DOCUMENTS', `${documents.length} documents, the limit is ${most}`, {
    hint: 'Send them in several requests, or as application/x-ndjson, which has no limit',
    details: { documents: documents.length, limit: most },
  })
}

async function receiveStream(
  request: FastifyRequest,
  deps: ApiDeps,
  submission: OpenSubmission,
): Promise<Submission> {
  try {
    await receive(request, deps, (slice, bytes) => submission.add(slice, bytes))
  } catch (error) {
    // Should this fail too, the sweep does it; what went wrong first is what the caller has to know.
    await submission.abandon(messageOf(error)).catch(() => undefined)
    throw error
  }
  return submission.end()
}

/** A body of any kind, slice by slice. */
async function receive(request: FastifyRequest, deps: ApiDeps, take: Take): Promise<void> {
  const body = request.body as z.infer<typeof documentsIn> | null | undefined
  if (body !== undefined && body !== null) {
    await take(withinLimit(body.documents, deps).map((document, index) => ({ document, index })))
  } else if (request.isMultipart()) {
    await takeFiles(request, deps.settings.limits, take)
  } else if (isLines(request)) {
    await takeLines(request.raw, { check: checkDocument, lineBytes: deps.settings.limits.lineBytes }, take)
  } else {
    throw new CodedError('INVALID_REQUEST', 'body: Invalid input: expected object', {
      hint: 'Send {"documents": […]}',
    })
  }
}

function checkDocument(value: unknown): SubmittedDocument | Reason {
  const parsed = documentIn.safeParse(value)
  if (parsed.success) return parsed.data
  return { code: 'INVALID_REQUEST', message: firstIssue(parsed.error) }
}

const show = (row: DocumentSummary): z.infer<typeof documentOut> => ({
  id: row.externalId,
  title: row.title,
  state: row.state,
  ageSeconds: row.ageSeconds,
  waiting: row.waiting,
  revision: row.revision,
  ingestion: String(row.ingestionId),
  source: row.source,
  origin: row.origin,
  url: row.url,
  file: row.fileName === null ? null : { name: row.fileName, type: row.fileType, format: row.format },
  metadata: { ...row.metadata },
  chunkCount: row.chunks,
  tokens: row.tokens,
  warnings: [...row.warnings],
  error: row.errorCode === null ? null : { code: row.errorCode, message: row.errorMessage ?? '' },
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
})
