import type { Tx } from './connect.js'
import { isHeldBack } from './generations/hold.js'
import { markOrphans } from './vectors.js'

/**
 * Makes those of the documents visible whose texts all have a vector: their revision becomes the published
 * one, the chunks of older ones go, the documents are ready. The caller holds the documents' rows: two
 * workers that store the last two vectors of one document must not both look before the other has committed.
 */
export async function publish(tx: Tx, generationId: number, documentIds: readonly number[]): Promise<void> {
  if (documentIds.length === 0) return
  const complete = await tx.query<{ id: number }>(
    `select d.id from millrace.documents d
     where d.id = any($2) and d.state = 'embedding' and not ${isHeldBack('$1::bigint')}
       and not exists (
         select 1
         from millrace.chunks c
         join millrace.pending p on p.generation_id = c.generation_id and p.text_hash = c.text_hash
         where c.document_id = d.id and c.generation_id = $1 and c.revision = d.revision
       )`,
    [generationId, documentIds],
  )
  const ids = complete.map((row) => row.id)
  if (ids.length === 0) return
  await publishReady(tx, generationId, ids)
  // Last: it locks the ingestion that counts them until the commit, and everybody else who counts there waits.
  await tx.query(
    `update millrace.documents set state = 'ready', leased_until = null, updated_at = now() where id = any($1)`,
    [ids],
  )
}

/** Makes the revision of documents that are ready the one that readers see, and what was before it goes. */
export async function publishReady(tx: Tx, generationId: number, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return
  await tx.query(
    `insert into millrace.published as p (generation_id, document_id, revision, title, metadata)
     select $1, d.id, d.revision, d.title, d.metadata from millrace.documents d where d.id = any($2)
     on conflict (generation_id, document_id) do update set
       revision = excluded.revision, title = excluded.title, metadata = excluded.metadata, published_at = now()`,
    [generationId, ids],
  )
  const gone = await tx.query<{ text_hash: Buffer }>(
    `delete from millrace.chunks c using millrace.documents d, unnest($2::bigint[]) as given (id)
     where d.id = given.id and c.document_id = d.id and c.generation_id = $1 and c.revision <> d.revision
     returning c.text_hash`,
    [generationId, ids],
  )
  await tx.query(
    `delete from millrace.parents c using millrace.documents d, unnest($2::bigint[]) as given (id)
     where d.id = given.id and c.document_id = d.id and c.generation_id = $1 and c.revision <> d.revision`,
    [generationId, ids],
  )
  await markOrphans(
    tx,
    generationId,
    gone.map((row) => row.text_hash),
  )
}

/** Locks, in the order of their ids, the documents that wait for one of these texts; returns them. */
export async function holdWaiting(
  tx: Tx,
  generationId: number,
  hashes: readonly Buffer[],
): Promise<number[]> {
  const rows = await tx.query<{ id: number }>(
    `select d.id from millrace.documents d
     where d.state = 'embedding' and d.id in (
       select c.document_id from millrace.chunks c where c.generation_id = $1 and c.text_hash = any($2)
     )
     order by d.id
     for no key update`,
    [generationId, hashes],
  )
  return rows.map((row) => row.id)
}

/**
 * As `publish`, of a generation that is not live: rows of generation_documents instead of the documents' own. The title
 * and metadata are those of that very revision: the document's own while it has it, else what readers of the live
 * generation see; where neither has it any more, the document is left to what comes of its next revision. What was
 * published in the generation whose vectors were taken over is no newer for that.
 */
export async function publishBeside(
  tx: Tx,
  generationId: number,
  documentIds: readonly number[],
): Promise<void> {
  if (documentIds.length === 0) return
  const published = await tx.query<{ id: number }>(
    `insert into millrace.published as r (generation_id, document_id, revision, title, metadata, published_at)
     select g.id, d.id, f.revision, case when d.revision = f.revision then d.title else p.title end,
       case when d.revision = f.revision then d.metadata else p.metadata end, coalesce(s.published_at, now())
     from millrace.generation_documents f
     join millrace.generations g on g.id = f.generation_id
     join millrace.documents d on d.id = f.document_id
     left join millrace.generations l on l.domain_id = g.domain_id and l.state = 'live'
     left join millrace.published p on p.generation_id = l.id and p.document_id = d.id and p.revision = f.revision
     left join millrace.published s on s.generation_id = g.copies_from and s.document_id = d.id
       and s.revision = f.revision and s.published_at >= coalesce(g.copies_since, '-infinity')
     where f.generation_id = $1 and f.document_id = any($2) and f.state = 'embedding'
       and (d.revision = f.revision or p.document_id is not null)
       and not exists (
         select 1
         from millrace.chunks c
         join millrace.pending w on w.generation_id = c.generation_id and w.text_hash = c.text_hash
         where c.document_id = d.id and c.generation_id = f.generation_id and c.revision = f.revision
       )
     on conflict (generation_id, document_id) do update set revision = excluded.revision, title = excluded.title,
       metadata = excluded.metadata, published_at = excluded.published_at
     returning document_id as id`,
    [generationId, documentIds],
  )
  const ids = published.map((row) => row.id)
  if (ids.length === 0) return
  const old = `c.generation_id = $1 and c.document_id = any($2) and c.revision <> (
    select p.revision from millrace.published p where p.generation_id = $1 and p.document_id = c.document_id
  )`
  const gone = await tx.query<{ text_hash: Buffer }>(
    `delete from millrace.chunks c where ${old} returning c.text_hash`,
    [generationId, ids],
  )
  await tx.query(`delete from millrace.parents c where ${old}`, [generationId, ids])
  await markOrphans(
    tx,
    generationId,
    gone.map((row) => row.text_hash),
  )
  await tx.query(
    `update millrace.generation_documents set state = 'ready', leased_until = '-infinity'
     where generation_id = $1 and document_id = any($2)`,
    [generationId, ids],
  )
}

/**
 * Locks, in the order of the documents' ids, what waits for one of these texts in a generation that is not live. The
 * documents first, as whoever deletes them does.
 */
export async function holdWaitingBeside(
  tx: Tx,
  generationId: number,
  hashes: readonly Buffer[],
): Promise<number[]> {
  const waiting = await tx.query<{ id: number }>(
    `select d.id from millrace.documents d
     where d.id in (
       select c.document_id from millrace.chunks c
       join millrace.generation_documents f
         on f.generation_id = c.generation_id and f.document_id = c.document_id and f.state = 'embedding'
       where c.generation_id = $1 and c.text_hash = any($2)
     )
     order by d.id
     for key share`,
    [generationId, hashes],
  )
  return holdBeside(
    tx,
    generationId,
    waiting.map((row) => row.id),
    'embedding',
  )
}

/** Locks the rows of documents, which the caller holds, that are in this state; returns the documents. */
export async function holdBeside(
  tx: Tx,
  generationId: number,
  documentIds: readonly number[],
  state: 'preparing' | 'embedding',
): Promise<number[]> {
  if (documentIds.length === 0) return []
  const rows = await tx.query<{ id: number }>(
    `select document_id as id from millrace.generation_documents
     where generation_id = $1 and document_id = any($2) and state = $3
     order by document_id
     for no key update`,
    [generationId, documentIds, state],
  )
  return rows.map((row) => row.id)
}
