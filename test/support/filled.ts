import { createHash } from 'node:crypto'
import { type Db, type DomainRow, insertDomain, type StorageForm } from '@millrace/store'
import { insertVectors } from '@millrace/store/vectors'

export interface FilledDocument {
  /** Of length 1. */
  readonly vector: Float32Array
  readonly metadata: object
}

/** A domain of documents of one chunk each, without the work of ingesting them; d0 is the first. */
export async function filledDomain(
  db: Db,
  { name, dims, storage = 'full' }: { name: string; dims: number; storage?: StorageForm },
  documents: readonly FilledDocument[],
): Promise<DomainRow> {
  const domain = await insertDomain(db, {
    name,
    threshold: null,
    levels: [{ key: 'all', above: null, name: { zh: '全', en: 'all' } }],
    model: 'external',
    dims,
    recipe: {},
    recipeHash: name,
    storage,
  })
  if (domain === undefined) throw new Error('the domain is there already')
  const rows = documents.map(({ vector, metadata }, i) => ({
    hash: createHash('sha256').update(`${name} ${i}`).digest(),
    vector,
    metadata: JSON.stringify(metadata),
    id: `d${i}`,
  }))
  await db.transact(async (tx) => {
    await insertVectors(tx, domain.generationId, { storage, dims }, rows)
    await tx.query(
      `with run as (
         insert into millrace.ingestions (domain_id, state, finished_at, sealed)
         values ($1, 'finished', now(), true) returning id
       ), given as (
         select * from unnest($2::text[], $3::bytea[], $4::jsonb[]) as g (external_id, hash, metadata)
       ), added as (
         insert into millrace.documents
           (domain_id, external_id, text, content_hash, ingestion_id, state, chunks, tokens)
         select $1, g.external_id, g.external_id, g.hash, r.id, 'ready', 1, 0 from given g, run r
         returning id, text, content_hash
       ), cut as (
         insert into millrace.chunks
           (document_id, generation_id, revision, ordinal, start_at, end_at, tokens, text_hash, text)
         select id, $5, 1, 0, 0, length(text), 0, content_hash, text from added
       )
       insert into millrace.published (generation_id, document_id, revision, metadata)
       select $5, a.id, 1, g.metadata from added a join given g on g.hash = a.content_hash`,
      [
        domain.id,
        rows.map(({ id }) => id),
        rows.map(({ hash }) => hash),
        rows.map(({ metadata }) => metadata),
        domain.generationId,
      ],
    )
  })
  return domain
}
