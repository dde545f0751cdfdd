import type { ColbertRow } from '../colbert.js'
import { colbertTable } from '../colbert.js'
import type { Db, Tx } from '../connect.js'
import type { DocumentState, LayoutPart, Metadata, Origin, Place, TextOutput } from '../schema.js'
import { columnsOf, type Form } from '../storage/form.js'
import { type TermsRow, termsTable } from '../terms.js'
import { type StoredRow, vectorsTable } from '../vectors.js'
import { type RawRow, rawColumns, readStored, readTerms } from './raw.js'

/** A document with all that is kept of it. */
export interface MovedDocument {
  readonly externalId: string
  readonly title: string | null
  readonly text: string
  readonly metadata: Metadata
  readonly contentHash: Buffer
  readonly revision: number
  /** ready: its chunks and all their vectors are with it. */
  readonly state: DocumentState
  readonly source: string | null
  readonly origin: Origin
  readonly url: string | null
  readonly fileName: string | null
  readonly fileType: string | null
  readonly fileHash: Buffer | null
  readonly format: string | null
  readonly layout: readonly LayoutPart[] | null
  readonly warnings: readonly string[]
  readonly chunks: number | null
  readonly tokens: number | null
  readonly createdAt: Date
  readonly updatedAt: Date
  /** Null: readers do not see this revision. */
  readonly publishedAt: Date | null
}

interface MovedSpan {
  /** The document's own id. */
  readonly document: string
  readonly ordinal: number
  readonly startAt: number
  readonly endAt: number
  readonly text: string
  readonly headings: readonly string[]
  readonly place: Place | null
}

export type MovedParent = MovedSpan
export interface MovedChunk extends MovedSpan {
  readonly tokens: number
  readonly hash: Buffer
  readonly context: string
  readonly parent: number | null
}

/** Documents and everything that belongs to them, at one moment. */
export interface Slice {
  readonly documents: readonly MovedDocument[]
  /** Bytes of files as they were submitted or fetched, by the document's own id. */
  readonly files: ReadonlyMap<string, readonly Buffer[]>
  readonly parents: readonly MovedParent[]
  readonly chunks: readonly MovedChunk[]
  /** Of the texts of the chunks, each once. */
  readonly vectors: readonly StoredRow[]
  readonly terms: readonly TermsRow[]
  readonly colbert: readonly ColbertRow[]
}

/** Where documents are read from. */
export interface MoveSource {
  readonly domainId: number
  readonly generationId: number
  readonly form: Form
  readonly outputs: readonly TextOutput[]
}

const SLICE_DOCUMENTS = 500
/** In memory at a time, about; a document that is larger is a slice alone. PGlite stops for as long as it is read. */
const SLICE_BYTES = { server: 8 * 1024 * 1024, embedded: 2 * 1024 * 1024 } as const
/** Of vectors in one statement. */
const STATEMENT_BYTES = 2 * 1024 * 1024
/** A text is read as such and in its chunks, or in parents too. */
const COPIES = 3
/** Of a chunk beside its text and its vector; of a token's entry in the terms. */
const CHUNK_BYTES = 400
const TERM_BYTES = 16

/**
 * The documents after `after` in the order of their ids, as many as fit, and the last of these ids; undefined: there are
 * no more. In one snapshot: what comes, changes or goes meanwhile is in it whole or not at all.
 */
export const readSlice = (
  db: Db,
  source: MoveSource,
  after: string | null,
): Promise<{ readonly slice: Slice; readonly last: string } | undefined> =>
  db.transact(async (tx) => {
    await tx.query('set transaction isolation level repeatable read, read only')
    const ids = await chooseDocuments(tx, source, after)
    const last = ids.at(-1)
    if (last === undefined) return undefined
    return {
      slice: await readWhole(
        tx,
        source,
        ids.map(({ id }) => id),
      ),
      last: last.externalId,
    }
  })

interface Size {
  readonly id: number
  readonly externalId: string
  readonly textBytes: number
  readonly fileBytes: number
  readonly chunks: number
  readonly tokens: number
}

async function chooseDocuments(tx: Tx, source: MoveSource, after: string | null): Promise<readonly Size[]> {
  const sizes = await tx.query<Size>(
    `select d.id, d.external_id as "externalId", octet_length(d.text)::float8 as "textBytes",
       coalesce(d.chunks, 0) as chunks, coalesce(d.tokens, 0) as tokens, case when d.file_hash is null then 0 else (
         select coalesce(sum(octet_length(f.bytes)), 0)::float8 from millrace.file_parts f where f.document_id = d.id
       ) end as "fileBytes"
     from millrace.documents d
     where d.domain_id = $1 and ($2::text is null or d.external_id > $2) order by d.external_id limit ${SLICE_DOCUMENTS}`,
    [source.domainId, after],
  )
  return fitting(sizes, (size) => sizeOf(size, source), SLICE_BYTES[tx.kind])
}

/** Bytes in memory, about. */
function sizeOf(size: Size, { form, outputs }: Pick<MoveSource, 'form' | 'outputs'>): number {
  const tokenBytes =
    (outputs.includes('sparse') ? TERM_BYTES : 0) + (outputs.includes('colbert') ? form.dims / 8 : 0)
  return (
    COPIES * size.textBytes +
    size.fileBytes +
    size.chunks * (rowBytes(form) + CHUNK_BYTES) +
    size.tokens * tokenBytes
  )
}

const rowBytes = (form: Form): number => columnsOf(form).reduce((sum, { bytes }) => sum + bytes, 64)

/** The first ones that fit together into `most`; the first one always. */
export function fitting<T>(rows: readonly T[], bytesOf: (row: T) => number, most: number): readonly T[] {
  let bytes = 0
  const end = rows.findIndex((row, i) => {
    bytes += bytesOf(row)
    return i > 0 && bytes > most
  })
  return end < 0 ? rows : rows.slice(0, end)
}

async function readWhole(tx: Tx, source: MoveSource, ids: readonly number[]): Promise<Slice> {
  const documents = await readDocuments(tx, source, ids)
  const files = await readFiles(tx, ids)
  const chunks = await readChunks(tx, source, ids)
  const hashes = distinct(chunks.map(({ hash }) => hash))
  const slice: Slice = {
    documents,
    files,
    parents: await readParents(tx, source, ids),
    chunks,
    vectors: await readVectors(tx, source, hashes),
    terms: source.outputs.includes('sparse') ? await readTermRows(tx, source.generationId, hashes) : [],
    colbert: source.outputs.includes('colbert') ? await readColbertRows(tx, source.generationId, hashes) : [],
  }
  return wholeOnly(slice, source)
}

const distinct = (hashes: readonly Buffer[]): readonly Buffer[] => [
  ...new Map(hashes.map((hash) => [hash.toString('latin1'), hash])).values(),
]

const keysOf = (rows: readonly { readonly hash: Buffer }[]): ReadonlySet<string> =>
  new Set(rows.map(({ hash }) => hash.toString('latin1')))

/**
 * A document of which readers do not see this revision, or of which something is missing, is left with what was
 * submitted alone: whoever has it next prepares it.
 */
export function wholeOnly(slice: Slice, { outputs }: Pick<MoveSource, 'outputs'>): Slice {
  const kept = [keysOf(slice.vectors)]
  if (outputs.includes('sparse')) kept.push(keysOf(slice.terms))
  if (outputs.includes('colbert')) kept.push(keysOf(slice.colbert))
  const counts = new Map<string, number>()
  for (const { document, hash } of slice.chunks) {
    const key = hash.toString('latin1')
    const has = kept.every((keys) => keys.has(key))
    counts.set(document, (counts.get(document) ?? 0) + (has ? 1 : Number.NEGATIVE_INFINITY))
  }
  const documents = slice.documents.map((document): MovedDocument => {
    const { state, publishedAt, chunks, externalId } = document
    const isWhole = state === 'ready' && publishedAt !== null && (counts.get(externalId) ?? 0) === chunks
    if (isWhole) return document
    return {
      ...document,
      state: state === 'ready' ? 'received' : state,
      chunks: null,
      tokens: null,
      publishedAt: null,
    }
  })
  const whole = new Set(
    documents.flatMap(({ externalId, publishedAt }) => (publishedAt === null ? [] : [externalId])),
  )
  const chunks = slice.chunks.filter(({ document }) => whole.has(document))
  const used = keysOf(chunks)
  const ofUsed = <T extends { readonly hash: Buffer }>(rows: readonly T[]) =>
    rows.filter(({ hash }) => used.has(hash.toString('latin1')))
  return {
    ...slice,
    documents,
    chunks,
    parents: slice.parents.filter(({ document }) => whole.has(document)),
    vectors: ofUsed(slice.vectors),
    terms: ofUsed(slice.terms),
    colbert: ofUsed(slice.colbert),
  }
}

const readDocuments = (tx: Tx, source: MoveSource, ids: readonly number[]): Promise<MovedDocument[]> =>
  tx.query<MovedDocument>(
    `select d.external_id as "externalId", d.title, d.text, d.metadata, d.content_hash as "contentHash", d.revision,
       d.state, d.source, d.origin, d.url, d.file_name as "fileName", d.file_type as "fileType",
       d.file_hash as "fileHash", d.format, d.layout, d.warnings, d.chunks, d.tokens, d.created_at as "createdAt",
       d.updated_at as "updatedAt", p.published_at as "publishedAt"
     from millrace.documents d
     left join millrace.published p on p.generation_id = $1 and p.document_id = d.id and p.revision = d.revision
     where d.id = any($2) order by d.external_id`,
    [source.generationId, ids],
  )

async function readFiles(tx: Tx, ids: readonly number[]): Promise<ReadonlyMap<string, readonly Buffer[]>> {
  const parts = await tx.query<{ id: number; externalId: string; part: number }>(
    `select d.id, d.external_id as "externalId", f.part
     from millrace.file_parts f join millrace.documents d on d.id = f.document_id
     where f.document_id = any($1) order by d.external_id, f.part`,
    [ids],
  )
  const files = new Map<string, Buffer[]>()
  // A mebibyte a statement, no more.
  for (const { id, externalId, part } of parts) {
    const rows = await tx.query<{ bytes: Buffer }>(
      'select bytes from millrace.file_parts where document_id = $1 and part = $2',
      [id, part],
    )
    const pieces = files.get(externalId) ?? []
    files.set(externalId, pieces)
    pieces.push(...rows.map(({ bytes }) => bytes))
  }
  return files
}

const OF_SPAN = `d.external_id as document, c.ordinal, c.start_at as "startAt", c.end_at as "endAt", c.text, c.headings, c.place`
const PUBLISHED = `join millrace.published p
    on p.generation_id = c.generation_id and p.document_id = c.document_id and p.revision = c.revision
  join millrace.documents d on d.id = c.document_id and d.revision = c.revision
  where c.generation_id = $1 and c.document_id = any($2) order by d.external_id, c.ordinal`

const readChunks = (tx: Tx, source: MoveSource, ids: readonly number[]): Promise<MovedChunk[]> =>
  tx.query<MovedChunk>(
    `select ${OF_SPAN}, c.tokens, c.text_hash as hash, c.context, c.parent from millrace.chunks c ${PUBLISHED}`,
    [source.generationId, ids],
  )

const readParents = (tx: Tx, source: MoveSource, ids: readonly number[]): Promise<MovedParent[]> =>
  tx.query<MovedParent>(`select ${OF_SPAN} from millrace.parents c ${PUBLISHED}`, [source.generationId, ids])

async function readVectors(tx: Tx, source: MoveSource, hashes: readonly Buffer[]): Promise<StoredRow[]> {
  const { form, generationId } = source
  const found: StoredRow[] = []
  const rows = Math.max(1, Math.floor(STATEMENT_BYTES / rowBytes(form)))
  for (let at = 0; at < hashes.length; at += rows) {
    const raw = await tx.query<RawRow & { readonly hash: Buffer }>(
      `select v.text_hash as hash, ${rawColumns(form, 'v')} from ${vectorsTable(generationId)} v
       where v.text_hash = any($1) order by v.text_hash`,
      [hashes.slice(at, at + rows)],
    )
    for (const row of raw) found.push({ ...readStored(form, row), hash: row.hash })
  }
  return found
}

async function readTermRows(tx: Tx, generationId: number, hashes: readonly Buffer[]): Promise<TermsRow[]> {
  const rows = await tx.query<{ hash: Buffer; weights: Buffer }>(
    `select t.text_hash as hash, sparsevec_send(t.weights) as weights from ${termsTable(generationId)} t
     where t.text_hash = any($1) order by t.text_hash`,
    [hashes],
  )
  return rows.map(({ hash, weights }) => ({ hash, terms: readTerms(weights) }))
}

const readColbertRows = (tx: Tx, generationId: number, hashes: readonly Buffer[]): Promise<ColbertRow[]> =>
  tx.query<ColbertRow>(
    `select text_hash as hash, tokens, dims, bits from ${colbertTable(generationId)}
     where text_hash = any($1) order by text_hash`,
    [hashes],
  )
