import { CodedError } from '@millrace/errors'

/** What a schedule cannot be, with the value. */
export const badSchedule = (message: string, hint: string, details: object = {}): CodedError =>
  new CodedError('BAD_SCHEDULE', message, { hint, details })

const SHOWN_CHARS = 100

/** A value as it can be shown in a message. */
export function shownValue(value: unknown): string {
  const text = typeof value === 'string' ? `"${value}"` : (JSON.stringify(value) ?? String(value))
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS).toWellFormed()}…` : text.toWellFormed()
}
