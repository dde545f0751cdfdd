import type { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createBrotliDecompress, createUnzip } from 'node:zlib'
import { badAnswer, tooLarge } from './errors.js'

/** What the requests say they take; no more is decoded. */
export const ENCODINGS = 'gzip, deflate, br'

/** Room for what a coding adds to bytes that do not shrink. */
const CODING_BYTES = 64 * 1024

/**
 * Reads a body to its end, decoded, and hangs up as soon as it is too long: a bomb costs no more than a file of the
 * size that is allowed. What arrives is counted too, since a coding can say nothing in any number of bytes.
 * @param contentEncoding the header's value
 * @param bytesMax after decoding
 * @throws CodedError URL_TOO_LARGE, URL_BAD_ANSWER; errors of the stream and of the decoder
 */
export async function readBody(
  body: Readable,
  contentEncoding: string | undefined,
  { url, bytesMax }: { readonly url: URL; readonly bytesMax: number },
): Promise<Buffer> {
  const chunks: Buffer[] = []
  async function collect(source: AsyncIterable<Buffer>): Promise<void> {
    for await (const chunk of bounded(source, bytesMax)) chunks.push(chunk)
  }
  async function* bounded(source: AsyncIterable<Buffer>, max: number) {
    let bytes = 0
    for await (const chunk of source) {
      bytes += chunk.length
      if (bytes > max) throw tooLarge(url, bytesMax)
      yield chunk
    }
  }
  const decoder = decoderOf(contentEncoding, url)
  if (decoder === undefined) await pipeline(body, collect)
  else await pipeline(body, (source) => bounded(source, bytesMax + CODING_BYTES), decoder, collect)
  return Buffer.concat(chunks)
}

function decoderOf(contentEncoding: string | undefined, url: URL): Transform | undefined {
  const codings = (contentEncoding ?? '')
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'identity')
  const [coding] = codings
  if (coding === undefined) return undefined
  if (codings.length === 1) {
    // It looks at the first bytes, and takes gzip and deflate whichever was announced.
    if (['gzip', 'x-gzip', 'deflate'].includes(coding)) return createUnzip()
    if (coding === 'br') return createBrotliDecompress()
  }
  throw badAnswer(url, `its content-encoding is ${codings.join(', ').slice(0, 100)}`)
}
