import {
  addChunks,
  addColbertRows,
  addDocuments,
  addStored,
  addTermRows,
  batchesOf,
  type Db,
  type FlatChunk,
  type FlatParent,
  type StartedImport,
  type TextOutput,
} from '@millrace/store'
import { textHash } from '@millrace/text'
import { refuseMetadata } from '../accept.js'
import type { Limits } from '../settings.js'
import { badArchive } from './archive.js'
import { arrayBytes, arrayKinds, rowsOf } from './arrays.js'
import { PART_KINDS, type PartKind } from './entries.js'
import { chunkLine, colbertLine, documentLine, movedDocument, parentLine, termsLine } from './format.js'
import { readLines } from './lines.js'
import { type NpyArray, readNpy } from './npy.js'

/** Where a part goes. */
export interface PartTarget {
  readonly db: Db
  readonly to: StartedImport
  readonly outputs: readonly TextOutput[]
  /** Put before a chunk when it was embedded; null: the vectors are the caller's, and say nothing of a text. */
  readonly instruction: string | null
  readonly settings: { readonly limits: Pick<Limits, 'metadataBytes'> }
}

/** A document of the part that is being read. */
interface Expected {
  readonly id: number
  readonly revision: number
  readonly characters: number
  /** Null: it has none here. */
  readonly chunks: number | null
  readonly file: { readonly entry: string; readonly sha256: Buffer | null } | null
  chunksSeen: number
  parentsSeen: number
  fileSeen: boolean
}

/** Documents and all that belongs to them. What is in it is checked against nothing but the part. */
export interface Part {
  readonly number: number
  /** Of the entry before: they come in an order. */
  kind: PartKind
  readonly documents: Map<string, Expected>
  /** Hashes that chunks have, and those whose vectors, terms and token vectors have come. */
  readonly wanted: Set<string>
  readonly vectors: Set<string>
  readonly terms: Set<string>
  readonly colbert: Set<string>
  /** Columns of the vectors of a piece, until all of them have come. */
  readonly arrays: Map<string, NpyArray>
  chunks: number
  tokens: number
}

export const newPart = (number: number): Part => ({
  number,
  kind: 'documents',
  documents: new Map(),
  wanted: new Set(),
  vectors: new Set(),
  terms: new Set(),
  colbert: new Set(),
  arrays: new Map(),
  chunks: 0,
  tokens: 0,
})

/** Written in one transaction: PGlite answers nobody meanwhile. */
const BATCH_BYTES = { server: 4 * 1024 * 1024, embedded: 256 * 1024 } as const

const keyOf = (hash: Buffer): string => hash.toString('latin1')

/** @throws CodedError BAD_ARCHIVE when an entry of that kind cannot come now */
export function advance(part: Part, kind: PartKind, name: string): void {
  if (PART_KINDS.indexOf(kind) < PART_KINDS.indexOf(part.kind)) {
    throw badArchive(name, `stands behind ${part.kind}, where ${PART_KINDS.join(', ')} is the order`)
  }
  part.kind = kind
}

export async function takeDocuments(
  target: PartTarget,
  part: Part,
  name: string,
  bytes: Buffer,
): Promise<void> {
  const lines = readLines(name, bytes, documentLine)
  for (const { id, state, chunks, tokens, publishedAt, origin, metadata, url } of lines) {
    const where = `document ${JSON.stringify(id.slice(0, 100))}`
    if (Buffer.byteLength(id) > 512) throw badArchive(name, `${where} has an id of more than 512 bytes`)
    if (part.documents.has(id)) throw badArchive(name, `${where} is there twice`)
    const wrong = refuseMetadata({ metadata }, target.settings.limits)
    if (wrong !== undefined) throw badArchive(name, `${where}: ${wrong.message}`)
    if (url !== null && !/^https?:\/\//i.test(url))
      throw badArchive(name, `${where} has a URL that is not http or https`)
    const isWhole = state === 'ready' && chunks !== null && tokens !== null && publishedAt !== null
    const isBare = state !== 'ready' && chunks === null && publishedAt === null
    if (!isWhole && !isBare)
      throw badArchive(name, `${where}: state, chunks, tokens and publishedAt do not go together`)
    if ((origin === 'vectors') !== (target.instruction === null) || (isBare && origin === 'vectors')) {
      throw badArchive(name, `${where}: its origin is ${origin}, which the domain's documents do not have so`)
    }
  }
  const rows = lines.map(movedDocument)
  const sizeOf = (row: (typeof rows)[number]) => Buffer.byteLength(row.text) + 500
  let at = 0
  for (const batch of batchesOf(rows, sizeOf, BATCH_BYTES[target.db.kind])) {
    for (const row of await addDocuments(target.db, target.to, batch)) {
      const file = lines[at++]?.file ?? null
      part.documents.set(row.externalId, {
        id: row.id,
        revision: row.revision,
        characters: row.text.length,
        chunks: row.chunks,
        file: file === null || file.entry === null ? null : { entry: file.entry, sha256: file.sha256 },
        chunksSeen: 0,
        parentsSeen: 0,
        fileSeen: false,
      })
      part.tokens += row.tokens ?? 0
    }
  }
}

/** The document that a file is of. @throws CodedError BAD_ARCHIVE */
export function ownerOfFile(
  part: Part,
  name: string,
): { readonly id: number; readonly sha256: Buffer | null } {
  for (const document of part.documents.values()) {
    if (document.file?.entry !== name || document.fileSeen) continue
    document.fileSeen = true
    return { id: document.id, sha256: document.file.sha256 }
  }
  throw badArchive(name, 'is a file of no document of its part')
}

interface SpanLine {
  readonly document: string
  readonly ordinal: number
  readonly start: number
  readonly end: number
}

function ownerOf(part: Part, name: string, line: SpanLine, next: 'chunksSeen' | 'parentsSeen'): Expected {
  const document = part.documents.get(line.document)
  const where = `${line.ordinal} of ${JSON.stringify(line.document.slice(0, 100))}`
  if (document === undefined || document.chunks === null)
    throw badArchive(name, `${where} has no such document that is ready`)
  if (line.ordinal !== document[next]) throw badArchive(name, `${where} should be ${document[next]}`)
  if (line.start > line.end || line.end > document.characters) {
    throw badArchive(
      name,
      `${where} is from ${line.start} to ${line.end} of ${document.characters} characters`,
    )
  }
  document[next]++
  return document
}

export async function takeParents(
  target: PartTarget,
  part: Part,
  name: string,
  bytes: Buffer,
): Promise<void> {
  const rows = readLines(name, bytes, parentLine).map((line): FlatParent => {
    const { id, revision } = ownerOf(part, name, line, 'parentsSeen')
    const { document: _, start, end, ...rest } = line
    return { ...rest, startAt: start, endAt: end, documentId: id, revision }
  })
  const sizeOf = (row: FlatParent) => Buffer.byteLength(row.text) + 300
  for (const batch of batchesOf(rows, sizeOf, BATCH_BYTES[target.db.kind])) {
    await addChunks(target.db, target.to, [], batch)
  }
}

export async function takeChunks(target: PartTarget, part: Part, name: string, bytes: Buffer): Promise<void> {
  const { instruction } = target
  const rows = readLines(name, bytes, chunkLine).map((line): FlatChunk => {
    const { id, revision, parentsSeen } = ownerOf(part, name, line, 'chunksSeen')
    const { document, start, end, ...rest } = line
    const where = `${line.ordinal} of ${JSON.stringify(document.slice(0, 100))}`
    if (line.parent !== null && line.parent >= parentsSeen)
      throw badArchive(name, `${where} has a parent that is not there`)
    if (
      instruction !== null &&
      !textHash('document', instruction + line.context + line.text).equals(line.hash)
    ) {
      throw badArchive(name, `${where} is not the text that its hash is of`)
    }
    part.wanted.add(keyOf(line.hash))
    return { ...rest, startAt: start, endAt: end, documentId: id, revision }
  })
  const sizeOf = (row: FlatChunk) => Buffer.byteLength(row.text) + Buffer.byteLength(row.context) + 400
  for (const batch of batchesOf(rows, sizeOf, BATCH_BYTES[target.db.kind])) {
    await addChunks(target.db, target.to, batch, [])
  }
  part.chunks += rows.length
}

/** A column of the vectors of a piece; with the last of them they are written. */
export async function takeArray(
  target: PartTarget,
  part: Part,
  name: string,
  { array, bytes }: { readonly array: string; readonly bytes: Buffer },
): Promise<void> {
  const { form } = target.to
  const kinds = arrayKinds(form)
  const kind = kinds[part.arrays.size]
  if (kind === undefined || kind.name !== array) {
    throw badArchive(
      name,
      `comes where ${kind?.name ?? 'nothing'} should: storage ${form.storage} has ${kinds.map((one) => one.name).join(', ')}`,
    )
  }
  const read = readNpy(bytes)
  if (typeof read === 'string') throw badArchive(name, read)
  if (read.type !== kind.type || read.columns !== kind.columns) {
    throw badArchive(
      name,
      `has ${read.columns} of ${read.type} a row, where storage ${form.storage} of ${form.dims} dims has ${kind.columns} of ${kind.type}`,
    )
  }
  const count = part.arrays.get('hashes')?.rows ?? read.rows
  if (read.rows !== count) throw badArchive(name, `has ${read.rows} rows, its hashes ${count}`)
  part.arrays.set(array, read)
  if (part.arrays.size < kinds.length) return
  const rows = rowsOf(form, part.arrays)
  part.arrays.clear()
  if (typeof rows === 'string') throw badArchive(name, rows)
  for (const { hash } of rows) note(part, part.vectors, hash, name)
  for (const batch of batchesOf(rows, () => arrayBytes(form), BATCH_BYTES[target.db.kind])) {
    await addStored(target.db, target.to, batch)
  }
}

/** @throws CodedError BAD_ARCHIVE for one that no chunk of the part has, or that is there twice */
function note(part: Part, seen: Set<string>, hash: Buffer, name: string): void {
  const key = keyOf(hash)
  if (!part.wanted.has(key)) throw badArchive(name, `${hash.toString('hex')} is of no chunk of its part`)
  if (seen.has(key)) throw badArchive(name, `${hash.toString('hex')} is there twice`)
  seen.add(key)
}

export async function takeTerms(target: PartTarget, part: Part, name: string, bytes: Buffer): Promise<void> {
  const rows = readLines(name, bytes, termsLine).map(({ hash, ids, weights }) => {
    note(part, part.terms, hash, name)
    const isAscending = ids.every((id, i) => i === 0 || id > (ids[i - 1] ?? 0))
    if (ids.length !== weights.length || !isAscending) {
      throw badArchive(name, `${hash.toString('hex')} has terms that are not ascending, or other weights`)
    }
    return { hash, terms: { ids: Int32Array.from(ids), weights: Float32Array.from(weights) } }
  })
  for (const batch of batchesOf(
    rows,
    ({ terms }) => 100 + 24 * terms.ids.length,
    BATCH_BYTES[target.db.kind],
  )) {
    await addTermRows(target.db, target.to, batch)
  }
}

export async function takeColbert(
  target: PartTarget,
  part: Part,
  name: string,
  bytes: Buffer,
): Promise<void> {
  const rows = readLines(name, bytes, colbertLine).map(({ hash, tokens, dims, bits }) => {
    note(part, part.colbert, hash, name)
    const own = Buffer.from(bits, 'base64')
    if (own.length !== tokens * Math.ceil(dims / 8)) {
      throw badArchive(
        name,
        `${hash.toString('hex')} has ${own.length} bytes for ${tokens} tokens of ${dims} dims`,
      )
    }
    return { hash, tokens, dims, bits: own }
  })
  for (const batch of batchesOf(rows, ({ bits }) => 100 + bits.length, BATCH_BYTES[target.db.kind])) {
    await addColbertRows(target.db, target.to, batch)
  }
}

/** Everything that the documents of the part need has come. @throws CodedError BAD_ARCHIVE */
export function closePart({ outputs }: Pick<PartTarget, 'outputs'>, part: Part): void {
  const folder = `part-${String(part.number).padStart(5, '0')}`
  const lack = (reason: string) => badArchive(folder, reason)
  for (const [id, { chunks, chunksSeen, file, fileSeen }] of part.documents) {
    const where = `document ${JSON.stringify(id.slice(0, 100))}`
    if (chunksSeen !== (chunks ?? 0))
      throw lack(`${where} has ${chunksSeen} chunks, and should have ${chunks}`)
    if (file !== null && !fileSeen) throw lack(`${where} lacks its file`)
  }
  if (part.arrays.size > 0) throw lack('vectors lack some of their columns')
  const needed: [string, Set<string>][] = [['vectors', part.vectors]]
  if (outputs.includes('sparse')) needed.push(['terms', part.terms])
  if (outputs.includes('colbert')) needed.push(['colbert', part.colbert])
  for (const [what, seen] of needed) {
    if (seen.size < part.wanted.size) throw lack(`${part.wanted.size - seen.size} texts lack ${what}`)
  }
}
