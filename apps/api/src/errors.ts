import type { Duplex } from 'node:stream'
import { CodedError } from '@millrace/errors'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'

export interface ErrorBody {
  readonly error: {
    readonly code: string
    readonly message: string
    readonly hint?: string
    readonly details?: unknown
  }
}

/** What a code means over HTTP. A code that is not here is our fault: 500. docs/errors.md lists them all. */
export const STATUS: Readonly<Record<string, number>> = {
  BAD_CHUNKING: 400,
  BAD_DIMS: 400,
  BAD_FUSION: 400,
  BAD_GATE: 400,
  BAD_INDEX: 400,
  BAD_SCHEDULE: 400,
  BAD_THRESHOLD: 400,
  MODE_NEEDS_TERMS: 400,
  MODE_NEEDS_TEXT: 400,
  NO_RERANKER: 400,
  BAD_WEIGHTS: 400,
  DOMAIN_NEEDS_VECTORS: 400,
  CHUNK_SIZE_TOO_SMALL: 400,
  CONTEXT_TOO_LONG: 400,
  BODY_INCOMPLETE: 400,
  EMPTY_TEXT: 400,
  INVALID_REQUEST: 400,
  INVALID_JSON: 400,
  INVALID_UTF8: 400,
  INVALID_CHARACTER: 400,
  INVALID_CSV: 400,
  INVALID_CURSOR: 400,
  INVALID_FILTER: 400,
  INVALID_TEXT: 400,
  MISSING_OUTPUT: 400,
  MISSING_QUERY: 400,
  MISSING_TEXT: 400,
  SAME_GENERATION: 400,
  SYNC_NEEDS_SOURCE: 400,
  NOT_A_RERANKER: 400,
  NOT_AN_EMBEDDER: 400,
  NOT_FOR_EXTERNAL: 400,
  QUERY_TOO_LONG: 400,
  MODELS_DIFFER: 400,
  UNKNOWN_MODEL: 400,
  VECTOR_DIMS: 400,
  VECTOR_NOT_FINITE: 400,
  VECTOR_ZERO: 400,
  UNAUTHORIZED: 401,
  NOT_FOUND: 404,
  NO_FILE: 404,
  UNKNOWN_DOCUMENT: 404,
  UNKNOWN_DOMAIN: 404,
  UNKNOWN_GENERATION: 404,
  UNKNOWN_INGESTION: 404,
  UNKNOWN_QUESTION: 404,
  UNKNOWN_RUN: 404,
  UNKNOWN_SCHEDULE: 404,
  METHOD_NOT_ALLOWED: 405,
  ARCHIVE_MODEL: 409,
  DOMAIN_EXISTS: 409,
  GATE_FAILED: 409,
  GATE_RUNNING: 409,
  GENERATION_ENDED: 409,
  GENERATION_NOT_BUILDING: 409,
  GENERATION_NOT_COMPLETE: 409,
  DOMAIN_IMPORTING: 409,
  IMPORT_ENDED: 409,
  INGESTION_FINISHED: 409,
  INGESTION_ENDED: 409,
  NEEDS_GENERATION: 409,
  NOT_CARRIED: 409,
  NOTHING_TO_COMPARE: 409,
  NOTHING_TO_ROLL_BACK: 409,
  GENERATION_EXISTS: 409,
  NOTHING_CHANGES: 409,
  RUN_NOT_FINISHED: 409,
  THRESHOLDS_SETTLED: 409,
  SCHEDULE_AT_WORK: 409,
  SCHEDULE_EXISTS: 409,
  BODY_TOO_LARGE: 413,
  TEXT_TOO_LONG: 413,
  TOO_MANY_DOCUMENTS: 413,
  TOO_MANY_QUESTIONS: 413,
  URI_TOO_LONG: 414,
  UNSUPPORTED_MEDIA_TYPE: 415,
  ARCHIVE_TOO_NEW: 422,
  BAD_ARCHIVE: 422,
  GOLDEN_EMPTY: 422,
  NO_DOCUMENTS: 422,
  NO_QUESTIONS: 422,
  PREPARE_TIMEOUT: 422,
  RECALL_TIMEOUT: 422,
  UNREADABLE_FILE: 422,
  OVERLOADED: 429,
  ENGINE_CLOSED: 503,
  PREPARE_CRASHED: 503,
  ENGINE_CRASHED: 503,
  INVALID_GRAPH: 503,
  INVALID_HEAD: 503,
  INVALID_TOKENIZER: 503,
  MODEL_CHANGED: 503,
  MODEL_FILE_ALTERED: 503,
  MODEL_FILE_MISSING: 503,
  REMOTE_BAD_ANSWER: 503,
  REMOTE_DIMS: 503,
  REMOTE_REFUSED: 503,
  REMOTE_TOKENS_MAX: 503,
  REMOTE_UNAUTHORIZED: 503,
  REMOTE_UNAVAILABLE: 503,
  UNAVAILABLE: 503,
}

/** Seconds after which a caller that was told to come back may try again. */
const RETRY_SECONDS = 1

/** Errors of Fastify itself, in our words. */
const FASTIFY: Readonly<Record<string, { readonly code: string; readonly hint: string }>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'UNSUPPORTED_MEDIA_TYPE',
    hint: 'Send JSON with the header content-type: application/json; an archive of a domain is application/x-tar',
  },
  FST_ERR_CTP_EMPTY_JSON_BODY: { code: 'INVALID_JSON', hint: 'Send a JSON object' },
  FST_ERR_CTP_INVALID_JSON_BODY: {
    code: 'INVALID_JSON',
    hint: 'Check the JSON, keys named __proto__ included',
  },
  FST_ERR_CTP_BODY_TOO_LARGE: {
    code: 'BODY_TOO_LARGE',
    hint: 'Send fewer documents a request; BODY_BYTES_MAX is the setting',
  },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: { code: 'INVALID_REQUEST', hint: 'Content-Length must match the body' },
  FST_ERR_BAD_URL: { code: 'INVALID_REQUEST', hint: 'Percent-encode ids in paths as UTF-8' },
  FST_ERR_MAX_PARAM_LENGTH: { code: 'URI_TOO_LONG', hint: 'An id has 512 bytes at most' },
}

/** Postgres classes 08 (connection), 53 (resources), 57P (shutdown), and what the socket says. */
const UNAVAILABLE = /^(08...|53...|57P0.|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT)$/

/** What pg says without a code. */
const LOST =
  /^Connection terminated|^timeout exceeded when trying to connect|^Client has encountered a connection error/

/** Every error a caller sees goes through here. */
export function answerError(
  error: FastifyError | CodedError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const coded = asCoded(error, request)
  const status = STATUS[coded.code] ?? 500
  if (status >= 500) request.log.error({ err: error }, 'the request failed')
  if (status === 429 || status === 503) reply.header('retry-after', RETRY_SECONDS)
  return reply.status(status).send(bodyOf(status === 500 ? internal : coded))
}

/** For what is no HTTP: there is no request to answer, only a socket. */
export function answerMalformed(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const isLong = error.code === 'HPE_HEADER_OVERFLOW'
  const refusal = new CodedError(
    'INVALID_REQUEST',
    isLong ? 'The headers are too long' : 'This is not HTTP',
    {
      hint: 'Check what your client sends',
    },
  )
  const body = JSON.stringify(bodyOf(refusal))
  socket.end(
    `HTTP/1.1 ${isLong ? '431 Request Header Fields Too Large' : '400 Bad Request'}\r\n` +
      `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}

const internal = new CodedError('INTERNAL', 'Something broke on our side', {
  hint: 'The log of the API says what; it is worth a report',
})

export const bodyOf = ({ code, message, hint, details }: CodedError): ErrorBody => ({
  error: {
    code,
    message,
    ...(hint === undefined ? {} : { hint }),
    ...(details === undefined ? {} : { details }),
  },
})

function asCoded(error: FastifyError | CodedError, request: FastifyRequest): CodedError {
  if (error instanceof CodedError) return error
  // The caller hung up while sending: nobody reads this answer, and nothing of ours broke.
  if (request.raw.readableAborted) return new CodedError('INVALID_REQUEST', 'The body ended too soon')
  if (hasZodFastifySchemaValidationErrors(error)) return invalid(error)
  const known = FASTIFY[error.code]
  if (known !== undefined) {
    const limit = error.code === 'FST_ERR_CTP_BODY_TOO_LARGE' ? sizes(request) : undefined
    return new CodedError(known.code, limit?.message ?? error.message, {
      hint: known.hint,
      details: limit?.details,
    })
  }
  if (error instanceof SyntaxError) {
    return new CodedError('INVALID_JSON', error.message, { hint: 'Send a valid JSON object' })
  }
  if (isUnavailable(error)) {
    return new CodedError('UNAVAILABLE', 'The database cannot be reached at the moment', {
      hint: 'GET /readyz says what is missing',
      retryable: true,
    })
  }
  return internal
}

/** What a body had and what it may have, in bytes; one that came in pieces did not say what it has. */
function sizes(request: FastifyRequest): { readonly message: string; readonly details: object } {
  const limit = request.routeOptions.bodyLimit
  const said = request.headers['content-length']
  const bytes = said === undefined ? null : Number(said)
  const message = `The body has ${bytes === null ? 'more bytes than allowed' : `${bytes} bytes`}, the limit is ${limit}`
  return { message, details: { bytes, limit } }
}

/** An error may carry the one that caused it, drizzle's do. */
function isUnavailable(error: unknown): boolean {
  for (let one = error; one instanceof Error; one = one.cause) {
    const code = 'code' in one && typeof one.code === 'string' ? one.code : ''
    if (UNAVAILABLE.test(code) || LOST.test(one.message)) return true
  }
  return false
}

/** Fields named in one answer at most: a body may be wrong in a million places. */
const ISSUES_MAX = 20

function invalid(error: { readonly validation: readonly object[] } & object): CodedError {
  const where = 'validationContext' in error ? String(error.validationContext) : 'request'
  const details = error.validation.slice(0, ISSUES_MAX).map((issue) => {
    const path = 'instancePath' in issue ? String(issue.instancePath) : ''
    const message = 'message' in issue ? String(issue.message) : 'is not valid'
    return { path: path.replace(/^\//, '').replaceAll('/', '.'), message }
  })
  const first = details[0]
  const place = first === undefined || first.path === '' ? where : `${where}.${first.path}`
  return new CodedError('INVALID_REQUEST', `${place}: ${first?.message ?? 'is not valid'}`, {
    hint: 'GET /openapi.json describes every call',
    details,
  })
}
