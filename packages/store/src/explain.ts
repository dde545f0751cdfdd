import { codeOf } from '@millrace/errors'
import { toSql } from 'pgvector'
import type { Db, Session } from './connect.js'
import { type Terms, toSparsevec } from './terms.js'

/** A query as it is compared: null where it has nothing for a kind of score. */
export interface ComparedQuery {
  readonly domain: string
  readonly vector: Float32Array | null
  readonly terms: Terms | null
}

export interface PublishedDocument {
  readonly revision: number
  readonly chunks: number
  readonly title: string | null
  readonly metadata: Readonly<Record<string, unknown>>
}

/** What readers of a generation see of a document; undefined: nothing. */
export async function publishedDocument(
  on: Session,
  generationId: number,
  documentId: number,
): Promise<PublishedDocument | undefined> {
  const found = await on.query<PublishedDocument>(
    `select p.revision, p.title, p.metadata, (
       select count(*)::int from millrace.chunks c
       where c.document_id = p.document_id and c.generation_id = p.generation_id and c.revision = p.revision
     ) as chunks
     from millrace.published p where p.generation_id = $1 and p.document_id = $2`,
    [generationId, documentId],
  )
  return found[0]
}

/** Ids of a domain beside one that it does not have: those given that it has, and its neighbours in order. */
export async function nearIds(
  on: Session,
  domainId: number,
  id: string,
  others: readonly string[],
  each: number,
): Promise<string[]> {
  const rows = await on.query<{ id: string }>(
    `select external_id as id from millrace.documents where domain_id = $1 and external_id = any($3)
     union
     (select external_id from millrace.documents where domain_id = $1 and external_id < $2
      order by external_id desc limit $4)
     union
     (select external_id from millrace.documents where domain_id = $1 and external_id > $2
      order by external_id limit $4)`,
    [domainId, id, others, each],
  )
  return rows.map((row) => row.id)
}

/** Whether a document, as it is published, passes each filter. Errors carry SQLSTATE 22023 (a wrong filter). */
export async function judgeFilters(
  on: Session,
  generationId: number,
  documentId: number,
  filters: readonly object[],
): Promise<boolean[]> {
  if (filters.length === 0) return []
  const rows = await on.query<{ passes: boolean[] }>('select millrace.judge_filters($1, $2, $3) as passes', [
    generationId,
    documentId,
    JSON.stringify(filters),
  ])
  return rows[0]?.passes ?? []
}

export interface ChunkScores {
  readonly chunk: number
  readonly text: string
  readonly dense: number | null
  readonly sparse: number | null
}

const parametersOf = ({ vector, terms }: ComparedQuery) => [
  vector === null ? null : toSql(Array.from(vector)),
  terms === null ? null : toSparsevec(terms),
]

/** What the chunks of a document score, without the index; a kind that the query has nothing for is null. */
export const documentScores = (
  on: Session,
  query: ComparedQuery,
  documentId: number,
): Promise<ChunkScores[]> =>
  on.query<ChunkScores>(
    `select chunk, text, case when $3::vector is not null then dense_score end as dense, sparse_score as sparse
     from millrace.document_scores($1, $2, $3::vector, $4::sparsevec)`,
    [query.domain, documentId, ...parametersOf(query)],
  )

export interface ExactPlace {
  /** From 1. */
  readonly place: number
  /** Among how many chunks that pass the filter. */
  readonly chunks: number
  /** The chunk of another document that is just before it. */
  readonly before: { readonly documentId: string; readonly chunk: number; readonly score: number } | null
}

/** Where a chunk is among all of its domain; undefined: that took too long, or it is gone. */
export async function exactPlace(
  db: Db,
  query: ComparedQuery,
  {
    kind,
    documentId,
    chunk,
    filter,
  }: {
    readonly kind: 'dense' | 'sparse'
    readonly documentId: number
    readonly chunk: number
    readonly filter: object
  },
  timeoutMs: number,
): Promise<ExactPlace | undefined> {
  const rows = await within(db, timeoutMs)
    .query<{
      place: number | null
      chunks: number
      id: string | null
      chunk: number
      score: number
    }>(
      `select place, chunks, before_id as id, before_chunk as chunk, before_score as score
     from millrace.exact_place($1, $2, $3, $4, $5::vector, $6::sparsevec, $7::jsonb)`,
      [query.domain, kind, documentId, chunk, ...parametersOf(query), JSON.stringify(filter)],
    )
    .catch((error: unknown) => {
      if (isTimeout(error)) return []
      throw error
    })
  const [found] = rows
  if (found?.place == null) return undefined
  const { place, chunks, id } = found
  return {
    place,
    chunks,
    before: id === null ? null : { documentId: id, chunk: found.chunk, score: found.score },
  }
}

/** Postgres broke a statement off: https://www.postgresql.org/docs/18/errcodes-appendix.html */
export const isTimeout = (error: unknown): boolean => codeOf(error) === '57014'

/** The same database, whose single statements are broken off (57014) after a while. PGlite knows no such limit. */
export const within = (db: Db, timeoutMs: number): Db => ({
  ...db,
  query: <Row extends object>(text: string, values?: readonly unknown[]) =>
    db.transact(async (tx) => {
      await tx.query(`select set_config('statement_timeout', $1, true)`, [String(timeoutMs)])
      return tx.query<Row>(text, values)
    }),
})
