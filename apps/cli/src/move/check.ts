import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { CodedError, messageOf } from '@millrace/errors'
import { type Extract, extract } from 'tar-stream'
import { z } from 'zod'

const CHECKSUMS = 'checksums.json'
const MANIFEST = 'manifest.json'

const checksumsSchema = z.object({
  entries: z.record(z.string(), z.object({ sha256: z.string() })),
  counts: z.record(z.string(), z.number()),
})
const manifestSchema = z.object({ documents: z.number(), domain: z.object({ name: z.string() }) })

export interface Checked {
  /** Documents, chunks, vectors, files, golden. */
  readonly counts: Readonly<Record<string, number>>
  readonly bytes: number
}

/**
 * Hands on an archive piece by piece, and reads it meanwhile: that it is whole, and what was written.
 * @throws CodedError BAD_ARCHIVE when it is not
 */
export async function checkArchive(
  pieces: AsyncIterable<Uint8Array>,
  take: (piece: Uint8Array) => Promise<void>,
  onDocuments: (done: number, total: number) => void,
): Promise<Checked> {
  const tar = extract()
  const reading = readEntries(tar, onDocuments).catch((error: unknown) => {
    throw error instanceof CodedError ? error : broken(messageOf(error))
  })
  // Seen below; a failure of the source comes first.
  reading.catch(() => undefined)
  let bytes = 0
  try {
    for await (const piece of pieces) {
      bytes += piece.length
      await take(piece)
      if (!tar.write(piece) && !tar.destroying) await Promise.race([once(tar as never, 'drain'), reading])
    }
    tar.end(undefined)
    return { counts: await reading, bytes }
  } catch (error) {
    tar.destroy()
    throw error
  }
}

async function readEntries(
  tar: Extract,
  onDocuments: (done: number, total: number) => void,
): Promise<Readonly<Record<string, number>>> {
  const sums = new Map<string, string>()
  let total = 0
  let done = 0
  let last: Buffer | undefined
  for await (const source of tar) {
    const { name } = source.header
    const isKept = name === MANIFEST || name === CHECKSUMS
    const isDocuments = name.includes('/documents-')
    const hash = createHash('sha256')
    const kept: Buffer[] = []
    for await (const piece of source as AsyncIterable<Buffer>) {
      hash.update(piece)
      if (isKept) kept.push(piece)
      if (isDocuments) done += linesIn(piece)
    }
    sums.set(name, hash.digest('hex'))
    last = name === CHECKSUMS ? Buffer.concat(kept) : undefined
    if (name === MANIFEST) total = manifestSchema.parse(JSON.parse(Buffer.concat(kept).toString())).documents
    onDocuments(done, total)
  }
  if (last === undefined) throw broken(`it ends before ${CHECKSUMS}`)
  const { entries, counts } = checksumsSchema.parse(JSON.parse(last.toString()))
  for (const [name, { sha256 }] of Object.entries(entries)) {
    if (sums.get(name) !== sha256) throw broken(`${name} is not what was written`)
  }
  return counts
}

function linesIn(piece: Buffer): number {
  let lines = 0
  for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, at + 1)) lines++
  return lines
}

const broken = (why: string) =>
  new CodedError('BAD_ARCHIVE', `The archive did not come whole: ${why}`, { hint: 'Run it again' })

/** Sizes of the head of a tar entry and where its name and size stand (POSIX, pax, "ustar Interchange Format"). */
const BLOCK = 512
const SIZE_AT = 124
const SIZE_CHARS = 12
const TYPE_AT = 156
const MANIFEST_MAX = 16 * 1024 * 1024

/** The name of the domain that an archive is of, and the archive from its beginning. @throws CodedError BAD_ARCHIVE */
export async function peekDomain(
  pieces: AsyncIterable<Uint8Array>,
): Promise<{ readonly domain: string; readonly bytes: AsyncGenerator<Uint8Array> }> {
  const rest = pieces[Symbol.asyncIterator]()
  let head = Buffer.alloc(0)
  let need = BLOCK
  let start = 0
  while (head.length < need) {
    const next = await rest.next()
    if (next.done === true) break
    head = Buffer.concat([head, next.value])
    // As `tar` itself packs a folder: it comes before what is in it.
    while (need === start + BLOCK && head.length >= need && isFolder(head.subarray(start))) {
      start += BLOCK
      need += BLOCK
    }
    if (need === start + BLOCK && head.length >= need) need += manifestBytes(head.subarray(start))
  }
  const domain = domainIn(head.subarray(start + BLOCK, need))
  return { domain, bytes: again(head, rest) }
}

async function* again(head: Buffer, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield head
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value
}

const isFolder = (head: Buffer): boolean => head[TYPE_AT] === '5'.charCodeAt(0)

function manifestBytes(head: Buffer): number {
  const name = head
    .toString('latin1', 0, 100)
    .replace(/\0.*/s, '')
    .replace(/^(?:\.\/)+/, '')
  const size = Number.parseInt(head.toString('latin1', SIZE_AT, SIZE_AT + SIZE_CHARS), 8)
  if (name === MANIFEST && size <= MANIFEST_MAX) return size
  throw noArchive()
}

function domainIn(bytes: Buffer): string {
  try {
    return manifestSchema.parse(JSON.parse(bytes.toString())).domain.name
  } catch (error) {
    throw noArchive(error)
  }
}

const noArchive = (cause?: unknown) =>
  new CodedError(
    'BAD_ARCHIVE',
    `This is no archive of a domain${cause === undefined ? '' : `: ${messageOf(cause)}`}`,
    {
      hint: 'Give it the file that millrace export wrote',
      cause,
    },
  )
