/** What went wrong, in the API's words or, where it did not answer, in ours. */
export class Problem extends Error {
  override readonly name = 'Problem'
  /** 0: no answer came. */
  readonly status: number
  readonly code: string
  readonly hint: string | undefined
  readonly details: unknown
  /** The server asked to wait this long. */
  readonly retryAfterSeconds: number | undefined

  constructor(
    status: number,
    told: {
      readonly code: string
      readonly message: string
      readonly hint?: string
      readonly details?: unknown
    },
    retryAfterSeconds?: number,
  ) {
    super(told.message)
    this.status = status
    this.code = told.code
    this.hint = told.hint
    this.details = told.details
    this.retryAfterSeconds = retryAfterSeconds
  }
}

export const UNREACHABLE = 'UNREACHABLE'
/** The server answered with something that is not the API's: a proxy's page, for example. */
export const NOT_UNDERSTOOD = 'NOT_UNDERSTOOD'

/** An answer that is no success, as a problem. `body`: what was read of it, parsed where it was JSON. */
export function problemOf(status: number, body: unknown, retryAfter: string | null): Problem {
  const seconds = Number(retryAfter)
  const wait = retryAfter !== null && Number.isFinite(seconds) ? seconds : undefined
  const told = typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined
  if (isTold(told)) return new Problem(status, told, wait)
  return new Problem(status, { code: NOT_UNDERSTOOD, message: `HTTP ${status}` }, wait)
}

function isTold(
  value: unknown,
): value is { code: string; message: string; hint?: string; details?: unknown } {
  if (typeof value !== 'object' || value === null) return false
  return (
    'code' in value &&
    typeof value.code === 'string' &&
    'message' in value &&
    typeof value.message === 'string'
  )
}

/** What a `catch` caught, as a problem. */
export const asProblem = (error: unknown): Problem =>
  error instanceof Problem
    ? error
    : new Problem(0, { code: UNREACHABLE, message: error instanceof Error ? error.message : String(error) })

export const isAborted = (error: unknown): boolean =>
  error instanceof DOMException && (error.name === 'AbortError' || error.name === 'TimeoutError')
