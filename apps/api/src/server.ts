import accepts from '@fastify/accepts'
import bearer from '@fastify/bearer-auth'
import multipart from '@fastify/multipart'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { CodedError } from '@millrace/errors'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  LogController,
} from 'fastify'
import { jsonSchemaTransform, serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import type { ApiDeps } from './deps.js'
import { answerError, answerMalformed, bodyOf } from './errors.js'
import { acceptArchives } from './intake/archive.js'
import { acceptLines } from './intake/lines.js'
import { refuseOtherMethods } from './methods.js'
import { exposeMetrics } from './metrics.js'
import { servePage } from './page.js'
import { carryRoutes } from './routes/carry.js'
import { chunkRoutes } from './routes/chunks.js'
import { compareRoutes } from './routes/compare.js'
import { documentRoutes } from './routes/documents.js'
import { domainRoutes } from './routes/domains.js'
import { embedRoutes } from './routes/embed.js'
import { explainRoutes } from './routes/explain.js'
import { fieldRoutes } from './routes/fields.js'
import { gateRoutes } from './routes/gate.js'
import { generationRoutes } from './routes/generations.js'
import { goldenRoutes } from './routes/golden.js'
import { healthRoutes } from './routes/health.js'
import { ingestionRoutes } from './routes/ingestions.js'
import { modelRoutes } from './routes/models.js'
import { moveRoutes } from './routes/move.js'
import { queryRoutes } from './routes/queries.js'
import { recallRoutes } from './routes/recall.js'
import { scheduleRoutes } from './routes/schedules.js'
import { searchRoutes } from './routes/search.js'
import { similaritiesRoutes } from './routes/similarities.js'
import { statusRoutes } from './routes/status.js'
import { storageRoutes } from './routes/storage.js'
import { switchRoutes } from './routes/switch.js'

/** The pages of /docs, from this host alone. Swagger UI draws with inline styles and images of its own. */
const DOCS_CSP =
  "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'"

const ALWAYS_ANSWERED = new Set(['/healthz', '/readyz'])
/** An id of 512 bytes, each percent-encoded. */
const PARAM_CHARS_MAX = 3 * 512

/** The HTTP face of the verbs: no SQL here, no decision that a script would have to make again. */
export async function buildServer(deps: ApiDeps): Promise<FastifyInstance> {
  const loggerInstance: FastifyBaseLogger = deps.log
  const app = Fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    frameworkErrors: answerError,
    clientErrorHandler: answerMalformed,
    bodyLimit: deps.settings.limits.bodyBytes,
    routerOptions: { maxParamLength: PARAM_CHARS_MAX },
    forceCloseConnections: 'idle',
  })
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setErrorHandler(answerError)
  app.setNotFoundHandler((request) => {
    throw new CodedError('NOT_FOUND', `There is no ${request.url.split('?')[0]}`, {
      hint: 'GET /docs lists the calls',
    })
  })
  readJsonStrictly(app)
  acceptLines(app)
  acceptArchives(app)
  // A file that is too large is refused alone.
  await app.register(multipart, { throwFileSizeLimit: false })
  refuseOverload(app, deps.settings.limits.requests)
  const closeMethods = refuseOtherMethods(app)
  await app.register(accepts)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Millrace',
        description: 'Bulk text embedding into Postgres: documents in, found by meaning.',
        version: '1',
      },
      ...(deps.settings.apiKeys.length === 0
        ? {}
        : {
            components: { securitySchemes: { key: { type: 'http' as const, scheme: 'bearer' } } },
            security: [{ key: [] }],
          }),
    },
    transform: describeBodies,
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: DOCS_CSP,
    theme: { title: 'Millrace: the calls' },
    uiConfig: { layout: 'BaseLayout' },
  })
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
  await servePage(app, deps.page)
  await app.register(healthRoutes, deps)
  await app.register(async (closed) => {
    if (deps.settings.apiKeys.length > 0) await askForKey(closed, deps.settings.apiKeys)
    await closed.register(domainRoutes, deps)
    await closed.register(generationRoutes, deps)
    await closed.register(modelRoutes, deps)
    await closed.register(fieldRoutes, deps)
    await closed.register(chunkRoutes, deps)
    await closed.register(documentRoutes, deps)
    await closed.register(ingestionRoutes, deps)
    await closed.register(searchRoutes, deps)
    await closed.register(embedRoutes, deps)
    await closed.register(queryRoutes, deps)
    await closed.register(explainRoutes, deps)
    await closed.register(goldenRoutes, deps)
    await closed.register(gateRoutes, deps)
    await closed.register(switchRoutes, deps)
    await closed.register(carryRoutes, deps)
    await closed.register(compareRoutes, deps)
    await closed.register(recallRoutes, deps)
    await closed.register(similaritiesRoutes, deps)
    await closed.register(storageRoutes, deps)
    await closed.register(statusRoutes, deps)
    await closed.register(scheduleRoutes, deps)
    await closed.register(moveRoutes, deps)
    exposeMetrics(closed, deps)
  })
  closeMethods()
  return app
}

const SUBMIT = '/v1/domains/:name/documents'

/** What a POST of documents takes beside JSON: the schemas of routes know one kind of body. */
const describeBodies: typeof jsonSchemaTransform = (route) => {
  const transformed = jsonSchemaTransform(route)
  const { body } = transformed.schema
  if (route.url !== SUBMIT || body === undefined) return transformed
  const content = {
    'application/json': { schema: body },
    'application/x-ndjson': {
      schema: { type: 'string', description: 'One document a line, as in documents of the JSON body' },
    },
    'multipart/form-data': {
      schema: {
        type: 'object',
        properties: {
          id: { type: 'string', description: 'Of the file after it; left out: its name' },
          title: { type: 'string' },
          metadata: { type: 'string', description: 'A JSON object' },
          file: { type: 'string', format: 'binary' },
        },
      },
    },
  }
  return { ...transformed, schema: { ...transformed.schema, body: { content } } }
}

async function askForKey(app: FastifyInstance, keys: readonly string[]): Promise<void> {
  const refusal = new CodedError('UNAUTHORIZED', 'This call needs an API key', {
    hint: 'Send the header authorization: Bearer <key>, one of MILLRACE_API_KEYS',
  })
  // Its type wants { error: string }; what it does is send whatever this returns.
  const errorResponse = (() => bodyOf(refusal)) as unknown as () => { error: string }
  // RFC 6749's reading: the word Bearer in any case.
  await app.register(bearer, { keys: new Set(keys), errorResponse, specCompliance: 'rfc6749' })
  app.addHook('onSend', async (_request, reply) => {
    if (reply.statusCode === 401) reply.header('www-authenticate', 'Bearer')
  })
}

const unsupported = (what: string) =>
  new CodedError('UNSUPPORTED_MEDIA_TYPE', `${what} cannot be read`, { hint: 'Send plain JSON in UTF-8' })

/** JSON is UTF-8: bytes that are not are refused, where a lenient reader would store U+FFFD in their place. */
function readJsonStrictly(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  const utf8 = new TextDecoder('utf-8', { fatal: true })
  app.removeAllContentTypeParsers()
  app.addHook('onRequest', async ({ headers }) => {
    const encoding = headers['content-encoding'] ?? 'identity'
    if (encoding !== 'identity') throw unsupported(`A body encoded with ${encoding}`)
    const charset = /;\s*charset="?([^";\s]+)/i.exec(headers['content-type'] ?? '')?.[1] ?? 'utf-8'
    if (!/^utf-?8$/i.test(charset)) throw unsupported(`A body in ${charset}`)
  })
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    // Some clients always name a type.
    if (body.length === 0 && (request.method === 'DELETE' || isBodyLeftOut(request))) {
      done(null, undefined)
      return
    }
    let text: string
    try {
      text = utf8.decode(typeof body === 'string' ? Buffer.from(body) : body)
    } catch {
      done(new CodedError('INVALID_UTF8', 'The body is not UTF-8', { hint: 'Encode the JSON as UTF-8' }))
      return
    }
    parse(request, text, done)
  })
}

/** Calls of a generation that take nothing, or may: a type without a body is nothing. */
const isBodyLeftOut = ({ routeOptions }: FastifyRequest): boolean =>
  /\/generations\/(rollback|:id\/(switch|cancel|gate|pause|resume))$/.test(routeOptions.url ?? '')

/** More requests at once than can be answered soon are told to come back; whether the process lives is always told. */
function refuseOverload(app: FastifyInstance, limit: number): void {
  let running = 0
  app.addHook('onRequest', async (request, reply) => {
    if (ALWAYS_ANSWERED.has(request.routeOptions.url ?? '')) return
    running++
    reply.raw.once('close', () => {
      running--
    })
    if (running > limit) {
      throw new CodedError('OVERLOADED', `${running} requests are in work, the limit is ${limit}`, {
        hint: 'Try again after the time in the header retry-after',
        retryable: true,
      })
    }
  })
}
