import type { Session } from './connect.js'
import type { DocumentState } from './schema.js'
import { DEAD_SECONDS } from './workers.js'

/** What is known of a document that is not ready, and of what it waits for. */
export interface Standing {
  readonly id: number
  readonly state: DocumentState
  /** Since it was submitted or resumed while it is open; since it came to its end after that. */
  readonly ageSeconds: number
  /** Times it was begun to be prepared. */
  readonly attempts: number
  /** Its ingestion was cancelled, and this document is about to follow. */
  readonly cancelling: boolean
  /** Its ingestion is still being received. */
  readonly receiving: boolean
  readonly workers: number
  /** Since the last sign of life of any worker, dead ones included; null: none is known. */
  readonly workerSeenSeconds: number | null
  /** Documents that may be prepared before it: of older ingestions, and the others of its own. */
  readonly ahead: number
  /** Of its texts, those without a vector. */
  readonly missing: number
  /** Of those, the ones that a worker has. */
  readonly leased: number
  /** Of those, the most attempts that one has had. */
  readonly textAttempts: number
  readonly errorCode: string | null
  readonly errorMessage: string | null
}

/** How each of these documents stands, by its row's id: one statement for a page. */
export async function standings(on: Session, ids: readonly number[]): Promise<Map<number, Standing>> {
  if (ids.length === 0) return new Map()
  const rows = await on.query<Standing>(
    `with page as (
       select d.id, d.domain_id, d.state, d.revision, d.ingestion_id, d.attempts, d.updated_at,
         d.state in ('received', 'preparing', 'embedding') as is_open
       from millrace.documents d where d.id = any($1)
     ), own as (
       select i.id, i.state, i.sealed, coalesce((
         select sum(o.received + o.preparing) from millrace.ingestions o where o.state = 'running' and o.id <= i.id
       ), 0)::int as unprepared
       from millrace.ingestions i
       where i.id in (select ingestion_id from page where is_open)
     ), alive as (
       select (count(*) filter (where seen_at > now() - make_interval(secs => $2)))::int as workers,
         extract(epoch from now() - max(seen_at))::float8 as seen
       from millrace.workers
     )
     select d.id, d.state, greatest(0, extract(epoch from now() - d.updated_at))::float8 as "ageSeconds", d.attempts,
       coalesce(own.state = 'cancelled', false) as cancelling, coalesce(not own.sealed, false) as receiving,
       alive.workers, alive.seen as "workerSeenSeconds", greatest(0, coalesce(own.unprepared, 0) - 1) as ahead,
       coalesce(t.missing, 0) as missing, coalesce(t.leased, 0) as leased, coalesce(t.attempts, 0) as "textAttempts",
       t.error[1] as "errorCode", t.error[2] as "errorMessage"
     from page d
     cross join alive
     left join own on own.id = d.ingestion_id and d.is_open
     left join lateral (
       select count(*)::int as missing, count(p.lease_id)::int as leased, max(p.attempts)::int as attempts,
         max(array[p.error_code, p.error_message]) filter (where p.error_code is not null) as error
       from (
         select distinct c.generation_id, c.text_hash
         from millrace.generations g
         join millrace.chunks c on c.document_id = d.id and c.generation_id = g.id and c.revision = d.revision
         where g.domain_id = d.domain_id and g.state = 'live'
       ) c
       join millrace.pending p on p.generation_id = c.generation_id and p.text_hash = c.text_hash
     ) t on d.state = 'embedding'`,
    [ids, DEAD_SECONDS],
  )
  return new Map(rows.map((row) => [row.id, row]))
}
