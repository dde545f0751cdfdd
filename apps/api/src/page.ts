import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import files from '@fastify/static'
import type { FastifyInstance, FastifyReply } from 'fastify'

/** Everything from this host; styles may be inline (charts and sliders place things), scripts may not. */
const PAGE_CSP = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "object-src 'none'",
  "base-uri 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

/** The addresses of the page; what is shown at each is decided in the browser. */
const PLACES = ['/', '/search', '/load', '/domains', '/domains/*', '/recall', '/system']
/** Names of built files contain a hash of what is in them. */
const ASSETS_SECONDS = 365 * 24 * 3_600

/** Where `npm run build` puts the page; undefined where it was not built. */
export function builtPage(): string | undefined {
  const dir = fileURLToPath(new URL('../../web/dist/', import.meta.url))
  return existsSync(`${dir}index.html`) ? dir : undefined
}

/** Serves the page at `/`; without one, `/` leads to the list of calls. */
export async function servePage(app: FastifyInstance, dir: string | undefined): Promise<void> {
  if (dir === undefined) {
    app.get('/', { schema: { hide: true } }, (_request, reply) => reply.redirect('/docs'))
    return
  }
  await app.register(files, {
    root: `${dir}assets`,
    prefix: '/assets/',
    wildcard: true,
    index: false,
    preCompressed: true,
    immutable: true,
    maxAge: ASSETS_SECONDS * 1_000,
    schemaHide: true,
    setHeaders: (reply) => {
      reply.setHeader('x-content-type-options', 'nosniff')
    },
  })
  const show = (_request: unknown, reply: FastifyReply) =>
    reply
      .header('content-security-policy', PAGE_CSP)
      .header('x-content-type-options', 'nosniff')
      .header('referrer-policy', 'no-referrer')
      .header('cache-control', 'no-cache')
      .sendFile('index.html', dir, { immutable: false, maxAge: 0, cacheControl: false })
  for (const place of PLACES) app.get(place, { schema: { hide: true } }, show)
  // A mistyped address, in a browser: the page says so, with its ways on. Programs get the API's words.
  app.get('/*', { schema: { hide: true } }, (request, reply) => {
    if (!/\btext\/html\b/.test(request.headers.accept ?? '')) return reply.callNotFound()
    return show(request, reply.status(404))
  })
  app.get('/icon.svg', { schema: { hide: true } }, (_request, reply) => reply.sendFile('icon.svg', dir))
}
