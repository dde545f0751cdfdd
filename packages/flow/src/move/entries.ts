import { type Form, fitting, type Slice } from '@millrace/store'
import { arrayBytes, arraysOf } from './arrays.js'
import { chunkJson, colbertJson, documentJson, ENTRY_BYTES, parentJson, termsJson } from './format.js'
import { writeNpy } from './npy.js'

/** A file of an archive. `isFile`: a document's own, whose hash stands with the document. */
export interface Entry {
  readonly name: string
  readonly pieces: readonly Buffer[]
  readonly isFile: boolean
}

export const MANIFEST = 'manifest.json'
export const CHECKSUMS = 'checksums.json'

/** Kinds of entries of a part, in the order in which they come. */
export const PART_KINDS = ['documents', 'files', 'parents', 'chunks', 'vectors', 'terms', 'colbert'] as const
export type PartKind = (typeof PART_KINDS)[number]

/** What an entry's name says. */
export type EntryName =
  | { readonly kind: 'manifest' }
  | { readonly kind: 'checksums' }
  | { readonly kind: 'golden' }
  | { readonly kind: Exclude<PartKind, 'vectors'>; readonly part: number }
  | { readonly kind: 'vectors'; readonly part: number; readonly piece: number; readonly array: string }

const NAMED =
  /^part-(\d{5,9})\/(?:(documents|parents|chunks|terms|colbert)-\d+\.ndjson|(files)\/\d+|vectors-(\d+)\.([a-z-]+)\.npy)$/

/** Undefined for what is in no archive of ours. */
export function parseName(name: string): EntryName | undefined {
  if (name === MANIFEST) return { kind: 'manifest' }
  if (name === CHECKSUMS) return { kind: 'checksums' }
  if (/^golden-\d+\.ndjson$/.test(name)) return { kind: 'golden' }
  const [, part, lines, files, piece, array] = NAMED.exec(name) ?? []
  if (part === undefined) return undefined
  const kind = (lines ?? files) as Exclude<PartKind, 'vectors'> | undefined
  if (kind !== undefined) return { kind, part: Number(part) }
  return { kind: 'vectors', part: Number(part), piece: Number(piece), array: array ?? '' }
}

const partName = (part: number): string => `part-${String(part).padStart(5, '0')}`

/** The entries of one part: documents and all that belongs to them, so that a part can be checked by itself. */
export function* entriesOf(part: number, form: Form, slice: Slice): Generator<Entry> {
  const folder = partName(part)
  const fileEntry = new Map(
    slice.documents.flatMap(({ externalId }, i) =>
      slice.files.has(externalId) ? [[externalId, `${folder}/files/${i + 1}`] as const] : [],
    ),
  )
  yield* linesOf(
    `${folder}/documents`,
    slice.documents.map((row) => documentJson(row, fileEntry.get(row.externalId) ?? null)),
  )
  for (const [id, pieces] of slice.files) {
    const name = fileEntry.get(id)
    if (name !== undefined) yield { name, pieces, isFile: true }
  }
  yield* linesOf(`${folder}/parents`, slice.parents.map(parentJson))
  yield* linesOf(`${folder}/chunks`, slice.chunks.map(chunkJson))
  const rows = Math.max(1, Math.floor(ENTRY_BYTES / arrayBytes(form)))
  for (let at = 0, piece = 1; at < slice.vectors.length; at += rows, piece++) {
    for (const array of arraysOf(form, slice.vectors.slice(at, at + rows))) {
      yield entry(`${folder}/vectors-${piece}.${array.name}.npy`, writeNpy(array))
    }
  }
  yield* linesOf(`${folder}/terms`, slice.terms.map(termsJson))
  yield* linesOf(`${folder}/colbert`, slice.colbert.map(colbertJson))
}

export const entry = (name: string, bytes: Buffer): Entry => ({ name, pieces: [bytes], isFile: false })

/** A JSON line a row, in as many entries as it takes; none for no rows. */
export function* linesOf(name: string, rows: readonly object[]): Generator<Entry> {
  let left: readonly Buffer[] = rows.map((row) => Buffer.from(`${JSON.stringify(row)}\n`))
  for (let piece = 1; left.length > 0; piece++) {
    const now = fitting(left, (line) => line.length, ENTRY_BYTES)
    yield entry(`${name}-${piece}.ndjson`, Buffer.concat(now))
    left = left.slice(now.length)
  }
}
