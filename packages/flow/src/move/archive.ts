import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { CodedError, messageOf } from '@millrace/errors'
import { extract } from 'tar-stream'
import { CHECKSUMS, type EntryName, parseName } from './entries.js'

/** What an archive has wrong, and where. */
export const badArchive = (entry: string | null, reason: string, cause?: unknown): CodedError =>
  new CodedError('BAD_ARCHIVE', entry === null ? `The archive ${reason}` : `${entry}: ${reason}`, {
    hint: 'Nothing of it was kept. Export the domain again, and import the file as it was written',
    details: { entry, reason },
    cause,
  })

/** An entry whose bytes come as they arrive; they have to be read before the next one is asked for. */
export interface ArrivingEntry {
  readonly name: string
  readonly says: EntryName
  readonly size: number
  readonly bytes: AsyncIterable<Buffer>
}

/** The entries of a tar, one after the other. @throws CodedError BAD_ARCHIVE, BODY_INCOMPLETE */
export async function* readArchive(stream: Readable): AsyncGenerator<ArrivingEntry> {
  const tar = extract()
  stream.on('error', (error) => tar.destroy(error))
  stream.on('close', () => {
    if (!stream.readableEnded) tar.destroy(new Error('aborted'))
  })
  stream.pipe(tar as unknown as NodeJS.WritableStream)
  let last: string | null = null
  try {
    for await (const source of tar) {
      const { header } = source
      // As `tar` itself packs a folder.
      if (header.type === 'directory') continue
      const name = header.name.replace(/^(?:\.\/)+/, '')
      const says = header.type === 'file' ? parseName(name) : undefined
      if (says === undefined)
        throw badArchive(name.slice(0, 200).toWellFormed(), 'is no part of an archive of a domain')
      last = name
      yield { name, says, size: header.size, bytes: piecesOf(source as AsyncIterable<Buffer>, name) }
    }
  } catch (error) {
    throw brokenOff(error, last)
  } finally {
    stream.unpipe()
    tar.destroy()
    // Whoever writes all of it before it reads the answer would wait for ever.
    stream.resume()
  }
}

async function* piecesOf(source: AsyncIterable<Buffer>, name: string): AsyncGenerator<Buffer> {
  try {
    yield* source
  } catch (error) {
    throw brokenOff(error, name)
  }
}

/** What tar-stream says of bytes that are no tar; of a connection that was closed it says what the socket does. */
const NO_TAR = /tar|checksum|header/i
/** The last bytes had come, and were no whole block. */
const CUT = /unexpected end of data/i

/** @param last the entry that came last */
function brokenOff(error: unknown, last: string | null): unknown {
  if (error instanceof CodedError) return error
  const message = messageOf(error)
  if (NO_TAR.test(message) || CUT.test(message)) {
    if (last === CHECKSUMS) return badArchive(null, `has more bytes behind ${CHECKSUMS}, its end`, error)
    if (last !== null) return badArchive(last, `the file is cut off in it or behind it: ${message}`, error)
    return badArchive(null, `is no tar that can be read: ${message}`, error)
  }
  return new CodedError('BODY_INCOMPLETE', 'The archive broke off before its end', {
    hint: 'Nothing of it was kept: import it again',
    cause: error,
  })
}

export interface WholeEntry {
  readonly bytes: Buffer
  readonly sha256: string
}

/** All bytes of an entry. @throws CodedError BAD_ARCHIVE when there are more than `most` */
export async function readWhole({ name, size, bytes }: ArrivingEntry, most: number): Promise<WholeEntry> {
  if (size > most) throw badArchive(name, `has ${size} bytes, ${most} are the most that an entry may have`)
  const hash = createHash('sha256')
  const pieces: Buffer[] = []
  for await (const piece of bytes) {
    hash.update(piece)
    pieces.push(piece)
  }
  return { bytes: Buffer.concat(pieces), sha256: hash.digest('hex') }
}
