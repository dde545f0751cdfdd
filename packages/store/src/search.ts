import { toSql } from 'pgvector'
import type { Session } from './connect.js'
import type { LevelRow, Metadata, Place } from './schema.js'

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
  /** The heading path, outermost first. */
  readonly headings: readonly string[]
  readonly place: Place | null
  /** What is shown for the chunk, when that is longer: then text, start and end are the parent's. */
  readonly parent: { readonly chunk: number; readonly start: number; readonly end: number } | null
}

/** The same function that people call in SQL. Errors carry SQLSTATE 22023 (a wrong value) or P0002 (no domain). */
export const searchChunks = (on: Session, query: SearchQuery): Promise<SearchHit[]> =>
  on.query<SearchHit>(
    `select document_id as "documentId", chunk, title, text, similarity, level, metadata,
       start_at as start, end_at as "end", headings, place,
       case when parent_start is not null
         then jsonb_build_object('chunk', parent, 'start', parent_start, 'end', parent_end) end as parent
     from millrace.find_chunks($1, $2::vector, $3, $4::real, $5::jsonb)`,
    [query.domain, toSql(Array.from(query.vector)), query.k, query.threshold, JSON.stringify(query.filter)],
  )
