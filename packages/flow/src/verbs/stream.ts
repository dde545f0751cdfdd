import { CodedError, codeOf, messageOf } from '@millrace/errors'
import secureJson from 'secure-json-parse'
import type { Given, Reason, SubmittedDocument } from '../accept.js'
import { type Line, linesOf } from '../lines.js'

/** Documents and bytes of lines that are kept in one transaction. */
const SLICE_DOCUMENTS = 2_000
const SLICE_BYTES = 4 * 1024 * 1024

export interface LineReader {
  /** Checks the types of one line's JSON. */
  readonly check: (value: unknown) => SubmittedDocument | Reason
  /** Bytes of a line at most; a longer one is refused alone. */
  readonly lineBytes: number
}

/**
 * Hands a stream of JSON lines to `take`, slice by slice, and reads on no sooner than the slice before the last one
 * was taken: two slices are in memory at most, however long the stream is. A bad line is refused alone.
 * @throws CodedError BODY_INCOMPLETE when the stream broke off; the whole lines before that were taken
 */
export async function takeLines(
  stream: AsyncIterable<Buffer>,
  reader: LineReader,
  take: (slice: readonly Given[]) => Promise<void>,
): Promise<void> {
  let slice: Given[] = []
  let bytes = 0
  let taking: Promise<void> = Promise.resolve()
  const hand = async () => {
    await taking
    const whole = slice
    slice = []
    bytes = 0
    taking = take(whole)
    // Seen at the next await; until then it is nobody's unhandled rejection.
    taking.catch(() => undefined)
  }
  try {
    for await (const line of linesOf(stream, reader.lineBytes)) {
      slice.push(readLine(line, reader))
      bytes += line.bytes?.length ?? 0
      if (slice.length >= SLICE_DOCUMENTS || bytes >= SLICE_BYTES) await hand()
    }
  } catch (error) {
    // What arrived whole before the stream broke is taken all the same; not after `take` itself failed.
    await taking
    if (slice.length > 0) await take(slice)
    throw brokenOff(error)
  }
  if (slice.length > 0) await hand()
  await taking
}

/** What a socket says that was closed while a body came in. */
const BROKEN = /ABORT|RESET|PREMATURE|HPE_|EPIPE/i

const brokenOff = (error: unknown): unknown =>
  error instanceof CodedError || !BROKEN.test(`${codeOf(error)} ${messageOf(error)}`)
    ? error
    : new CodedError('BODY_INCOMPLETE', 'The body broke off before its end', {
        hint: 'What arrived whole is kept; submit it again, unchanged documents cost nothing',
        cause: error,
      })

const utf8 = new TextDecoder('utf-8', { fatal: true })

export function readLine(line: Line, { check, lineBytes }: LineReader): Given {
  const { index, bytes } = line
  if (bytes === null) {
    return {
      index,
      refusal: { code: 'LINE_TOO_LONG', message: `The line has more than ${lineBytes} bytes, the limit` },
    }
  }
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    return { index, refusal: { code: 'INVALID_UTF8', message: 'The line is not UTF-8' } }
  }
  let value: unknown
  try {
    value = secureJson.parse(text, { protoAction: 'error', constructorAction: 'error' })
  } catch (error) {
    return { index, refusal: { code: 'INVALID_JSON', message: `The line is not JSON: ${messageOf(error)}` } }
  }
  const document = check(value)
  if (!('code' in document)) return { index, document }
  const id =
    value !== null && typeof value === 'object' && 'id' in value && typeof value.id === 'string'
      ? value.id
      : undefined
  return { index, id, refusal: document }
}
