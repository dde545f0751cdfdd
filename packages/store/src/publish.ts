import type { Tx } from './connect.js'
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
     where d.id = any($2) and d.state = 'embedding'
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
