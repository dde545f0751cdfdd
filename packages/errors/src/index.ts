/** What an error carries besides its message. */
export interface CodedErrorOptions {
  /** A way out for whoever reads the message: one sentence, no secrets. */
  readonly hint?: string
  /** Values that belong to the message, ready for JSON. */
  readonly details?: unknown
  /** Whether the same call may succeed later without a change. Default false. */
  readonly retryable?: boolean
  readonly cause?: unknown
}

/**
 * An error that a program can act on: `code` is stable and upper case, `message` names the value and the
 * limit, `hint` a way out. Everything Millrace throws on purpose is one of these.
 */
export class CodedError extends Error {
  readonly code: string
  readonly hint: string | undefined
  readonly details: unknown
  readonly retryable: boolean

  constructor(code: string, message: string, options: CodedErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'CodedError'
    this.code = code
    this.hint = options.hint
    this.details = options.details
    this.retryable = options.retryable ?? false
  }
}

/** The code of any thrown value: a CodedError's own, else a system error's (`ECONNREFUSED`), else `INTERNAL`. */
export function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  return 'INTERNAL'
}

/** A message for any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
