import type { Session } from './connect.js'
import { parameter, vector as vectorEncoding } from './copy.js'
import type { FusionRow, Metadata, Place, ScoreKind, SearchMode } from './schema.js'
import { type Terms, toSparsevec } from './terms.js'

export interface HitQuery {
  readonly domain: string
  /** Of the domain's dims, any length; null in mode sparse. */
  readonly vector: Float32Array | null
  /** Null in mode dense. */
  readonly terms: Terms | null
  readonly k: number
  readonly mode: SearchMode
  readonly filter: Readonly<Record<string, unknown>>
  /** Least scores; null: no cut. A kind that is not there: the domain's for the kind that ranks, none for the others. */
  readonly thresholds: Partial<Readonly<Record<ScoreKind, number | null | undefined>>>
  readonly fusion?: FusionRow | undefined
  /** How many are looked at closely: of a form of storage with codes, or of each list in hybrid. */
  readonly candidates?: number | undefined
  readonly efSearch?: number | undefined
  /** Without the index. */
  readonly exact?: boolean | undefined
}

export interface FoundHit {
  readonly documentId: string
  readonly chunk: number
  readonly title: string | null
  /** What is shown: of a parent, where there is one. */
  readonly text: string
  readonly metadata: Metadata
  readonly start: number
  readonly end: number
  /** The heading path, outermost first. */
  readonly headings: readonly string[]
  readonly place: Place | null
  /** What is shown for the chunk, when that is longer: then text, start and end are the parent's. */
  readonly parent: { readonly chunk: number; readonly start: number; readonly end: number } | null
  readonly scores: Partial<Readonly<Record<ScoreKind, number>>>
  readonly textHash: Buffer
  /** What the model reads before the chunk's text. */
  readonly context: string
  /** Of the chunk itself. */
  readonly chunkText: string
}

/** The same function that people call in SQL. Errors carry SQLSTATE 22023 (a wrong value) or P0002 (no domain). */
export async function findHits(on: Session, query: HitQuery): Promise<FoundHit[]> {
  const { domain, vector, terms, k, ...options } = query
  const rows = await on.query<
    Omit<FoundHit, 'scores'> & { dense: number | null; sparse: number | null; hybrid: number | null }
  >(
    `select document_id as "documentId", chunk, title, text, metadata, start_at as start, end_at as "end", headings,
       place, case when parent_start is not null
         then jsonb_build_object('chunk', parent, 'start', parent_start, 'end', parent_end) end as parent,
       dense_score as dense, sparse_score as sparse, hybrid_score as hybrid, text_hash as "textHash", context,
       chunk_text as "chunkText"
     from millrace.find_hits($1, $2::vector, $3::sparsevec, $4, $5::jsonb)`,
    [
      domain,
      // Written as text, a vector takes longer than all else that is sent and read here.
      vector === null ? null : parameter(vectorEncoding, vector),
      terms === null ? null : toSparsevec(terms),
      k,
      JSON.stringify(options),
    ],
  )
  return rows.map(({ dense, sparse, hybrid, ...hit }) => ({
    ...hit,
    scores: {
      ...(dense === null ? {} : { dense }),
      ...(sparse === null ? {} : { sparse }),
      ...(hybrid === null ? {} : { hybrid }),
    },
  }))
}

/** Nothing where the filter is one, else the error that a search with it has: 22023. */
export async function readFilter(on: Session, filter: Readonly<Record<string, unknown>>): Promise<void> {
  await on.query(`select 1 from millrace.compile_filter($1::jsonb, '$1')`, [JSON.stringify(filter)])
}

/** Why a search of a domain found nothing. */
export interface Nothing {
  /** Documents that can be found; not counted further than a few. */
  readonly published: number
  /** Documents that are on their way. */
  readonly open: number
  /** Of those that were named, the fields that no document has in its metadata. */
  readonly unknownFields: readonly string[]
}

/** Documents whose fields are looked at, at most: a search that finds nothing must not take for ever. */
const DOCUMENTS_LOOKED_AT = 100_000

export async function whyNothing(
  on: Session,
  domain: { readonly id: number; readonly generationId: number },
  fields: readonly string[],
): Promise<Nothing> {
  const rows = await on.query<Nothing>(
    `select
       (select count(*)::int from (select 1 from millrace.published where generation_id = $2 limit 1) p) as published,
       (select coalesce(sum(received + preparing + embedding), 0)::int
        from millrace.ingestions where domain_id = $1 and state = 'running') as open,
       array(
         select f.name from unnest($3::text[]) f (name)
         where not exists (
           select 1 from (select metadata from millrace.published where generation_id = $2 limit $4) p
           where p.metadata ? f.name
         )
       ) as "unknownFields"`,
    [domain.id, domain.generationId, fields, DOCUMENTS_LOOKED_AT],
  )
  return rows[0] ?? { published: 0, open: 0, unknownFields: [] }
}
