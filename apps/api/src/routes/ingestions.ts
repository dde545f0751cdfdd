import { Readable } from 'node:stream'
import { getIngestion, type Ingestion, watchIngestion } from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import { ingestionOut, problems } from '../schemas.js'

const one = z.strictObject({ id: z.string() })
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

const show = (ingestion: Ingestion): z.infer<typeof ingestionOut> => ({
  ...ingestion,
  errors: ingestion.errors.map((error) => ({ ...error })),
})
