import { randomBytes } from 'node:crypto'
import { type Db, one, type Session } from './connect.js'

/** A hit as it is kept: which, where texts are kept, and its score. */
export interface LoggedHit {
  readonly score: number
  readonly documentId?: string
  readonly chunk?: number
}

/** A query that was answered. */
export interface LoggedQuery {
  readonly domainId: number
  /** When it was asked. */
  readonly at: Date
  /** Null: a vector, or only the hash is kept. */
  readonly query: string | null
  readonly queryHash: Buffer
  readonly k: number
  readonly threshold: number | null
  readonly mode: string
  readonly filterFields: readonly string[]
  readonly hits: number
  /** The kind of score that it was ranked by. */
  readonly rankedBy: string
  /** Null: no hits. */
  readonly topScore: number | null
  readonly topLevel: string | null
  /** The first hits. */
  readonly top: readonly LoggedHit[]
  readonly embedMs: number
  readonly searchMs: number
  /** Null: nothing was reranked. */
  readonly rerankMs: number | null
  readonly totalMs: number
}

/** Held together by those who write, and alone by who forgets: none that begins later misses what is forgotten. */
const LOCK = "hashtext('millrace queries')"

/** Those of domains that have gone meanwhile are left out, and those that were forgotten. */
export async function insertQueries(db: Db, queries: readonly LoggedQuery[]): Promise<void> {
  if (queries.length === 0) return
  const values = queries.map(({ queryHash, at, ...query }, place) => ({
    ...query,
    place,
    at: at.toISOString(),
    hash: queryHash.toString('hex'),
  }))
  await db.transact(async (tx) => {
    // A statement of its own: the next one sees what was forgotten while this one waited.
    await tx.query(`select pg_advisory_xact_lock_shared(${LOCK})`)
    await tx.query(
      `insert into millrace.queries (domain_id, at, query, query_hash, k, threshold, mode, filter_fields, hits, ranked_by,
         top_score, top_level, top, embed_ms, search_ms, rerank_ms, total_ms)
       select q."domainId", q.at, q.query, decode(q.hash, 'hex'), q.k, q.threshold, q.mode,
         array(select jsonb_array_elements_text(q."filterFields")), q.hits, q."rankedBy", q."topScore", q."topLevel",
         q.top, q."embedMs", q."searchMs", q."rerankMs", q."totalMs"
       from jsonb_to_recordset($1::jsonb) as q (
         "domainId" bigint, at timestamptz(3), query text, hash text, k integer, threshold real, mode text,
         "filterFields" jsonb, hits integer, "rankedBy" text, "topScore" real, "topLevel" text, top jsonb,
         "embedMs" real, "searchMs" real, "rerankMs" real, "totalMs" real, place integer
       )
       join millrace.domains d on d.id = q."domainId"
       where not exists (
         select 1 from millrace.forgotten_queries f
         where f.domain_id = q."domainId" and f.query_hash in ('', decode(q.hash, 'hex')) and q.at < f.at
       )
       order by q.place`,
      [JSON.stringify(values)],
    )
  })
}

const SECRET_BYTES = 32

/** A secret of this installation, made when it is first asked for; all processes have the same. */
export async function secretOf(db: Db, name: string): Promise<Buffer> {
  await db.query('insert into millrace.secrets (name, value) values ($1, $2) on conflict do nothing', [
    name,
    randomBytes(SECRET_BYTES),
  ])
  const rows = await db.query<{ value: Buffer }>('select value from millrace.secrets where name = $1', [name])
  return one(rows, `the secret ${name}`).value
}

/** Rows that are deleted by one statement. */
const SLICE = 10_000
const SLICES_MAX = 100

/** Removes what is older than `days`; returns how many went. What nobody can have left to write need not be kept out. */
export async function forgetQueries(db: Db, days: number): Promise<number> {
  await db.query(`delete from millrace.forgotten_queries where at < now() - interval '1 day'`)
  return inSlices(db, `at < now() - make_interval(days => $2)`, [days])
}

/**
 * Removes those of a domain, or those of one hash alone; returns how many went. Older ones that a process has not written
 * yet are not taken any more.
 * @param now of the clock that queries are dated by
 */
export async function deleteQueries(db: Db, domainId: number, now: Date, hash?: Buffer): Promise<number> {
  await db.transact(async (tx) => {
    await tx.query(`select pg_advisory_xact_lock(${LOCK})`)
    await tx.query(
      `insert into millrace.forgotten_queries as f (domain_id, query_hash, at)
       select id, coalesce($2::bytea, ''), $3::timestamptz from millrace.domains where id = $1
       on conflict (domain_id, query_hash) do update set at = greatest(f.at, excluded.at)`,
      [domainId, hash ?? null, now.toISOString()],
    )
  })
  return inSlices(db, 'domain_id = $2 and query_hash = coalesce($3, query_hash)', [domainId, hash ?? null])
}

async function inSlices(db: Db, condition: string, values: readonly unknown[]): Promise<number> {
  let deleted = 0
  for (let slice = 0; slice < SLICES_MAX; slice++) {
    const gone = await db.query(
      `delete from millrace.queries where id in (select id from millrace.queries where ${condition} limit $1)
       returning 1`,
      [SLICE, ...values],
    )
    deleted += gone.length
    if (gone.length < SLICE) break
  }
  return deleted
}

export interface QueryRow extends Omit<LoggedQuery, 'domainId'> {
  readonly id: number
}

/** The newest first. */
export const listQueries = (
  on: Session,
  domainId: number,
  page: { readonly before?: number | undefined; readonly limit: number },
): Promise<QueryRow[]> =>
  on.query<QueryRow>(
    `select id, at, query, query_hash as "queryHash", k, threshold, mode, filter_fields as "filterFields", hits,
       ranked_by as "rankedBy", top_score as "topScore", top_level as "topLevel", top, embed_ms as "embedMs",
       search_ms as "searchMs", rerank_ms as "rerankMs", total_ms as "totalMs"
     from millrace.queries where domain_id = $1 and id < coalesce($2, 9223372036854775807)
     order by id desc limit $3`,
    [domainId, page.before ?? null, page.limit],
  )

export interface Percentiles {
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

/** A query and how it went, all times it was asked. */
export interface UsualQuery {
  /** Its beginning; null: only hashes are kept. */
  readonly query: string | null
  readonly hash: string
  readonly count: number
  readonly withoutHits: number
  /** Of its last time; null: no hits. */
  readonly topScore: number | null
  /** The kind of that score. */
  readonly rankedBy: string
  readonly lastAt: Date
}

export interface QueryStats {
  readonly count: number
  /** Different queries. */
  readonly distinct: number
  readonly withoutHits: number
  readonly latency: {
    readonly embed: Percentiles
    readonly search: Percentiles
    /** Of those that were reranked; null: none was. */
    readonly rerank: Percentiles | null
    readonly total: Percentiles
  } | null
  readonly usual: readonly UsualQuery[]
  readonly withoutAnswer: readonly UsualQuery[]
  /** How many top scores lie in [from, to), a kind of score each; 1 is in the last. */
  readonly topScores: Readonly<
    Record<string, readonly { readonly from: number; readonly to: number; readonly count: number }[]>
  >
}

/** Of a query in statistics. */
const SHOWN_CHARS = 200
/** Bins of top scores, from -1 to 1 for cosines; the rest are 0 to 1. */
const BINS_A_UNIT = 20

/** What was asked of a domain in the last `days`. Queries of which `usual` is told: the `top` most frequent. */
export async function queryStats(
  on: Session,
  domainId: number,
  { days, top }: { readonly days: number; readonly top: number },
): Promise<QueryStats> {
  const lately = `from millrace.queries where domain_id = $1 and at >= now() - make_interval(days => $2)`
  const percentiles = (column: string) =>
    `percentile_cont(array[0.5, 0.95, 0.99]) within group (order by ${column})`
  const [sums] = await on.query<{
    count: number
    distinct: number
    withoutHits: number
    embed: number[] | null
    search: number[] | null
    rerank: number[] | null
    total: number[] | null
  }>(
    `select count(*)::int as count, count(distinct query_hash)::int as distinct,
       (count(*) filter (where hits = 0))::int as "withoutHits", ${percentiles('embed_ms')} as embed,
       ${percentiles('search_ms')} as search, ${percentiles('rerank_ms')} as rerank,
       ${percentiles('total_ms')} as total ${lately}`,
    [domainId, days],
  )
  const grouped = (having: string, order: string) =>
    on.query<UsualQuery>(
      `select left((array_agg(query order by id desc) filter (where query is not null))[1], ${SHOWN_CHARS}) as query,
         encode(query_hash, 'hex') as hash, count(*)::int as count,
         (count(*) filter (where hits = 0))::int as "withoutHits", (array_agg(top_score order by id desc))[1] as "topScore",
         (array_agg(ranked_by order by id desc))[1] as "rankedBy", max(at) as "lastAt"
       ${lately} group by query_hash ${having} order by ${order}, max(id) desc limit $3`,
      [domainId, days, top],
    )
  const bins = await on.query<{ kind: string; bin: number; count: number }>(
    `select ranked_by as kind, least(floor(top_score * $3), $3 - 1)::int as bin, count(*)::int as count ${lately}
     and top_score is not null group by 1, 2 order by 1, 2`,
    [domainId, days, BINS_A_UNIT],
  )
  return {
    count: sums?.count ?? 0,
    distinct: sums?.distinct ?? 0,
    withoutHits: sums?.withoutHits ?? 0,
    latency:
      sums?.embed && sums.search && sums.total
        ? {
            embed: asPercentiles(sums.embed),
            search: asPercentiles(sums.search),
            rerank: sums.rerank && asPercentiles(sums.rerank),
            total: asPercentiles(sums.total),
          }
        : null,
    usual: await grouped('', 'count(*) desc'),
    withoutAnswer: await grouped('having count(*) filter (where hits = 0) > 0', '4 desc'),
    topScores: Object.fromEntries(
      [...new Set(bins.map(({ kind }) => kind))].map((kind) => [
        kind,
        bins
          .filter((bin) => bin.kind === kind)
          .map(({ bin, count }) => ({ from: bin / BINS_A_UNIT, to: (bin + 1) / BINS_A_UNIT, count })),
      ]),
    ),
  }
}

const asPercentiles = ([p50 = 0, p95 = 0, p99 = 0]: readonly number[]): Percentiles => ({
  p50: tenths(p50),
  p95: tenths(p95),
  p99: tenths(p99),
})

const tenths = (ms: number): number => Math.round(ms * 10) / 10

/** Different texts that were asked of a domain, the newest first: to ask them again. */
export const loggedTexts = (
  on: Session,
  domainId: number,
  limit: number,
): Promise<{ readonly query: string }[]> =>
  on.query<{ query: string }>(
    `select query from (
       select distinct on (query_hash) query, id from millrace.queries
       where domain_id = $1 and query is not null order by query_hash, id desc
     ) q order by id desc limit $2`,
    [domainId, limit],
  )
