import { CodedError } from '@millrace/errors'
import type { FastifyInstance, HTTPMethods } from 'fastify'

const METHODS: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/** Swagger's own pages register what they need; any other address is the page's to refuse. */
const PAGES = /^\/docs|^\/\*$/

/**
 * A known path with another method is a 405 that names the right ones, not a 404. Call it before the routes
 * are added, and what it returns after them.
 */
export function refuseOtherMethods(app: FastifyInstance): () => void {
  const known = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const methods = known.get(url) ?? new Set()
    for (const one of Array.isArray(method) ? method : [method]) methods.add(one)
    known.set(url, methods)
  })
  return () => {
    for (const [url, methods] of [...known]) {
      const missing = METHODS.filter((method) => !methods.has(method))
      if (missing.length === 0 || PAGES.test(url)) continue
      const allow = [...methods].join(', ')
      app.route({
        method: missing,
        url,
        schema: { hide: true },
        // Before the body is read: what it contains does not matter.
        onRequest: async (request, reply) => {
          reply.header('allow', allow)
          throw new CodedError('METHOD_NOT_ALLOWED', `${request.method} is not for ${url}`, {
            hint: `Use ${allow}`,
          })
        },
        handler: async () => undefined,
      })
    }
  }
}
