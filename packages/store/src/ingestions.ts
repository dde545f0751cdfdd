import type { Session } from './connect.js'
import type { DocumentCounts } from './documents.js'
import type { IngestionState } from './schema.js'

export interface IngestionRow extends Omit<DocumentCounts, 'total'> {
  readonly id: number
  readonly domain: string
  readonly state: IngestionState
  /** Part of ready. */
  readonly unchanged: number
  readonly chunks: number
  readonly chunksEmbedded: number
  readonly chunksReused: number
  readonly tokens: number
  readonly tokensEmbedded: number
  /** What is left of `tokens` to embed, where that is quickly counted; null where it has to be estimated. */
  readonly tokensPending: number | null
  readonly startedAt: Date
  readonly finishedAt: Date | null
  /** When the first of its texts was taken to be embedded, moved on by the pauses between cancel and resume. */
  readonly workStartedAt: Date | null
  /** What came in since `rateFrom` is the rate of late. */
  readonly rateFrom: Date | null
  readonly rateFromTokens: number
  /** When vectors were last stored since then. */
  readonly rateLast: Date | null
  /** Tokens that workers have of its domain: at work, or next. */
  readonly tokensLeased: number
  /** Somebody is still sending. */
  readonly receiving: boolean
  readonly source: string | null
  readonly sync: 'full' | null
  readonly syncedAt: Date | null
  /** Why the sync deleted nothing. */
  readonly syncSkipped: string | null
  readonly deleted: number
  readonly rejected: number
  /** Of cleaned text that is in no chunk, but white space. */
  readonly charactersCut: number
  /** Documents of which cleaning left nothing. */
  readonly empty: number
  readonly index: IndexState
  /** Of the database: what the times above are compared with. */
  readonly now: Date
}

/** Of the table of a domain's vectors. */
export interface IndexState {
  /** `none`: exact search serves, because it is fast enough yet or because vectors still come in. */
  readonly state: 'none' | 'building' | 'ready'
  /** As pg_stat_progress_create_index has it. */
  readonly phase?: string | undefined
  /** Of this phase, 0 to 100, where Postgres can tell. */
  readonly percent?: number | undefined
}

export interface IngestionError {
  readonly code: string
  readonly count: number
  readonly example: { readonly document: string; readonly message: string }
}

/** Documents that were not taken. */
export interface IngestionRejection {
  readonly code: string
  readonly count: number
  /** The first. */
  readonly example: Readonly<Record<string, unknown>>
}

/** Rows of pending that are counted for every look at an ingestion; beyond that what is left is estimated. */
const PENDING_COUNTED = 2_000

/** The state of the index of `g`, a generation, as jsonb. */
export const INDEX_STATE = `case
  when g.indexed_at is not null then jsonb_build_object('state', 'ready')
  else coalesce((
    select jsonb_strip_nulls(jsonb_build_object('state', 'building', 'phase', p.phase, 'percent', round(case
      when p.blocks_total > 0 then 100.0 * p.blocks_done / p.blocks_total
      when p.tuples_total > 0 then 100.0 * p.tuples_done / p.tuples_total
    end)))
    from pg_stat_progress_create_index p
    where p.datname = current_database() and p.relid = to_regclass(format('millrace.vectors_%s', g.id))
    limit 1
  ), jsonb_build_object('state', 'none'))
end`

const COLUMNS = `i.id, d.name as domain, i.state, i.received, i.preparing, i.embedding, i.ready, i.failed,
  i.cancelled, i.unchanged, i.chunks, i.chunks_embedded as "chunksEmbedded", i.chunks_reused as "chunksReused",
  i.tokens, i.tokens_embedded as "tokensEmbedded", i.started_at as "startedAt", i.finished_at as "finishedAt",
  i.work_started_at as "workStartedAt", i.rate_from as "rateFrom", i.rate_from_tokens as "rateFromTokens",
  i.rate_last as "rateLast", (
    select coalesce(sum(l.tokens), 0)::int8 from millrace.leases l where l.generation_id = g.id
  ) as "tokensLeased",
  (i.state = 'running' and not i.sealed) as receiving, i.source, i.sync, i.synced_at as "syncedAt",
  i.sync_skipped as "syncSkipped", i.deleted, i.rejected, i.characters_cut as "charactersCut", i.empty,
  now()::timestamptz(3) as now, ${INDEX_STATE} as index,
  case when i.state = 'running' then (
    select case when count(*) < ${PENDING_COUNTED} then coalesce(sum(p.tokens), 0)::int8 end
    from (select tokens from millrace.pending where ingestion_id = i.id limit ${PENDING_COUNTED}) p
  ) end as "tokensPending"`

const FROM = `millrace.ingestions i
  join millrace.domains d on d.id = i.domain_id
  join millrace.generations g on g.domain_id = d.id and g.state = 'live'`

export async function getIngestion(on: Session, id: number): Promise<IngestionRow | undefined> {
  const found = await on.query<IngestionRow>(`select ${COLUMNS} from ${FROM} where i.id = $1`, [id])
  return found[0]
}

/** The ingestions of a domain, newest first, those before `before`. */
export const listIngestions = (
  on: Session,
  domainId: number,
  page: { readonly before?: number | undefined; readonly limit: number },
): Promise<IngestionRow[]> =>
  on.query<IngestionRow>(
    `select ${COLUMNS} from ${FROM}
     where i.domain_id = $1 and ($2::bigint is null or i.id < $2)
     order by i.id desc limit $3`,
    [domainId, page.before ?? null, page.limit],
  )

/** Those that run, of all domains, oldest first. */
export const listRunning = (on: Session, limit: number): Promise<IngestionRow[]> =>
  on.query<IngestionRow>(`select ${COLUMNS} from ${FROM} where i.state = 'running' order by i.id limit $1`, [
    limit,
  ])

/** Errors by ingestion, the most frequent first. */
export const listIngestionErrors = (
  on: Session,
  ids: readonly number[],
): Promise<Map<number, IngestionError[]>> => byIngestion(on, 'ingestion_errors', ids)

/** Refused documents by ingestion, the most frequent code first. */
export const listIngestionRejections = (
  on: Session,
  ids: readonly number[],
): Promise<Map<number, IngestionRejection[]>> => byIngestion(on, 'ingestion_rejections', ids)

async function byIngestion<Row extends object>(
  on: Session,
  table: 'ingestion_errors' | 'ingestion_rejections',
  ids: readonly number[],
): Promise<Map<number, Row[]>> {
  const found = new Map<number, Row[]>()
  if (ids.length === 0) return found
  const rows = await on.query<Row & { ingestion: number }>(
    `select ingestion_id as ingestion, code, count, example from millrace.${table}
     where ingestion_id = any($1) order by ingestion_id, count desc, code`,
    [ids],
  )
  for (const { ingestion, ...row } of rows) {
    const list = found.get(ingestion) ?? []
    list.push(row as unknown as Row)
    found.set(ingestion, list)
  }
  return found
}
