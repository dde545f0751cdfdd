import { Readable } from 'node:stream'
import {
  cancelIngestion,
  findDomain,
  getIngestion,
  type Ingestion,
  listIngestions,
  resumeIngestion,
  watchIngestion,
} from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import { ingestionOut, ingestionsPage, ingestionsQuery } from '../schemas/ingestions.js'
import { domainName, problems } from '../schemas/shared.js'

const one = z.strictObject({ id: z.string() })
const named = z.strictObject({ name: domainName })
/** A comment now and then, so that proxies do not take a quiet stream for a dead one. */
const PING_MS = 15_000

export const ingestionRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  // When the server closes: a stream that goes on would keep it open.
  const open = new Set<AbortController>()
  app.addHook('preClose', async () => {
    for (const stream of open) stream.abort()
  })
  app.get(
    '/v1/ingestions/:id',
    {
      schema: {
        summary: 'How far a submission has come',
        tags: ['ingestions'],
        params: one,
        response: { 200: ingestionOut, ...problems },
      },
    },
    async (request) => show(await getIngestion(deps, request.params.id)),
  )
  app.get(
    '/v1/domains/:name/ingestions',
    {
      schema: {
        summary: 'The ingestions of a domain, newest first',
        tags: ['ingestions'],
        params: named,
        querystring: ingestionsQuery,
        response: { 200: ingestionsPage, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      const page = await listIngestions(deps, domain, request.query)
      return { ingestions: page.ingestions.map(show), cursor: page.cursor }
    },
  )
  app.post(
    '/v1/ingestions/:id/cancel',
    {
      schema: {
        summary: 'Stop an ingestion; what is done stays',
        description:
          'Workers stop within seconds. Cancelling twice changes nothing; a finished one is a 409.',
        tags: ['ingestions'],
        params: one,
        response: { 200: ingestionOut, ...problems },
      },
    },
    async (request) => show(await cancelIngestion(deps, request.params.id)),
  )
  app.post(
    '/v1/ingestions/:id/resume',
    {
      schema: {
        summary: 'Go on with a cancelled ingestion, or try the failed documents of a finished one again',
        description: 'What is embedded is not embedded again. One that runs stays as it is.',
        tags: ['ingestions'],
        params: one,
        response: { 200: ingestionOut, ...problems },
      },
    },
    async (request) => show(await resumeIngestion(deps, request.params.id)),
  )
  app.get(
    '/v1/ingestions/:id/events',
    {
      schema: {
        summary: 'The same as server-sent events, until it ends',
        tags: ['ingestions'],
        params: one,
        produces: ['text/event-stream'],
      },
    },
    async (request, reply) => {
      const { id } = request.params
      await getIngestion(deps, id)
      const gone = new AbortController()
      open.add(gone)
      const stream = new Readable({ read: () => undefined, destroy: (_error, done) => done(null) })
      stream.on('close', () => {
        gone.abort()
        open.delete(gone)
      })
      const ping = setInterval(() => stream.push(': still here\n\n'), PING_MS)
      void push(stream, watchIngestion(deps, id, gone.signal)).finally(() => clearInterval(ping))
      return reply
        .header('content-type', 'text/event-stream; charset=utf-8')
        .header('cache-control', 'no-cache, no-transform')
        .header('x-accel-buffering', 'no')
        .send(stream)
    },
  )
}

async function push(stream: Readable, ingestions: AsyncGenerator<Ingestion>): Promise<void> {
  try {
    for await (const ingestion of ingestions) stream.push(`data: ${JSON.stringify(ingestion)}\n\n`)
    stream.push(null)
  } catch (error) {
    stream.destroy(error instanceof Error ? error : new Error(String(error)))
  }
}

/** The same with lists that may be written to, as the schema's type has them. */
export const show = (ingestion: Ingestion): z.infer<typeof ingestionOut> => {
  const { errors, rejected, report } = ingestion
  return {
    ...ingestion,
    errors: copies(errors),
    rejected: { total: rejected.total, codes: copies(rejected.codes) },
    report: report && { ...report, refused: copies(report.refused), failed: copies(report.failed) },
  }
}

const copies = <T extends { readonly example: object }>(list: readonly T[]) =>
  list.map((one) => ({ ...one, example: { ...one.example } }))
