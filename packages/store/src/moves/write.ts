import { type ColbertRow, insertColbert } from '../colbert.js'
import { type Db, one, type Tx } from '../connect.js'
import { bytea, column, copyRows, int4, int8, jsonb, nullable, text, textArray, timestamp } from '../copy.js'
import type { GoldenQuestion } from '../golden.js'
import { type FlatChunk, type FlatParent, insertFlat } from '../prepare.js'
import type { DocumentState } from '../schema.js'
import { insertTerms, type TermsRow } from '../terms.js'
import { insertStored, type StoredRow, vectorsTable } from '../vectors.js'
import { rememberImport, type StartedImport } from './lease.js'
import type { MovedDocument } from './read.js'

/** The row of a document in its new place. */
export interface PlacedDocument extends MovedDocument {
  readonly id: number
}

/**
 * Writes documents, and publishes those that are ready. Others keep nothing but what was submitted, and are received: a
 * worker takes them once the import is whole. Returns them with their rows' ids.
 */
export function addDocuments(
  db: Db,
  to: StartedImport,
  documents: readonly MovedDocument[],
): Promise<readonly PlacedDocument[]> {
  return db.transact(async (tx) => {
    await rememberImport(tx, to)
    const ids = await tx.query<{ id: number }>(
      `select nextval(pg_get_serial_sequence('millrace.documents', 'id')) as id from generate_series(1, $1)`,
      [documents.length],
    )
    const placed = documents.map((document, i) => ({ ...document, id: one(ids.slice(i), 'an id').id }))
    if (tx.kind === 'server') {
      const columns = [
        column('domain_id', int8, () => to.domainId),
        column('ingestion_id', int8, () => to.ingestionId),
      ]
      await copyRows(tx, 'millrace.documents', [...columns, ...COLUMNS], placed)
    } else {
      await unnestDocuments(tx, to, placed)
    }
    const published = placed.filter(({ publishedAt }) => publishedAt !== null)
    await tx.query(
      `insert into millrace.published (generation_id, document_id, revision, title, metadata, published_at)
       select $1, d.id, d.revision, d.title, d.metadata, g.at
       from unnest($2::bigint[], $3::timestamptz[]) as g (id, at) join millrace.documents d on d.id = g.id`,
      [to.generationId, published.map(({ id }) => id), published.map(({ publishedAt }) => publishedAt)],
    )
    return placed
  })
}

/** What becomes of a state: what was under way begins again, what failed is tried again. */
const stateAfter = ({ state }: { readonly state: DocumentState }): DocumentState =>
  state === 'ready' || state === 'cancelled' ? state : 'received'

const json = (value: unknown): string => JSON.stringify(value)
const iso = (date: Date): string => date.toISOString()
const COLUMNS = [
  column('id', int8, (row: PlacedDocument) => row.id),
  column('external_id', text, (row: PlacedDocument) => row.externalId),
  column('title', nullable(text), (row: PlacedDocument) => row.title),
  column('text', text, (row: PlacedDocument) => row.text),
  column('metadata', jsonb, (row: PlacedDocument) => json(row.metadata)),
  column('content_hash', bytea, (row: PlacedDocument) => row.contentHash),
  column('revision', int4, (row: PlacedDocument) => row.revision),
  column('state', text, (row: PlacedDocument) => stateAfter(row)),
  column('source', nullable(text), (row: PlacedDocument) => row.source),
  column('origin', text, (row: PlacedDocument) => row.origin),
  column('url', nullable(text), (row: PlacedDocument) => row.url),
  column('file_name', nullable(text), (row: PlacedDocument) => row.fileName),
  column('file_type', nullable(text), (row: PlacedDocument) => row.fileType),
  column('file_hash', nullable(bytea), (row: PlacedDocument) => row.fileHash),
  column('format', nullable(text), (row: PlacedDocument) => row.format),
  column('layout', nullable(jsonb), (row: PlacedDocument) => (row.layout === null ? null : json(row.layout))),
  column('warnings', textArray, (row: PlacedDocument) => row.warnings),
  column('chunks', nullable(int4), (row: PlacedDocument) => row.chunks),
  column('tokens', nullable(int8), (row: PlacedDocument) => row.tokens),
  column('created_at', timestamp, (row: PlacedDocument) => row.createdAt),
  column('updated_at', timestamp, (row: PlacedDocument) => row.updatedAt),
]

async function unnestDocuments(tx: Tx, to: StartedImport, placed: readonly PlacedDocument[]): Promise<void> {
  await tx.query(
    `insert into millrace.documents
       (domain_id, ingestion_id, id, external_id, title, text, metadata, content_hash, revision, state, source, origin, url,
        file_name, file_type, file_hash, format, layout, warnings, chunks, tokens, created_at, updated_at)
     overriding system value
     select $1, $2, id, external_id, title, text, metadata::jsonb, content_hash, revision, state, source, origin, url,
       file_name, file_type, file_hash, format, layout::jsonb, array(select jsonb_array_elements_text(warnings::jsonb)),
       chunks, tokens, created_at, updated_at
     from unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::integer[], $10::text[],
         $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bytea[], $17::text[], $18::text[],
         $19::text[], $20::integer[], $21::bigint[], $22::timestamptz[], $23::timestamptz[])
       as g (id, external_id, title, text, metadata, content_hash, revision, state, source, origin, url, file_name,
         file_type, file_hash, format, layout, warnings, chunks, tokens, created_at, updated_at)`,
    [
      to.domainId,
      to.ingestionId,
      placed.map((row) => row.id),
      placed.map((row) => row.externalId),
      placed.map((row) => row.title),
      placed.map((row) => row.text),
      placed.map((row) => json(row.metadata)),
      placed.map((row) => row.contentHash),
      placed.map((row) => row.revision),
      placed.map((row) => stateAfter(row)),
      placed.map((row) => row.source),
      placed.map((row) => row.origin),
      placed.map((row) => row.url),
      placed.map((row) => row.fileName),
      placed.map((row) => row.fileType),
      placed.map((row) => row.fileHash),
      placed.map((row) => row.format),
      placed.map((row) => (row.layout === null ? null : json(row.layout))),
      placed.map((row) => json(row.warnings)),
      placed.map((row) => row.chunks),
      placed.map((row) => row.tokens),
      placed.map((row) => iso(row.createdAt)),
      placed.map((row) => iso(row.updatedAt)),
    ],
  )
}

/** Chunks and parents of documents that are there. */
export function addChunks(
  db: Db,
  to: StartedImport,
  chunks: readonly FlatChunk[],
  parents: readonly FlatParent[],
): Promise<void> {
  return db.transact(async (tx) => {
    await rememberImport(tx, to)
    await insertFlat(tx, to.generationId, chunks, parents)
  })
}

/** Vectors in their form of storage; those that are there already stay. Returns how many were written. */
export function addStored(db: Db, to: StartedImport, rows: readonly StoredRow[]): Promise<number> {
  return db.transact(async (tx) => {
    await rememberImport(tx, to)
    const fresh = await withoutRows(tx, vectorsTable(to.generationId), rows)
    await insertStored(tx, to.generationId, to.form, fresh)
    return fresh.length
  })
}

export function addTermRows(db: Db, to: StartedImport, rows: readonly TermsRow[]): Promise<void> {
  return db.transact(async (tx) => {
    await rememberImport(tx, to)
    await insertTerms(tx, to.generationId, await withoutRows(tx, `millrace.terms_${to.generationId}`, rows))
  })
}

export function addColbertRows(db: Db, to: StartedImport, rows: readonly ColbertRow[]): Promise<void> {
  return db.transact(async (tx) => {
    await rememberImport(tx, to)
    await insertColbert(
      tx,
      to.generationId,
      await withoutRows(tx, `millrace.colbert_${to.generationId}`, rows),
    )
  })
}

/** Two parts of an archive may hold the same text: nobody else writes here, so what is there was there before. */
async function withoutRows<T extends { readonly hash: Buffer }>(
  tx: Tx,
  table: string,
  rows: readonly T[],
): Promise<readonly T[]> {
  const found = await tx.query<{ hash: Buffer }>(
    `select text_hash as hash from ${table} where text_hash = any($1)`,
    [rows.map(({ hash }) => hash)],
  )
  if (found.length === 0) return rows
  const there = new Set(found.map(({ hash }) => hash.toString('latin1')))
  return rows.filter(({ hash }) => !there.has(hash.toString('latin1')))
}

/** A piece of a document's file, a row each. */
export function addFilePiece(
  db: Db,
  to: StartedImport,
  piece: { readonly documentId: number; readonly part: number; readonly bytes: Buffer },
): Promise<void> {
  return db.transact(async (tx) => {
    await rememberImport(tx, to)
    await tx.query('insert into millrace.file_parts (document_id, part, bytes) values ($1, $2, $3)', [
      piece.documentId,
      piece.part,
      piece.bytes,
    ])
  })
}

/** Golden questions as they stood; none is there yet. */
export function addGoldenRows(
  db: Db,
  to: StartedImport,
  rows: readonly (GoldenQuestion & { readonly hash: Buffer })[],
): Promise<void> {
  return db.transact(async (tx) => {
    await rememberImport(tx, to)
    const given = rows.map(({ hash, ...row }) => ({ ...row, hash: hash.toString('hex') }))
    await tx.query(
      `insert into millrace.golden (domain_id, external_id, question, question_hash, filter, documents, note)
       select $1, g."externalId", g.question, decode(g.hash, 'hex'), g.filter, g.documents, g.note
       from jsonb_to_recordset($2::jsonb)
         as g ("externalId" text, question text, hash text, filter jsonb, documents text[], note text)`,
      [to.domainId, JSON.stringify(given)],
    )
  })
}

/** Rows of at most so many bytes together; one that has more is alone. */
export function batchesOf<T>(rows: readonly T[], bytesOf: (row: T) => number, most: number): readonly T[][] {
  const batches: T[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const row of rows) {
    const size = bytesOf(row)
    if (bytes + size > most) {
      batches.push([])
      bytes = 0
    }
    batches.at(-1)?.push(row)
    bytes += size
  }
  return batches
}
