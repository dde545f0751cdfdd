import { one, type Session } from './connect.js'
import { INDEX_STATE, type IndexState } from './ingestions.js'

/** The state of the index of every domain, by the domain's id. */
export async function indexStates(on: Session): Promise<Map<number, IndexState>> {
  const rows = await on.query<{ domain: number; index: IndexState }>(
    `select g.domain_id as domain, ${INDEX_STATE} as index from millrace.generations g where g.state = 'live'`,
  )
  return new Map(rows.map(({ domain, index }) => [domain, index]))
}

/** How many ingestions run, of all domains. */
export async function countRunning(on: Session): Promise<number> {
  const rows = await on.query<{ count: number }>(
    `select count(*)::int as count from millrace.ingestions where state = 'running'`,
  )
  return rows[0]?.count ?? 0
}

/** What is open, beyond what is counted. */
export interface Outlook {
  /**
   * Tokens to embed of documents that are not prepared yet, each taken to have as many as the prepared ones of its
   * ingestion; null where an ingestion has none of these to go by.
   */
  readonly unseenTokens: number | null
  /** Since the first open document of an ingestion was submitted or resumed, the longest over the running ones. */
  readonly oldestSeconds: number | null
}

export async function outlook(on: Session): Promise<Outlook> {
  const rows = await on.query<Outlook>(
    `select
       case when bool_and(i.unprepared = 0 or i.prepared > 0) is not false
         then coalesce(sum(i.tokens * i.unprepared / nullif(i.prepared, 0)), 0)::float8 end as "unseenTokens",
       max(extract(epoch from now() - d.updated_at))::float8 as "oldestSeconds"
     from (
       select id, received + preparing as unprepared, embedding + ready + failed - unchanged as prepared,
         case when chunks > 0 then tokens * (1 - chunks_reused::float8 / chunks) else 0 end as tokens
       from millrace.ingestions where state = 'running' and received + preparing + embedding > 0
     ) i
     left join lateral (
       select updated_at from millrace.documents
       where ingestion_id = i.id and state in ('received', 'preparing', 'embedding') order by id limit 1
     ) d on true`,
  )
  return one(rows, 'what is open')
}

/** Failed documents of a domain with one code. */
export interface FailedGroup {
  readonly domain: string
  readonly code: string
  readonly count: number
  /** Of those, the one that failed last. */
  readonly example: { readonly document: string; readonly message: string }
}

/** The most frequent first; of each domain at most `looked` failed documents are looked at. */
export const listFailed = (
  on: Session,
  { looked, limit }: { readonly looked: number; readonly limit: number },
): Promise<FailedGroup[]> =>
  on.query<FailedGroup>(
    `select d.name as domain, f.code, f.count, jsonb_build_object('document', f.document, 'message', f.message) as example
     from millrace.domains d
     cross join lateral (
       select code, count(*)::int as count, (array_agg(id order by at desc, id))[1] as document,
         (array_agg(message order by at desc, id))[1] as message
       from (
         select external_id as id, error_code as code, coalesce(error_message, '') as message, updated_at as at
         from millrace.documents where domain_id = d.id and state = 'failed' order by external_id limit $1
       ) first
       group by code
     ) f
     order by f.count desc, d.name, f.code limit $2`,
    [looked, limit],
  )
