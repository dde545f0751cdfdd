import { and, asc, eq, gt } from 'drizzle-orm'
import type { Db, Session, Tx } from './connect.js'
import { chunks, type DocumentState, documents, type Metadata } from './schema.js'
import { markOrphans } from './vectors.js'

export interface NewDocument {
  readonly externalId: string
  readonly title: string | null
  readonly text: string
  readonly metadata: Metadata
  readonly contentHash: Buffer
}

export interface Upserted {
  /** Rows that were written, ascending: what has to be prepared. */
  readonly ids: readonly number[]
  /** Documents that stood there already, word for word, and are ready. */
  readonly unchanged: number
}

/**
 * Writes documents of one ingestion. One whose title, text and metadata stand there already and are ready is
 * not touched. Anything else gets a new revision and this ingestion, also when an older one was still at work
 * on it. `documents` has no id twice.
 */
export async function upsertDocuments(
  tx: Tx,
  to: { readonly domainId: number; readonly ingestionId: number; readonly ownedSeconds: number },
  given: readonly NewDocument[],
): Promise<Upserted> {
  const written = await tx.query<{ id: number }>(
    `insert into millrace.documents as d
       (domain_id, external_id, title, text, metadata, content_hash, ingestion_id, leased_until)
     select $1, g.external_id, g.title, g.text, g.metadata::jsonb, g.content_hash, $2, now() + make_interval(secs => $3)
     from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[])
       as g (external_id, title, text, metadata, content_hash)
     order by g.external_id collate "C" -- one order for all: two submissions of the same ids do not deadlock
     on conflict (domain_id, external_id) do update set
       title = excluded.title, text = excluded.text, metadata = excluded.metadata,
       content_hash = excluded.content_hash, ingestion_id = excluded.ingestion_id, revision = d.revision + 1,
       state = 'received', error_code = null, error_message = null, warnings = '{}', chunks = null,
       tokens = null, attempts = 0, leased_until = excluded.leased_until, updated_at = now()
     where d.content_hash <> excluded.content_hash or d.state <> 'ready'
     returning id`,
    [
      to.domainId,
      to.ingestionId,
      to.ownedSeconds,
      given.map((document) => document.externalId),
      given.map((document) => document.title),
      given.map((document) => document.text),
      given.map((document) => JSON.stringify(document.metadata)),
      given.map((document) => document.contentHash),
    ],
  )
  const unchanged = given.length - written.length
  if (unchanged > 0) {
    await countUnchanged(
      tx,
      to,
      given.map((document) => document.externalId),
    )
  }
  return { ids: written.map((row) => row.id).sort((a, b) => a - b), unchanged }
}

/** What an unchanged document consists of counts as reused. */
async function countUnchanged(
  tx: Tx,
  to: { readonly domainId: number; readonly ingestionId: number },
  externalIds: readonly string[],
): Promise<void> {
  await tx.query(
    `update millrace.ingestions i set
       ready = i.ready + u.documents, unchanged = i.unchanged + u.documents,
       chunks = i.chunks + u.chunks, chunks_reused = i.chunks_reused + u.chunks, tokens = i.tokens + u.tokens
     from (
       select count(*) as documents, coalesce(sum(chunks), 0) as chunks, coalesce(sum(tokens), 0) as tokens
       from millrace.documents
       where domain_id = $1 and external_id = any($3) and ingestion_id <> $2
     ) u
     where i.id = $2`,
    [to.domainId, to.ingestionId, externalIds],
  )
}

export interface DocumentRow {
  readonly id: number
  readonly externalId: string
  readonly title: string | null
  readonly metadata: Metadata
  readonly revision: number
  readonly ingestionId: number
  readonly state: DocumentState
  readonly errorCode: string | null
  readonly errorMessage: string | null
  readonly warnings: readonly string[]
  readonly chunks: number | null
  readonly tokens: number | null
  readonly createdAt: Date
  readonly updatedAt: Date
}

const summary = {
  id: documents.id,
  externalId: documents.externalId,
  title: documents.title,
  metadata: documents.metadata,
  revision: documents.revision,
  ingestionId: documents.ingestionId,
  state: documents.state,
  errorCode: documents.errorCode,
  errorMessage: documents.errorMessage,
  warnings: documents.warnings,
  chunks: documents.chunks,
  tokens: documents.tokens,
  createdAt: documents.createdAt,
  updatedAt: documents.updatedAt,
}

/** Documents by their own id (bytewise order), the ones after `after`. */
export function listDocuments(
  on: Session,
  domainId: number,
  page: {
    readonly state?: DocumentState | undefined
    readonly after?: string | undefined
    readonly limit: number
  },
): Promise<DocumentRow[]> {
  return on.orm
    .select(summary)
    .from(documents)
    .where(
      and(
        eq(documents.domainId, domainId),
        page.state === undefined ? undefined : eq(documents.state, page.state),
        page.after === undefined ? undefined : gt(documents.externalId, page.after),
      ),
    )
    .orderBy(asc(documents.externalId))
    .limit(page.limit)
}

export async function getDocument(
  on: Session,
  domainId: number,
  externalId: string,
): Promise<(DocumentRow & { readonly text: string }) | undefined> {
  const found = await on.orm
    .select({ ...summary, text: documents.text })
    .from(documents)
    .where(and(eq(documents.domainId, domainId), eq(documents.externalId, externalId)))
  return found[0]
}

export interface ChunkRow {
  readonly ordinal: number
  readonly startAt: number
  readonly endAt: number
  readonly tokens: number
  readonly text: string
}

/** The chunks of one revision, in order; none until it is prepared. */
export const listChunks = (
  on: Session,
  of: { readonly documentId: number; readonly generationId: number; readonly revision: number },
): Promise<ChunkRow[]> =>
  on.orm
    .select({
      ordinal: chunks.ordinal,
      startAt: chunks.startAt,
      endAt: chunks.endAt,
      tokens: chunks.tokens,
      text: chunks.text,
    })
    .from(chunks)
    .where(
      and(
        eq(chunks.documentId, of.documentId),
        eq(chunks.generationId, of.generationId),
        eq(chunks.revision, of.revision),
      ),
    )
    .orderBy(asc(chunks.ordinal))

/** Removes a document from every answer at once; its vectors are marked when nobody else uses them. */
export function deleteDocument(db: Db, domainId: number, externalId: string): Promise<boolean> {
  return db.transact(async (tx) => {
    const found = await tx.query<{ id: number }>(
      'select id from millrace.documents where domain_id = $1 and external_id = $2 for update',
      [domainId, externalId],
    )
    const document = found[0]
    if (document === undefined) return false
    const used = await tx.query<{ generation_id: number; hashes: Buffer[] }>(
      `select generation_id, array_agg(distinct text_hash) as hashes
       from millrace.chunks where document_id = $1 group by 1`,
      [document.id],
    )
    await tx.query('delete from millrace.documents where id = $1', [document.id])
    for (const { generation_id, hashes } of used) await markOrphans(tx, generation_id, hashes)
    return true
  })
}

export interface DocumentCounts {
  readonly total: number
  readonly received: number
  readonly preparing: number
  readonly embedding: number
  readonly ready: number
  readonly failed: number
  readonly cancelled: number
}

/** Documents by state, of each of these domains. */
export async function countDocuments(
  on: Session,
  domainIds: readonly number[],
): Promise<Map<number, DocumentCounts>> {
  const rows = await on.query<DocumentCounts & { domain: number }>(
    `select given.id as domain,
       count(d.id)::int as total,
       (count(*) filter (where d.state = 'received'))::int  as received,
       (count(*) filter (where d.state = 'preparing'))::int as preparing,
       (count(*) filter (where d.state = 'embedding'))::int as embedding,
       (count(*) filter (where d.state = 'ready'))::int     as ready,
       (count(*) filter (where d.state = 'failed'))::int    as failed,
       (count(*) filter (where d.state = 'cancelled'))::int as cancelled
     from unnest($1::bigint[]) as given (id)
     left join millrace.documents d on d.domain_id = given.id
     group by 1`,
    [domainIds],
  )
  return new Map(rows.map(({ domain, ...counts }) => [domain, counts]))
}

export const NO_DOCUMENTS: DocumentCounts = {
  total: 0,
  received: 0,
  preparing: 0,
  embedding: 0,
  ready: 0,
  failed: 0,
  cancelled: 0,
}
