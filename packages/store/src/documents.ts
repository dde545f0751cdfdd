import { and, asc, eq, gt } from 'drizzle-orm'
import type { Session, Tx } from './connect.js'
import { bytea, column, copyRows, jsonb, nullable, text } from './copy.js'
import {
  chunks,
  type DocumentState,
  documents,
  type LayoutPart,
  type Metadata,
  type Origin,
  type Place,
} from './schema.js'

export interface NewDocument {
  readonly externalId: string
  readonly title: string | null
  /** '' for a file or a URL: a worker reads it. */
  readonly text: string
  readonly metadata: Metadata
  readonly contentHash: Buffer
  readonly origin: Origin
  /** Where a worker fetches it. */
  readonly url: string | null
  /** Of a file whose bytes are stored with it. */
  readonly file: FileFacts | null
}

export interface FileFacts {
  readonly name: string
  /** Media type as it was sent. */
  readonly type: string | null
  /** SHA-256 of the bytes. */
  readonly hash: Buffer
}

export interface UpsertTarget {
  readonly domainId: number
  readonly ingestionId: number
  readonly source: string | null
  readonly ownedSeconds: number
  /** Notes what was in it, and refuses an id that was in it already: for streams and for sync. */
  readonly tracked: boolean
}

export interface Upserted {
  /** Rows that were written, ascending: what has to be prepared. */
  readonly ids: readonly number[]
  /** The same rows by the caller's id. */
  readonly written: ReadonlyMap<string, { readonly id: number; readonly revision: number }>
  /** Documents that stood there already, word for word, and are ready. */
  readonly unchanged: number
  /** Ids that were in this ingestion already; these documents were not written. Only when tracked. */
  readonly repeated: readonly string[]
}

interface Standing {
  readonly id: number
  readonly external_id: string
  readonly content_hash: Buffer
  readonly state: DocumentState
  readonly source: string | null
  readonly origin: Origin
  readonly repeated: boolean
}

/**
 * Writes documents of one ingestion. One whose title, text and metadata stand there already and are ready is
 * not touched. Anything else gets a new revision and this ingestion, also when an older one was still at work
 * on it. What was behind a URL is not known before it was fetched, so such a document is always written.
 * `given` has no id twice.
 */
export async function upsertDocuments(
  tx: Tx,
  to: UpsertTarget,
  given: readonly NewDocument[],
): Promise<Upserted> {
  const standing = await listStanding(tx, to, given)
  const repeated = given.filter((document) => standing.get(document.externalId)?.repeated === true)
  const fresh = given.filter((document) => standing.get(document.externalId)?.repeated !== true)
  const changed = fresh.filter((document) => !isUnchanged(document, standing.get(document.externalId)))
  const written = await writeDocuments(tx, to, changed)
  await dropFiles(tx, changed, standing)
  // Also what somebody else brought into this very state since it was looked at.
  const same = fresh.filter((document) => !written.has(document.externalId))
  const unchanged = await standingIds(tx, to, same, standing)
  if (unchanged.length > 0) await countUnchanged(tx, to, unchanged)
  if (to.tracked) {
    await noteSeen(tx, to.ingestionId, [...unchanged, ...[...written.values()].map(({ id }) => id)])
  }
  return {
    ids: [...written.values()].map(({ id }) => id).sort((a, b) => a - b),
    written,
    unchanged: unchanged.length,
    repeated: repeated.map((document) => document.externalId),
  }
}

/** The files of documents that came as files before and do not any more. */
async function dropFiles(
  tx: Tx,
  written: readonly NewDocument[],
  standing: ReadonlyMap<string, Standing>,
): Promise<void> {
  const ids = written
    .filter((document) => document.origin !== 'file')
    .flatMap((document) => standing.get(document.externalId) ?? [])
    .filter((row) => row.origin === 'file' || row.origin === 'url')
    .map((row) => row.id)
  if (ids.length === 0) return
  await tx.query('delete from millrace.file_parts where document_id = any($1)', [ids])
}

const isUnchanged = (document: NewDocument, there: Standing | undefined): boolean =>
  there !== undefined &&
  there.state === 'ready' &&
  document.origin !== 'url' &&
  there.content_hash.equals(document.contentHash)

async function listStanding(
  on: Session,
  of: { readonly domainId: number; readonly ingestionId: number; readonly tracked: boolean },
  given: readonly NewDocument[],
): Promise<Map<string, Standing>> {
  const rows = await on.query<Standing>(
    `select d.id, d.external_id, d.content_hash, d.state, d.source, d.origin,
       $4 and exists (
         select 1 from millrace.ingestion_seen s where s.ingestion_id = $2 and s.document_id = d.id
       ) as repeated
     from millrace.documents d
     where d.domain_id = $1 and d.external_id = any($3)`,
    [of.domainId, of.ingestionId, given.map((document) => document.externalId), of.tracked],
  )
  return new Map(rows.map((row) => [row.external_id, row]))
}

/** What documents would be, were they submitted now: nothing is written. */
export async function compareDocuments(
  on: Session,
  domainId: number,
  given: readonly NewDocument[],
): Promise<
  Map<string, { readonly id: number; readonly source: string | null; readonly unchanged: boolean }>
> {
  const standing = await listStanding(on, { domainId, ingestionId: 0, tracked: false }, given)
  const found = given.flatMap((document) => {
    const there = standing.get(document.externalId)
    return there === undefined ? [] : [{ there, unchanged: isUnchanged(document, there) }]
  })
  return new Map(
    found.map(({ there, unchanged }) => [
      there.external_id,
      { id: there.id, source: there.source, unchanged },
    ]),
  )
}

/** Ids of the rows of documents that were not written; those that moved to another source are moved. */
async function standingIds(
  tx: Tx,
  to: UpsertTarget,
  same: readonly NewDocument[],
  standing: ReadonlyMap<string, Standing>,
): Promise<number[]> {
  const known = same.flatMap((document) => standing.get(document.externalId) ?? [])
  const raced = same.filter((document) => !standing.has(document.externalId))
  const late = raced.length === 0 ? [] : [...(await listStanding(tx, to, raced)).values()]
  const moved = [...known, ...late].filter((row) => to.source !== null && row.source !== to.source)
  if (moved.length > 0) {
    await tx.query(
      `update millrace.documents set source = $1 where id in (
         select id from millrace.documents where id = any($2) order by id for no key update
       )`,
      [to.source, moved.map((row) => row.id)],
    )
  }
  return [...known, ...late].map((row) => row.id)
}

const CONFLICT = `on conflict (domain_id, external_id) do update set
     title = excluded.title, text = excluded.text, metadata = excluded.metadata,
     content_hash = excluded.content_hash, ingestion_id = excluded.ingestion_id, revision = d.revision + 1,
     state = 'received', error_code = null, error_message = null, warnings = '{}', chunks = null,
     tokens = null, attempts = 0, leased_until = excluded.leased_until, updated_at = now(),
     source = coalesce(excluded.source, d.source), origin = excluded.origin, url = excluded.url,
     file_name = excluded.file_name, file_type = excluded.file_type, file_hash = excluded.file_hash,
     format = null, layout = null
   where d.content_hash <> excluded.content_hash or d.state <> 'ready' or excluded.origin = 'url'
   returning id, external_id, revision`

const INTO = `insert into millrace.documents as d
     (domain_id, external_id, title, text, metadata, content_hash, ingestion_id, leased_until, source, origin, url,
      file_name, file_type, file_hash)`

interface Written {
  readonly id: number
  readonly external_id: string
  readonly revision: number
}

async function writeDocuments(
  tx: Tx,
  to: UpsertTarget,
  given: readonly NewDocument[],
): Promise<Map<string, Written>> {
  if (given.length === 0) return new Map()
  const rows =
    tx.kind === 'server' ? await copyDocuments(tx, to, given) : await unnestDocuments(tx, to, given)
  return new Map(rows.map((row) => [row.external_id, row]))
}

const DOCUMENT_COLUMNS = [
  column('external_id', text, (row: NewDocument) => row.externalId),
  column('title', nullable(text), (row: NewDocument) => row.title),
  column('text', text, (row: NewDocument) => row.text),
  column('metadata', jsonb, (row: NewDocument) => JSON.stringify(row.metadata)),
  column('content_hash', bytea, (row: NewDocument) => row.contentHash),
  column('origin', text, (row: NewDocument) => row.origin),
  column('url', nullable(text), (row: NewDocument) => row.url),
  column('file_name', nullable(text), (row: NewDocument) => row.file?.name ?? null),
  column('file_type', nullable(text), (row: NewDocument) => row.file?.type ?? null),
  column('file_hash', nullable(bytea), (row: NewDocument) => row.file?.hash ?? null),
]

/** COPY knows no conflicts: into a temporary table of the connection first, empty again at the commit. */
async function copyDocuments(tx: Tx, to: UpsertTarget, given: readonly NewDocument[]): Promise<Written[]> {
  await tx.query(
    `create temporary table if not exists millrace_incoming (
       external_id text collate "C", title text, text text, metadata jsonb, content_hash bytea, origin text,
       url text, file_name text, file_type text, file_hash bytea
     ) on commit delete rows`,
  )
  await copyRows(tx, 'pg_temp.millrace_incoming', DOCUMENT_COLUMNS, given)
  const rows = await tx.query<Written>(
    `${INTO}
     select $1, g.external_id, g.title, g.text, g.metadata, g.content_hash, $2, now() + make_interval(secs => $3), $4,
       g.origin, g.url, g.file_name, g.file_type, g.file_hash
     from pg_temp.millrace_incoming g
     order by g.external_id -- one order for all: two submissions of the same ids do not deadlock
     ${CONFLICT}`,
    [to.domainId, to.ingestionId, to.ownedSeconds, to.source],
  )
  // Another slice may follow in the same transaction.
  await tx.query('truncate pg_temp.millrace_incoming')
  return rows
}

const unnestDocuments = (tx: Tx, to: UpsertTarget, given: readonly NewDocument[]): Promise<Written[]> =>
  tx.query<Written>(
    `${INTO}
     select $1, g.external_id, g.title, g.text, g.metadata::jsonb, g.content_hash, $2,
       now() + make_interval(secs => $3), $4, g.origin, g.url, g.file_name, g.file_type, g.file_hash
     from unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[], $10::text[], $11::text[], $12::text[],
         $13::text[], $14::bytea[])
       as g (external_id, title, text, metadata, content_hash, origin, url, file_name, file_type, file_hash)
     order by g.external_id collate "C"
     ${CONFLICT}`,
    [
      to.domainId,
      to.ingestionId,
      to.ownedSeconds,
      to.source,
      given.map((document) => document.externalId),
      given.map((document) => document.title),
      given.map((document) => document.text),
      given.map((document) => JSON.stringify(document.metadata)),
      given.map((document) => document.contentHash),
      given.map((document) => document.origin),
      given.map((document) => document.url),
      given.map((document) => document.file?.name ?? null),
      given.map((document) => document.file?.type ?? null),
      given.map((document) => document.file?.hash ?? null),
    ],
  )

/** What an unchanged document consists of counts as reused. Its rows are only read. */
async function countUnchanged(tx: Tx, to: UpsertTarget, ids: readonly number[]): Promise<void> {
  await tx.query(
    `update millrace.ingestions i set
       ready = i.ready + u.documents, unchanged = i.unchanged + u.documents,
       chunks = i.chunks + u.chunks, chunks_reused = i.chunks_reused + u.chunks, tokens = i.tokens + u.tokens
     from (
       select count(*) as documents, coalesce(sum(chunks), 0) as chunks, coalesce(sum(tokens), 0) as tokens
       from millrace.documents
       where id = any($2)
     ) u
     where i.id = $1`,
    [to.ingestionId, ids],
  )
  // A sync that is still under way and began before must not take them for gone.
  await tx.query(
    `insert into millrace.ingestion_seen (ingestion_id, document_id)
     select i.id, u.id
     from millrace.ingestions i cross join unnest($3::bigint[]) as u (id)
     where i.domain_id = $1 and i.id < $2 and i.sync is not null and i.synced_at is null and i.state = 'running'
     on conflict do nothing`,
    [to.domainId, to.ingestionId, ids],
  )
}

const noteSeen = (tx: Tx, ingestionId: number, ids: readonly number[]): Promise<object[]> =>
  tx.query(
    `insert into millrace.ingestion_seen (ingestion_id, document_id)
     select $1, id from unnest($2::bigint[]) as given (id)
     on conflict do nothing`,
    [ingestionId, ids],
  )

export interface DocumentRow {
  readonly id: number
  readonly externalId: string
  readonly title: string | null
  readonly metadata: Metadata
  readonly revision: number
  readonly ingestionId: number
  readonly source: string | null
  readonly origin: Origin
  readonly url: string | null
  readonly fileName: string | null
  readonly fileType: string | null
  /** What the bytes were: pdf, docx, …; null until they were read, and for what came as text. */
  readonly format: string | null
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
  source: documents.source,
  origin: documents.origin,
  url: documents.url,
  fileName: documents.fileName,
  fileType: documents.fileType,
  format: documents.format,
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
    readonly ingestion?: number | undefined
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
        page.ingestion === undefined ? undefined : eq(documents.ingestionId, page.ingestion),
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
): Promise<
  (DocumentRow & { readonly text: string; readonly layout: readonly LayoutPart[] | null }) | undefined
> {
  const found = await on.orm
    .select({ ...summary, text: documents.text, layout: documents.layout })
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
  readonly headings: readonly string[]
  readonly place: Place | null
  readonly parent: number | null
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
      headings: chunks.headings,
      place: chunks.place,
      parent: chunks.parent,
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
