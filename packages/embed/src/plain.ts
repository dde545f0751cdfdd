import { CodedError, codeOf, messageOf } from '@millrace/errors'
import type { PlainError } from './protocol.js'

/** Any thrown value as plain data, to be sent to another thread. */
export function toPlain(error: unknown): PlainError {
  const plain = { code: codeOf(error), message: messageOf(error) }
  if (!(error instanceof CodedError)) return { ...plain, retryable: false }
  return { ...plain, retryable: error.retryable, ...(error.hint === undefined ? {} : { hint: error.hint }) }
}

export function fromPlain({ code, message, hint, retryable }: PlainError): CodedError {
  return new CodedError(code, message, { retryable, ...(hint === undefined ? {} : { hint }) })
}
