import { toSql } from 'pgvector'
import type { Session } from './connect.js'
import type { LevelRow, Metadata } from './schema.js'

export interface SearchQuery {
  readonly domain: string
  readonly vector: Float32Array
  readonly k: number
  /** Null: the domain's; -1: none. */
  readonly threshold: number | null
  readonly filter: Readonly<Record<string, unknown>>
}

export interface SearchHit {
  readonly documentId: string
  readonly chunk: number
  readonly title: string | null
  readonly text: string
  readonly similarity: number
  readonly level: LevelRow
  readonly metadata: Metadata
  readonly start: number
  readonly end: number
}

/** The same function that people call in SQL. Errors carry SQLSTATE 22023 (a wrong value) or P0002 (no domain). */
export const searchChunks = (on: Session, query: SearchQuery): Promise<SearchHit[]> =>
  on.query<SearchHit>(
    `select document_id as "documentId", chunk, title, text, similarity, level, metadata,
       start_at as start, end_at as "end"
     from millrace.find_chunks($1, $2::vector, $3, $4::real, $5::jsonb)`,
    [query.domain, toSql(Array.from(query.vector)), query.k, query.threshold, JSON.stringify(query.filter)],
  )
