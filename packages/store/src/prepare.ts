import type { Db, Tx } from './connect.js'
import { publish } from './publish.js'
import { clearMarks, vectorsTable } from './vectors.js'

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
     returning id, revision, title, text, attempts`,
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
}

export interface PreparedDocument {
  readonly id: number
  readonly revision: number
  readonly warnings: readonly string[]
  readonly chunks: readonly PreparedChunk[]
}

/**
 * Writes the chunks of documents and, for texts without a vector, who is to embed them; documents whose
 * vectors are all there become ready in the same transaction. A document that was submitted again or deleted
 * meanwhile is left alone. Returns how many texts were put into pending.
 */
export function storeChunks(
  db: Db,
  to: { readonly generationId: number; readonly ingestionId: number; readonly ownedSeconds: number },
  prepared: readonly PreparedDocument[],
): Promise<number> {
  return db.transact(async (tx) => {
    const generation = await tx.query('select 1 from millrace.generations where id = $1 for key share', [
      to.generationId,
    ])
    if (generation.length === 0) return 0
    const held = await holdDocuments(tx, prepared)
    const documents = prepared.filter((document) => held.has(document.id))
    if (documents.length === 0) return 0
    const ids = documents.map((document) => document.id)
    await tx.query(
      `delete from millrace.chunks c
       where c.document_id = any($1) and c.generation_id = $2
         and not exists (
           select 1 from millrace.published p
           where p.document_id = c.document_id and p.generation_id = c.generation_id and p.revision = c.revision
         )`,
      [ids, to.generationId],
    )
    await insertChunks(tx, to.generationId, documents)
    const added = await insertPending(tx, to, documents)
    await markPrepared(tx, documents, to.ownedSeconds)
    await countPrepared(tx, to.ingestionId, documents, added)
    await publish(tx, to.generationId, ids)
    return added
  })
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

async function insertChunks(
  tx: Tx,
  generationId: number,
  documents: readonly PreparedDocument[],
): Promise<void> {
  const flat = documents.flatMap((document) =>
    document.chunks.map((chunk, ordinal) => ({ document, chunk, ordinal })),
  )
  await tx.query(
    `insert into millrace.chunks
       (generation_id, document_id, revision, ordinal, start_at, end_at, tokens, text_hash, context, text)
     select $1, * from unnest(
       $2::bigint[], $3::integer[], $4::integer[], $5::integer[], $6::integer[], $7::integer[], $8::bytea[],
       $9::text[], $10::text[])`,
    [
      generationId,
      flat.map((row) => row.document.id),
      flat.map((row) => row.document.revision),
      flat.map((row) => row.ordinal),
      flat.map((row) => row.chunk.startAt),
      flat.map((row) => row.chunk.endAt),
      flat.map((row) => row.chunk.tokens),
      flat.map((row) => row.chunk.hash),
      flat.map((row) => row.chunk.context),
      flat.map((row) => row.chunk.text),
    ],
  )
}

async function insertPending(
  tx: Tx,
  to: { readonly generationId: number; readonly ingestionId: number },
  documents: readonly PreparedDocument[],
): Promise<number> {
  const tokens = new Map<string, { hash: Buffer; tokens: number }>()
  for (const { chunks } of documents) {
    for (const { hash, tokens: count } of chunks) tokens.set(hash.toString('hex'), { hash, tokens: count })
  }
  const texts = [...tokens.values()]
  const hashes = texts.map((text) => text.hash)
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
    [to.generationId, to.ingestionId, hashes, texts.map((text) => text.tokens)],
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

const sumTokens = (documents: readonly PreparedDocument[]): number =>
  documents.reduce((sum, { chunks }) => sum + chunks.reduce((part, chunk) => part + chunk.tokens, 0), 0)

async function countPrepared(
  tx: Tx,
  ingestionId: number,
  documents: readonly PreparedDocument[],
  added: number,
): Promise<void> {
  const chunks = documents.reduce((sum, document) => sum + document.chunks.length, 0)
  await tx.query(
    `update millrace.ingestions set
       chunks = chunks + $2, chunks_reused = chunks_reused + $3, tokens = tokens + $4
     where id = $1`,
    [ingestionId, chunks, chunks - added, sumTokens(documents)],
  )
}

/** Documents that cannot be prepared; one that was submitted again meanwhile is left alone. */
export async function failDocuments(
  db: Db,
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
     where d.id = f.id and d.revision = f.revision and d.state = 'preparing'`,
    [
      failed.map((one) => one.id),
      failed.map((one) => one.revision),
      failed.map((one) => one.code),
      failed.map((one) => one.message),
    ],
  )
}
