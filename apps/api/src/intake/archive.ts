import type { FastifyInstance, FastifyRequest } from 'fastify'

export const TAR = 'application/x-tar'

/** Archives are left unread: whoever handles the request reads them as they arrive, and no limit of a body cuts them. */
export function acceptArchives(app: FastifyInstance): void {
  app.addContentTypeParser(TAR, (_request, _payload, done) => done(null))
}

export const isArchive = ({ headers }: FastifyRequest): boolean =>
  headers['content-type']?.split(';')[0]?.trim().toLowerCase() === TAR
