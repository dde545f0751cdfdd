import { colbertTable } from '../colbert.js'
import { one, type Session } from '../connect.js'
import type { LayoutPart } from '../schema.js'
import { besidesOf, termsTable } from '../terms.js'

/** Ready documents of a domain, one slice in the order of their ids as callers gave them. */
export interface DocumentSlice {
  readonly documents: number
  readonly chunks: number
  readonly tokens: number
  /** Of those whose vectors are taken over: published at or after the moment asked for. */
  readonly copied: { readonly chunks: number; readonly tokens: number }
  /** Every so many-th. */
  readonly picked: readonly number[]
  /** Where the next one begins; null: there is none. */
  readonly after: string | null
}

/** Counts a slice of what a generation has. @param step of the documents, one in so many is picked */
export async function countSlice(
  on: Session,
  { domainId, generationId }: { readonly domainId: number; readonly generationId: number },
  page: {
    readonly after: string | null
    readonly limit: number
    readonly step: number
    readonly publishedSince: Date | null
  },
): Promise<DocumentSlice> {
  const found = one(
    await on.query<Omit<DocumentSlice, 'copied'> & { copiedChunks: number; copiedTokens: number }>(
      `select count(*)::int as documents, coalesce(sum(chunks), 0)::int8 as chunks,
         coalesce(sum(tokens), 0)::int8 as tokens,
         coalesce(sum(chunks) filter (where copied), 0)::int8 as "copiedChunks",
         coalesce(sum(tokens) filter (where copied), 0)::int8 as "copiedTokens",
         coalesce(jsonb_agg(id) filter (where place % $4 = 0), '[]') as picked,
         case when count(*) = $3 then max(external_id) end as after
       from (
         select d.id, d.external_id, d.chunks, d.tokens, row_number() over (order by d.external_id) - 1 as place,
           $5::timestamptz is null or coalesce(p.published_at >= $5, false) as copied
         from millrace.documents d
         left join millrace.published p on p.generation_id = $6 and p.document_id = d.id and $5::timestamptz is not null
         where d.domain_id = $1 and d.state = 'ready' and ($2::text is null or d.external_id > $2)
         order by d.external_id limit $3
       ) slice`,
      [domainId, page.after, page.limit, page.step, page.publishedSince, generationId],
    ),
    'a slice of the documents',
  )
  const { copiedChunks, copiedTokens, ...slice } = found
  return { ...slice, copied: { chunks: copiedChunks, tokens: copiedTokens } }
}

/** A document that a plan prepares to see what comes of it. */
export interface SampledDocument {
  readonly id: number
  readonly title: string | null
  readonly text: string
  readonly layout: readonly LayoutPart[] | null
  /** As they are now. */
  readonly chunks: number
  readonly tokens: number
  readonly publishedAt: Date | null
}

/** In the order of their ids; those that are not ready any more are left out, as are texts of more than `bytesMax`. */
export const sampleDocuments = (
  on: Session,
  generationId: number,
  ids: readonly number[],
  bytesMax: number,
): Promise<SampledDocument[]> =>
  on.query<SampledDocument>(
    `select d.id, d.title, d.text, d.layout, d.chunks, d.tokens, p.published_at as "publishedAt"
     from millrace.documents d
     left join millrace.published p on p.generation_id = $1 and p.document_id = d.id
     where d.id = any($2) and d.state = 'ready' and octet_length(d.text) <= $3 order by d.id`,
    [generationId, ids, bytesMax],
  )

/** What a row of a generation takes on an average, with the indexes that are there; null where it has none. */
export interface RowBytes {
  /** Of its chunks, their texts included. */
  readonly chunk: number | null
  readonly terms: number | null
  readonly colbert: number | null
}

/** Chunks that are looked at, and rows that are counted where Postgres has no estimate. */
const LOOKED_AT = 1_000
const COUNTED_MAX = 100_000

export async function rowBytes(on: Session, generationId: number): Promise<RowBytes> {
  const [row] = await on.query<{ bytes: number | null }>(
    `select avg(pg_column_size(c.*))::float8 as bytes
     from (select * from millrace.chunks where generation_id = $1 limit $2) c`,
    [generationId, LOOKED_AT],
  )
  const tables = new Set(await besidesOf(on, generationId))
  const of = async (table: string) => (tables.has(table) ? await averageBytes(on, table) : null)
  return {
    chunk: row?.bytes ?? null,
    terms: await of(termsTable(generationId)),
    colbert: await of(colbertTable(generationId)),
  }
}

async function averageBytes(on: Session, table: string): Promise<number | null> {
  const [row] = await on.query<{ bytes: number; rows: number }>(
    `select pg_total_relation_size(oid)::float8 as bytes,
       (case when reltuples > $2 then reltuples::int8
         else (select count(*) from (select 1 from ${table} limit $2) first) end)::float8 as rows
     from pg_class where oid = $1::regclass`,
    [table, COUNTED_MAX],
  )
  return row === undefined || row.rows === 0 ? null : row.bytes / row.rows
}

/** How fast texts have been embedded here. */
export interface MeasuredSpeed {
  readonly tokensPerSecond: number
  readonly isModel: boolean
}

/** Less than so many tokens say more of what goes on around them than of the model. */
const TOKENS_MIN = 2_000
const WORKS = 20

/**
 * Of the last ingestions that a model has embedded, else of the last builds with it, else the same of any model, else of
 * the workers now; undefined when nothing was measured. Works that ran side by side count together as one after the other,
 * and pauses count, so this is too low rather than too high. An ingestion's model is that of the generation that was live
 * from its start to its end, else the one that all generations of its domain have had; where that cannot be told it counts
 * as another's.
 */
export async function measuredSpeed(on: Session, model: string): Promise<MeasuredSpeed | undefined> {
  const rows = await on.query<MeasuredSpeed>(
    `with ingested as (
       select coalesce(coalesce(lived.model, sole.model) = $1, false) as mine, i.tokens_embedded as tokens,
         extract(epoch from i.finished_at - coalesce(i.work_started_at, i.started_at)) as seconds
       from millrace.ingestions i
       left join lateral (
         select g.model from millrace.generations g
         where g.domain_id = i.domain_id and g.live_since <= i.started_at
           and (g.state = 'live' or g.retired_at >= i.finished_at)
         order by g.live_since desc limit 1
       ) lived on true
       left join lateral (
         select min(g.model) as model from millrace.generations g where g.domain_id = i.domain_id
         having min(g.model) = max(g.model)
       ) sole on true
       where i.state = 'finished' and i.tokens_embedded >= $2
       order by mine desc, i.id desc limit $3
     ), built as (
       select model = $1 as mine, tokens_embedded as tokens, extract(epoch from built_at - started_at) as seconds
       from millrace.generations where built_at > started_at and tokens_embedded >= $2
       order by mine desc, id desc limit $3
     )
     select (sum(tokens) / greatest(sum(seconds), 0.001))::float8 as "tokensPerSecond", mine as "isModel", 0 as place
     from ingested group by mine
     union all
     select (sum(tokens) / greatest(sum(seconds), 0.001))::float8, mine, 1 from built group by mine
     union all
     select sum(tokens_per_second)::float8, false, 2 from millrace.workers
     where seen_at > now() - interval '1 minute' having sum(tokens_per_second) > 0
     order by "isModel" desc, place`,
    [model, TOKENS_MIN, WORKS],
  )
  const [best] = rows
  return best === undefined ? undefined : { tokensPerSecond: best.tokensPerSecond, isModel: best.isModel }
}
