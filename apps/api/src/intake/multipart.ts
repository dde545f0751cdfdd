import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { MultipartFile } from '@fastify/multipart'
import { CodedError, messageOf } from '@millrace/errors'
import type { FileBytes, Given, Limits, Reason } from '@millrace/flow'
import { PART_BYTES } from '@millrace/store'
import type { FastifyRequest } from 'fastify'
import secureJson from 'secure-json-parse'
import { z } from 'zod'

/** Files that are kept in one transaction. */
const SLICE_FILES = 64
const SLICE_BYTES = 16 * 1024 * 1024

/** Parts before a file that describe it. */
interface Described {
  id?: string | undefined
  title?: string | undefined
  metadata?: Readonly<Record<string, unknown>> | undefined
  wrong?: Reason | undefined
}

const metadataIn = z.record(z.string(), z.unknown())

/**
 * Hands the files of a multipart body to `take`, slice by slice. A file goes to a temporary one as it arrives, never
 * whole into memory, and is gone when its slice was taken. One that is too large is refused alone.
 * @throws CodedError INVALID_REQUEST for parts that say nothing we know, BODY_INCOMPLETE when the body broke off
 */
export async function takeFiles(
  request: FastifyRequest,
  limits: Limits,
  take: (slice: readonly Given[], bytes: FileBytes) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-files-'))
  let slice: Given[] = []
  let size = 0
  let index = 0
  let described: Described = {}
  const pathOf = (at: number) => join(folder, String(at))
  const hand = async () => {
    if (slice.length === 0) return
    await take(slice, (at) => createReadStream(pathOf(at), { highWaterMark: PART_BYTES }))
    for (const one of slice) await rm(pathOf(one.index), { force: true })
    slice = []
    size = 0
  }
  const parts = request.parts({
    preservePath: true,
    limits: {
      fileSize: limits.fileBytes,
      fieldSize: limits.metadataBytes,
      files: Number.POSITIVE_INFINITY,
      fields: Number.POSITIVE_INFINITY,
      parts: Number.POSITIVE_INFINITY,
    },
  })
  try {
    for await (const part of parts) {
      if (part.type === 'field') {
        described = describe(described, part.fieldname, part.value, limits)
        continue
      }
      const { given, bytes } = await receive(part, index, described, pathOf(index), limits)
      slice.push(given)
      size += bytes
      index++
      described = {}
      if (slice.length >= SLICE_FILES || size >= SLICE_BYTES) await hand()
    }
    await hand()
  } catch (error) {
    // What arrived whole is taken all the same.
    if (!(error instanceof CodedError)) await hand()
    throw brokenOff(error)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What the parser of parts says of a body that ended too soon or is none. */
const brokenOff = (error: unknown): unknown =>
  error instanceof CodedError
    ? error
    : new CodedError('BODY_INCOMPLETE', `The multipart body cannot be read to its end: ${messageOf(error)}`, {
        hint: 'What arrived whole is kept; submit it again, unchanged documents cost nothing',
        cause: error,
      })

function describe(before: Described, name: string, value: unknown, limits: Limits): Described {
  if (typeof value !== 'string') return before
  if (Buffer.byteLength(value) >= limits.metadataBytes) {
    const message = `The part ${name} has ${limits.metadataBytes} bytes or more, the limit`
    return { ...before, wrong: { code: 'METADATA_TOO_LONG', message } }
  }
  switch (name) {
    case 'id':
      return { ...before, id: value }
    case 'title':
      return { ...before, title: value }
    case 'metadata': {
      const metadata = readMetadata(value)
      return metadata === undefined ? { ...before, wrong: NO_METADATA } : { ...before, metadata }
    }
    default:
      throw new CodedError('INVALID_REQUEST', `A part "${name.slice(0, 100)}" is not known`, {
        hint: 'Send files, each after the parts id, title and metadata that describe it',
      })
  }
}

const NO_METADATA: Reason = {
  code: 'INVALID_METADATA',
  message: 'The part metadata before this file is no JSON object',
}

function readMetadata(json: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return metadataIn.parse(secureJson.parse(json, { protoAction: 'error', constructorAction: 'error' }))
  } catch {
    return undefined
  }
}

/** A part without a type counts as text (RFC 7578, 4.4), and many clients send none: that says nothing of a file. */
export const typeOf = ({ mimetype }: Pick<MultipartFile, 'mimetype'>): string | null =>
  mimetype === '' || mimetype === 'text/plain' ? null : mimetype

async function receive(
  part: MultipartFile,
  index: number,
  described: Described,
  path: string,
  limits: Limits,
): Promise<{ readonly given: Given; readonly bytes: number }> {
  const hash = createHash('sha256')
  let bytes = 0
  const count = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      hash.update(chunk)
      bytes += chunk.length
      done(null, chunk)
    },
  })
  await pipeline(part.file, count, createWriteStream(path))
  const { wrong, ...document } = described
  const id = document.id ?? part.filename
  if (part.file.truncated) {
    const message = `The file has more than ${limits.fileBytes} bytes, the limit`
    return { given: { index, id, refusal: { code: 'FILE_TOO_LARGE', message } }, bytes }
  }
  if (wrong !== undefined) return { given: { index, id, refusal: wrong }, bytes }
  const file = { name: part.filename, type: typeOf(part), hash: hash.digest() }
  return { given: { index, document: { ...document, file } }, bytes }
}
