import { CodedError, codeOf, messageOf } from '@millrace/errors'

/** Without name, password and what stands behind a `?`, where some servers want a key. */
export const shown = ({ protocol, host, pathname }: URL): string => `${protocol}//${host}${pathname}`

export const aborted = (why: string, cause?: unknown): CodedError => new CodedError('ABORTED', why, { cause })

/** The URL is not repeated where it may hold a password. */
export const invalid = (what: string, hint: string): CodedError =>
  new CodedError('URL_INVALID', `The URL ${what}`, { hint })

export const refusedScheme = (url: URL): CodedError =>
  new CodedError('URL_REFUSED', `A URL begins with ${url.protocol}, which is not fetched`, {
    hint: 'Use http or https, or submit the file itself',
  })

export const refusedAddress = (url: URL, address: string, range: string): CodedError =>
  new CodedError(
    'URL_REFUSED',
    `${shown(url)} leads to ${address}, which is not on the internet (${range})`,
    {
      hint: 'Whoever runs the server can allow the host, the address or its range in URL_ALLOW',
      details: { url: shown(url), address, range },
    },
  )

export const tooManyRedirects = (url: URL, redirectsMax: number): CodedError =>
  new CodedError('URL_TOO_MANY_REDIRECTS', `${shown(url)} is behind more than ${redirectsMax} redirects`, {
    hint: 'Use the URL at the end of them; a site that redirects in a circle may want a login',
    details: { url: shown(url), redirectsMax },
  })

export const timedOut = (url: URL, seconds: number): CodedError =>
  new CodedError('URL_TIMEOUT', `${shown(url)} was not there in full within ${seconds} s`, {
    hint: 'Try again later, or submit the file itself',
    details: { url: shown(url), seconds },
    retryable: true,
  })

export const tooLarge = (url: URL, bytesMax: number): CodedError =>
  new CodedError('URL_TOO_LARGE', `${shown(url)} has more than ${bytesMax} bytes`, {
    hint: 'Divide it, or raise the limit',
    details: { url: shown(url), bytesMax },
  })

const TEMPORARY = new Set([408, 425, 429, 502, 503, 504])

/** @param retryAfterMs what the server asked for with Retry-After, in milliseconds */
export const wrongStatus = (url: URL, status: number, retryAfterMs?: number): CodedError =>
  new CodedError('URL_STATUS', `${shown(url)} answers ${status}`, {
    hint: hintOf(status),
    details: { url: shown(url), status, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
    retryable: TEMPORARY.has(status),
  })

function hintOf(status: number): string {
  if (TEMPORARY.has(status)) return 'Try again later'
  if (status === 401 || status === 403) return 'It is not open to everybody: submit the file itself'
  return 'Open the URL in a browser'
}

export const badAnswer = (url: URL, why: string, cause?: unknown): CodedError =>
  new CodedError('URL_BAD_ANSWER', `${shown(url)} answers what cannot be read: ${why}`, {
    hint: 'Submit the file itself',
    details: { url: shown(url) },
    cause,
  })

/** Failures of a connection that the next one may not have; a name that is not there or a bad certificate stays. */
const PASSING = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'EPIPE',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ETIMEDOUT',
])

const unreachable = (url: URL, error: unknown): CodedError =>
  new CodedError('URL_UNREACHABLE', `${shown(url)} cannot be fetched: ${reasonOf(error)}`, {
    hint: 'Check the URL, and whether this machine may reach it',
    details: { url: shown(url) },
    retryable: PASSING.has(codeOf(error)),
    cause: error,
  })

/** What went wrong between the socket and us, as an error with a code. */
export function codedOf(url: URL, error: unknown): CodedError {
  if (error instanceof CodedError) return error
  // Node's parser of HTTP says HPE_; its decoders Z_ and, for brotli, ERR__ or ERR_BROTLI.
  const isUnreadable = /^(?:HPE_|Z_|ERR__|ERR_BROTLI)/.test(codeOf(error))
  return isUnreadable ? badAnswer(url, reasonOf(error), error) : unreachable(url, error)
}

/** When every address of a name failed there is one error a address, and their own has no message. */
function reasonOf(error: unknown): string {
  const message = error instanceof AggregateError ? error.errors.map(messageOf).join(', ') : messageOf(error)
  return message === '' ? codeOf(error) : message
}
