import type { FastifyInstance, FastifyRequest } from 'fastify'

const TYPES = ['application/x-ndjson', 'application/ndjson', 'application/jsonl', 'application/x-jsonlines']

/** Bodies of JSON lines are left unread: whoever handles the request reads them as they arrive. */
export function acceptLines(app: FastifyInstance): void {
  app.addContentTypeParser(TYPES, (_request, _payload, done) => done(null))
}

export const isLines = ({ headers }: FastifyRequest): boolean =>
  TYPES.includes(headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? '')
