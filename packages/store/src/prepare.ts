import type { Db, Tx } from './connect.js'
import { bytea, column, copyRows, int4, int8, jsonb, nullable, text, textArray } from './copy.js'
import { isLive } from './generations/hold.js'
import { publish } from './publish.js'
import type { LayoutPart, Origin, Place } from './schema.js'
import { clearMarks, markOrphans, vectorsTable } from './vectors.js'

/** Documents of one ingestion whose ids lie in a range: what a prepare job names. */
export interface DocumentRange {
  readonly ingestionId: number
  readonly from: number
  readonly to: number
}

export interface ClaimedDocument {
  readonly id: number
  readonly revision: number
  readonly title: string | null
  readonly text: string
  readonly attempts: number
  readonly origin: Origin
  readonly url: string | null
  readonly fileName: string | null
  readonly fileType: string | null
  readonly fileHash: Buffer | null
  /** Null: a file that was not read yet, or text. */
  readonly format: string | null
  readonly layout: readonly LayoutPart[] | null
}

/**
 * Takes the documents of a range that are not prepared yet, for `ownedSeconds`. Also those that are being
 * prepared: a job is with one worker at a time, so whoever had them is dead or lost; should it not be, the second
 * to store finds them prepared and stores nothing.
 */
export function claimDocuments(
  db: Db,
  range: DocumentRange,
  ownedSeconds: number,
): Promise<ClaimedDocument[]> {
  return db.query<ClaimedDocument>(
    `update millrace.documents set
       state = 'preparing', attempts = attempts + 1, leased_until = now() + make_interval(secs => $4)
     where ingestion_id = $1 and id between $2 and $3
       and state in ('received', 'preparing')
     returning id, revision, title, text, attempts, origin, url, file_name as "fileName", file_type as "fileType",
       file_hash as "fileHash", format, layout`,
    [range.ingestionId, range.from, range.to, ownedSeconds],
  )
}

/** Whoever claimed them is still at work on them. */
export async function renewDocuments(db: Db, range: DocumentRange, ownedSeconds: number): Promise<void> {
  await db.query(
    `update millrace.documents set leased_until = now() + make_interval(secs => $4)
     where ingestion_id = $1 and id between $2 and $3 and state = 'preparing'`,
    [range.ingestionId, range.from, range.to, ownedSeconds],
  )
}

export interface PreparedChunk {
  readonly startAt: number
  readonly endAt: number
  readonly tokens: number
  readonly hash: Buffer
  readonly context: string
  readonly text: string
  /** The heading path, outermost first. */
  readonly headings: readonly string[]
  readonly place: Place | null
  /** Index in the document's parents; null: the chunk is shown itself. */
  readonly parent: number | null
}

/** A longer span that is shown for the chunks in it. */
export interface PreparedParent {
  readonly startAt: number
  readonly endAt: number
  readonly text: string
  readonly headings: readonly string[]
  readonly place: Place | null
}

export interface PreparedDocument {
  readonly id: number
  readonly revision: number
  readonly warnings: readonly string[]
  readonly chunks: readonly PreparedChunk[]
  readonly parents: readonly PreparedParent[]
  /** Characters of the cleaned text, but white space, that are in no chunk. */
  readonly cut: number
}

/**
 * Writes the chunks of documents and, for texts without a vector, who is to embed them; documents whose
 * vectors are all there become ready in the same transaction. A document that was submitted again or deleted
 * meanwhile is left alone. Returns how many texts were put into pending; undefined when another generation is live by
 * now, or none: then nothing was written, and the documents are to be prepared for that one.
 */
export function storeChunks(
  db: Db,
  to: { readonly generationId: number; readonly ingestionId: number; readonly ownedSeconds: number },
  prepared: readonly PreparedDocument[],
): Promise<number | undefined> {
  return db.transact(
    async (tx) => {
      if (!(await isLive(tx, to.generationId))) return undefined
      const held = await holdDocuments(tx, prepared)
      const documents = prepared.filter((document) => held.has(document.id))
      if (documents.length === 0) return 0
      const ids = documents.map((document) => document.id)
      const dropped = await dropUnseen(tx, to.generationId, ids)
      await insertChunks(tx, to.generationId, documents)
      // What the new revision does not use either is nobody's.
      await markOrphans(tx, to.generationId, dropped)
      const added = await insertPending(tx, to, textsOf(documents))
      await markPrepared(tx, documents, to.ownedSeconds)
      await countPrepared(tx, to.ingestionId, documents, added)
      await publish(tx, to.generationId, ids)
      return added
    },
    { durable: false },
  )
}

/** Removes what was made of revisions that no reader ever saw; returns the hashes of their texts. */
export async function dropUnseen(tx: Tx, generationId: number, ids: readonly number[]): Promise<Buffer[]> {
  const unseen = `c.document_id = any($1) and c.generation_id = $2 and not exists (
    select 1 from millrace.published p
    where p.document_id = c.document_id and p.generation_id = c.generation_id and p.revision = c.revision
  )`
  await tx.query(`delete from millrace.parents c where ${unseen}`, [ids, generationId])
  const rows = await tx.query<{ text_hash: Buffer }>(
    `delete from millrace.chunks c where ${unseen} returning c.text_hash`,
    [ids, generationId],
  )
  return rows.map((row) => row.text_hash)
}

/** Locks the documents, in the order of their ids, that are still what they were when they were claimed. */
async function holdDocuments(tx: Tx, prepared: readonly PreparedDocument[]): Promise<Set<number>> {
  const rows = await tx.query<{ id: number }>(
    `select d.id
     from millrace.documents d
     join unnest($1::bigint[], $2::integer[]) as mine (id, revision) on mine.id = d.id
     where d.revision = mine.revision and d.state = 'preparing'
     order by d.id
     for no key update of d`,
    [prepared.map((document) => document.id), prepared.map((document) => document.revision)],
  )
  return new Set(rows.map((row) => row.id))
}

interface Flat {
  readonly documentId: number
  readonly revision: number
  readonly ordinal: number
}
export type FlatChunk = Flat & PreparedChunk
export type FlatParent = Flat & PreparedParent

const CHUNK_COLUMNS = [
  column('document_id', int8, (row: FlatChunk) => row.documentId),
  column('revision', int4, (row: FlatChunk) => row.revision),
  column('ordinal', int4, (row: FlatChunk) => row.ordinal),
  column('start_at', int4, (row: FlatChunk) => row.startAt),
  column('end_at', int4, (row: FlatChunk) => row.endAt),
  column('tokens', int4, (row: FlatChunk) => row.tokens),
  column('text_hash', bytea, (row: FlatChunk) => row.hash),
  column('context', text, (row: FlatChunk) => row.context),
  column('text', text, (row: FlatChunk) => row.text),
  column('headings', textArray, (row: FlatChunk) => row.headings),
  column('place', nullable(jsonb), (row: FlatChunk) => placeJson(row.place)),
  column('parent', nullable(int4), (row: FlatChunk) => row.parent),
]

const PARENT_COLUMNS = [
  column('document_id', int8, (row: FlatParent) => row.documentId),
  column('revision', int4, (row: FlatParent) => row.revision),
  column('ordinal', int4, (row: FlatParent) => row.ordinal),
  column('start_at', int4, (row: FlatParent) => row.startAt),
  column('end_at', int4, (row: FlatParent) => row.endAt),
  column('text', text, (row: FlatParent) => row.text),
  column('headings', textArray, (row: FlatParent) => row.headings),
  column('place', nullable(jsonb), (row: FlatParent) => placeJson(row.place)),
]

export async function insertChunks(
  tx: Tx,
  generationId: number,
  documents: readonly PreparedDocument[],
): Promise<void> {
  const flat = <T>({ id, revision }: PreparedDocument, rows: readonly T[]): (T & Flat)[] =>
    rows.map((row, ordinal) => ({ ...row, documentId: id, revision, ordinal }))
  const chunks = documents.flatMap((document) => flat(document, document.chunks))
  const parents = documents.flatMap((document) => flat(document, document.parents))
  await insertFlat(tx, generationId, chunks, parents)
}

/** Rows that say themselves whose they are. */
export async function insertFlat(
  tx: Tx,
  generationId: number,
  chunks: readonly FlatChunk[],
  parents: readonly FlatParent[],
): Promise<void> {
  if (tx.kind === 'server') {
    const generation = column('generation_id', int8, () => generationId)
    await copyRows(tx, 'millrace.chunks', [generation, ...CHUNK_COLUMNS], chunks)
    if (parents.length > 0) await copyRows(tx, 'millrace.parents', [generation, ...PARENT_COLUMNS], parents)
    return
  }
  await tx.query(
    `insert into millrace.chunks
       (generation_id, document_id, revision, ordinal, start_at, end_at, tokens, text_hash, context, text,
        headings, place, parent)
     select $1, document_id, revision, ordinal, start_at, end_at, tokens, text_hash, context, text,
       array(select jsonb_array_elements_text(headings::jsonb)), place::jsonb, parent
     from unnest(
       $2::bigint[], $3::integer[], $4::integer[], $5::integer[], $6::integer[], $7::integer[], $8::bytea[],
       $9::text[], $10::text[], $11::text[], $12::text[], $13::integer[])
       as given (document_id, revision, ordinal, start_at, end_at, tokens, text_hash, context, text,
         headings, place, parent)`,
    [
      generationId,
      chunks.map((row) => row.documentId),
      chunks.map((row) => row.revision),
      chunks.map((row) => row.ordinal),
      chunks.map((row) => row.startAt),
      chunks.map((row) => row.endAt),
      chunks.map((row) => row.tokens),
      chunks.map((row) => row.hash),
      chunks.map((row) => row.context),
      chunks.map((row) => row.text),
      chunks.map((row) => JSON.stringify(row.headings)),
      chunks.map((row) => placeJson(row.place)),
      chunks.map((row) => row.parent),
    ],
  )
  if (parents.length === 0) return
  await tx.query(
    `insert into millrace.parents
       (generation_id, document_id, revision, ordinal, start_at, end_at, text, headings, place)
     select $1, document_id, revision, ordinal, start_at, end_at, text,
       array(select jsonb_array_elements_text(headings::jsonb)), place::jsonb
     from unnest(
       $2::bigint[], $3::integer[], $4::integer[], $5::integer[], $6::integer[], $7::text[], $8::text[], $9::text[])
       as given (document_id, revision, ordinal, start_at, end_at, text, headings, place)`,
    [
      generationId,
      parents.map((row) => row.documentId),
      parents.map((row) => row.revision),
      parents.map((row) => row.ordinal),
      parents.map((row) => row.startAt),
      parents.map((row) => row.endAt),
      parents.map((row) => row.text),
      parents.map((row) => JSON.stringify(row.headings)),
      parents.map((row) => placeJson(row.place)),
    ],
  )
}

const placeJson = (place: Place | null): string | null => (place === null ? null : JSON.stringify(place))

/** What is embedded once, however many chunks it is. */
export interface Text {
  readonly hash: Buffer
  readonly tokens: number
}

export function textsOf(documents: readonly Pick<PreparedDocument, 'chunks'>[]): Text[] {
  const texts = new Map<string, Text>()
  for (const { chunks } of documents) {
    for (const { hash, tokens } of chunks) texts.set(hash.toString('hex'), { hash, tokens })
  }
  return [...texts.values()]
}

/** Texts without a vector wait for one; whose counter each will count for, if any ingestion's. Returns how many are new. */
export async function insertPending(
  tx: Tx,
  to: { readonly generationId: number; readonly ingestionId: number | null },
  texts: readonly Text[],
): Promise<number> {
  const hashes = texts.map(({ hash }) => hash)
  const vectors = vectorsTable(to.generationId)
  await clearMarks(tx, to.generationId, hashes)
  const added = await tx.query<{ text_hash: Buffer }>(
    `insert into millrace.pending as pending (generation_id, text_hash, tokens, ingestion_id)
     select $1, t.hash, t.tokens, $2
     from unnest($3::bytea[], $4::integer[]) with ordinality as t (hash, tokens, place)
     where not exists (select 1 from ${vectors} v where v.text_hash = t.hash)
     order by t.place
     on conflict (generation_id, text_hash) do update set ingestion_id = excluded.ingestion_id
       -- An ingestion that has ended (its documents were submitted again) counts no more.
       where not exists (
         select 1 from millrace.ingestions i where i.id = pending.ingestion_id and i.state = 'running'
       )
     returning text_hash`,
    [to.generationId, to.ingestionId, hashes, texts.map((one) => one.tokens)],
  )
  if (added.length === 0) return 0
  // A vector that was committed while the insert above waited for its pending row to go: a new statement sees it.
  const late = await tx.query(
    `delete from millrace.pending p
     where p.generation_id = $1 and p.text_hash = any($2) and p.lease_id is null
       and exists (select 1 from ${vectors} v where v.text_hash = p.text_hash)
     returning 1`,
    [to.generationId, added.map((row) => row.text_hash)],
  )
  return added.length - late.length
}

async function markPrepared(
  tx: Tx,
  documents: readonly PreparedDocument[],
  ownedSeconds: number,
): Promise<void> {
  await tx.query(
    `update millrace.documents d set
       state = 'embedding', chunks = m.chunks, tokens = m.tokens,
       warnings = array(select jsonb_array_elements_text(m.warnings::jsonb)),
       leased_until = now() + make_interval(secs => $5)
     from unnest($1::bigint[], $2::integer[], $3::bigint[], $4::text[]) as m (id, chunks, tokens, warnings)
     where d.id = m.id`,
    [
      documents.map((document) => document.id),
      documents.map((document) => document.chunks.length),
      documents.map((document) => sumTokens([document])),
      documents.map((document) => JSON.stringify(document.warnings)),
      ownedSeconds,
    ],
  )
}

export const sumTokens = (documents: readonly Pick<PreparedDocument, 'chunks'>[]): number =>
  documents.reduce((sum, { chunks }) => sum + chunks.reduce((part, chunk) => part + chunk.tokens, 0), 0)

export async function countPrepared(
  tx: Tx,
  ingestionId: number,
  documents: readonly PreparedDocument[],
  added: number,
): Promise<void> {
  const chunks = documents.reduce((sum, document) => sum + document.chunks.length, 0)
  await tx.query(
    `update millrace.ingestions set
       chunks = chunks + $2, chunks_reused = chunks_reused + $3, tokens = tokens + $4,
       characters_cut = characters_cut + $5, empty = empty + $6
     where id = $1`,
    [
      ingestionId,
      chunks,
      chunks - added,
      sumTokens(documents),
      documents.reduce((sum, document) => sum + document.cut, 0),
      documents.filter((document) => document.chunks.length === 0).length,
    ],
  )
}

/**
 * Documents that cannot be prepared for a generation; one that was submitted again meanwhile is left alone, and so are all
 * when another generation is live by now.
 */
export async function failDocuments(
  db: Db,
  generationId: number,
  failed: readonly {
    readonly id: number
    readonly revision: number
    readonly code: string
    readonly message: string
  }[],
): Promise<void> {
  await db.query(
    `update millrace.documents d set
       state = 'failed', leased_until = null, updated_at = now(), error_code = f.code, error_message = f.message
     from unnest($1::bigint[], $2::integer[], $3::text[], $4::text[]) as f (id, revision, code, message)
     where d.id = f.id and d.revision = f.revision and d.state = 'preparing'
       and exists (select 1 from millrace.generations g where g.id = $5 and g.state = 'live')`,
    [
      failed.map((one) => one.id),
      failed.map((one) => one.revision),
      failed.map((one) => one.code),
      failed.map((one) => one.message),
      generationId,
    ],
  )
}
