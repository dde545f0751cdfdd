import { CodedError } from '@millrace/errors'

/** The number of an id that counts rows; undefined for what cannot be one. */
export const numberOf = (id: string): number | undefined =>
  /^[1-9]\d{0,15}$/.test(id) ? Number(id) : undefined

const invalidCursor = (cursor: string): CodedError =>
  new CodedError('INVALID_CURSOR', 'The cursor is not one that a listing gave', {
    hint: 'Leave it out to begin at the start',
    details: { cursor },
  })

/** Where a listing in the order of numbers goes on. @throws CodedError INVALID_CURSOR */
export function readNumber(cursor: string): number {
  const number = numberOf(cursor)
  if (number === undefined) throw invalidCursor(cursor)
  return number
}

/** Where a listing in the order of texts goes on. @throws CodedError INVALID_CURSOR */
export function readText(cursor: string): string {
  const after = Buffer.from(cursor, 'base64url').toString()
  if (after === '' || after.includes('\0') || writeText(after) !== cursor) throw invalidCursor(cursor)
  return after
}

export const writeText = (after: string): string => Buffer.from(after).toString('base64url')
