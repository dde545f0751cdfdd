import { createHash } from 'node:crypto'
import type { Tx } from './connect.js'
import { countPrepared, insertChunks, type PreparedChunk } from './prepare.js'
import { publishReady } from './publish.js'
import type { Form } from './storage/form.js'
import { clearMarks, holdForm, insertVectors, type VectorRow, vectorsTable } from './vectors.js'

/** A chunk that came with its vector. */
export interface ExternalChunk {
  /** Of the span in the document's text, in UTF-16 code units. */
  readonly startAt: number
  readonly endAt: number
  readonly text: string
  /** Of unit length. */
  readonly vector: Float32Array
}

/** A document whose row was written in this transaction. */
export interface ExternalDocument {
  readonly id: number
  readonly revision: number
  readonly chunks: readonly ExternalChunk[]
}

/**
 * Writes chunks and vectors of documents whose rows the caller has just written and so holds, and publishes them: they
 * are ready with this transaction, and no worker is needed. A chunk whose vector is the one that stands there leaves
 * that row alone. Returns how many vectors were written; undefined when the generation is gone.
 */
export async function storeExternal(
  tx: Tx,
  to: { readonly generationId: number; readonly ingestionId: number },
  documents: readonly ExternalDocument[],
): Promise<number | undefined> {
  if (documents.length === 0) return 0
  const form = await holdForm(tx, to.generationId)
  if (form === undefined) return undefined
  const prepared = documents.map(({ id, revision, chunks }) => {
    return { id, revision, warnings: [], chunks: externalChunks(id, chunks), parents: [], cut: 0 }
  })
  const vectors = prepared.flatMap(({ chunks }) => chunks)
  const added = await addVectors(tx, to.generationId, form, vectors)
  await insertChunks(tx, to.generationId, prepared)
  await countPrepared(tx, to.ingestionId, prepared, added)
  await tx.query(
    `update millrace.ingestions set
       chunks_embedded = chunks_embedded + $2, work_started_at = coalesce(work_started_at, now())
     where id = $1`,
    [to.ingestionId, added],
  )
  const ids = documents.map(({ id }) => id)
  await tx.query(
    `update millrace.documents d set
       state = 'ready', chunks = m.chunks, tokens = 0, leased_until = null, updated_at = now()
     from unnest($1::bigint[], $2::integer[]) as m (id, chunks)
     where d.id = m.id`,
    [ids, documents.map(({ chunks }) => chunks.length)],
  )
  await publishReady(tx, to.generationId, ids)
  return added
}

/** Those that are not there yet; returns how many these were. */
async function addVectors(
  tx: Tx,
  generationId: number,
  form: Form,
  vectors: readonly VectorRow[],
): Promise<number> {
  const hashes = vectors.map(({ hash }) => hash)
  // First: from then on the sweep leaves them alone, and what it has deleted already is seen to be missing.
  await clearMarks(tx, generationId, hashes)
  const rows = await tx.query<{ text_hash: Buffer }>(
    `select text_hash from ${vectorsTable(generationId)} where text_hash = any($1)`,
    [hashes],
  )
  const there = new Set(rows.map((row) => keyOf(row.text_hash)))
  const missing = vectors.filter(({ hash }) => !there.has(keyOf(hash)))
  await insertVectors(tx, generationId, form, missing)
  return missing.length
}

const keyOf = (hash: Buffer): string => hash.toString('latin1')

/**
 * The chunks as rows. A vector is known by its document, its place there and its numbers: two chunks never share one,
 * and one that changed is another row, so that readers have the old one until the new one is published.
 */
export const externalChunks = (
  documentId: number,
  chunks: readonly ExternalChunk[],
): (PreparedChunk & VectorRow)[] =>
  chunks.map(({ startAt, endAt, text, vector }, ordinal) => ({
    startAt,
    endAt,
    tokens: 0,
    hash: createHash('sha256')
      .update(`vector ${documentId} ${ordinal} `)
      .update(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength))
      .digest(),
    vector,
    context: '',
    text,
    headings: [],
    place: null,
    parent: null,
  }))
