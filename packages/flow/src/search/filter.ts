import { CodedError } from '@millrace/errors'
import { refuseEscapes, refuseNumbers } from '../accept.js'

/** Filters in filters, as millrace.compile_group counts them. */
const DEPTH_MAX = 8
/** An object and a list for each but the innermost, whose comparisons are an object with a list in it. */
const NESTING_MAX = 2 * (DEPTH_MAX - 1) + 3
/** As JSON; millrace.compile_filter has the same. */
const BYTES_MAX = 1_048_576

/**
 * What has to be known of a filter before it can be handed to Postgres: how deep and long it is, and that jsonb holds
 * its texts and numbers. Everything else is refused by millrace.compile_filter, for SQL as for HTTP.
 * @throws CodedError INVALID_FILTER
 */
export function checkFilter(filter: Readonly<Record<string, unknown>>): void {
  // Level by level: recursion would overflow the stack before it knew the depth.
  let level: unknown[] = [filter]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > NESTING_MAX) {
      throw invalid(
        `The filter is nested deeper than ${DEPTH_MAX}`,
        'Several fields in one object all hold: that needs no "and"',
      )
    }
    level = level.flatMap((item) => (item !== null && typeof item === 'object' ? Object.values(item) : []))
  }
  const json = JSON.stringify(filter)
  if (Buffer.byteLength(json) > BYTES_MAX) {
    throw invalid(
      `The filter is longer than ${BYTES_MAX} bytes`,
      'Mark the documents you mean in their metadata',
    )
  }
  const wrong = refuseEscapes('filter', json) ?? refuseNumbers('filter', filter)
  if (wrong !== undefined) throw invalid(wrong.message, 'No document has that in its metadata')
}

const invalid = (message: string, hint: string) => new CodedError('INVALID_FILTER', message, { hint })
