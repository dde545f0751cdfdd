import type { FastifyInstance, FastifyRequest } from 'fastify'

export const TAR = 'application/x-tar'
/** What callers that do not know of tar say, and nothing at all. */
const BYTES = 'application/octet-stream'

/** Archives are left unread: whoever handles the request reads them as they arrive, and no limit of a body cuts them. */
export function acceptArchives(app: FastifyInstance): void {
  app.addContentTypeParser([TAR, BYTES], (_request, _payload, done) => done(null))
}

export function isArchive({ headers }: FastifyRequest): boolean {
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  return type === undefined || type === '' || type === TAR || type === BYTES
}
