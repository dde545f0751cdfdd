import { one, type Session, type Tx } from '../connect.js'
import type { DocumentRange } from '../prepare.js'
import { insertIngestion, sealIngestion } from '../streams.js'
import { rangesOf } from '../sweep.js'

export interface Retried {
  readonly ingestion: number
  readonly documents: number
  /** The last of them: the next slice begins behind it. */
  readonly last: number
  readonly ranges: readonly DocumentRange[]
}

/** Documents that one job prepares. */
const RANGE = 32

/**
 * Tries failed documents of a domain again, at most `limit` by id after `after`, as an ingestion of their own, so that it
 * can be told when they are done and what they cost. Undefined when there are none, or the domain is gone.
 */
export async function retryFailed(
  tx: Tx,
  domainId: number,
  of: { readonly after: number; readonly limit: number; readonly ownedSeconds: number },
): Promise<Retried | undefined> {
  const rows = await tx.query<{ id: number }>(
    `select id from millrace.documents
     where domain_id = $1 and state = 'failed' and origin <> 'vectors' and id > $2
     order by id limit $3 for no key update skip locked`,
    [domainId, of.after, of.limit],
  )
  const last = rows.at(-1)
  if (last === undefined) return undefined
  const ingestion = await insertIngestion(tx, domainId, { source: null, sync: null, openSeconds: null })
  if (ingestion === undefined) return undefined
  const ids = rows.map(({ id }) => id)
  await tx.query(
    `update millrace.documents set
       ingestion_id = $2, state = 'received', error_code = null, error_message = null, attempts = 0, updated_at = now(),
       leased_until = now() + make_interval(secs => $3)
     where id = any($1)`,
    [ids, ingestion, of.ownedSeconds],
  )
  await sealIngestion(tx, ingestion)
  const ranges = rangesOf(
    ids.map((id) => ({ id, ingestion })),
    RANGE,
  )
  return { ingestion, documents: ids.length, last: last.id, ranges }
}

/** Documents that readers see whose vectors were made before `before`. */
export async function countOlder(on: Session, generationId: number, before: Date): Promise<number> {
  const rows = await on.query<{ count: number }>(
    `select count(*)::int as count from millrace.published where generation_id = $1 and published_at < $2`,
    [generationId, before],
  )
  return one(rows, 'older documents').count
}

export interface BuildLeft {
  /** Documents that have a row and are not done yet. */
  readonly open: number
  readonly ready: number
  readonly failed: number
}

export async function buildLeft(on: Session, generationId: number): Promise<BuildLeft> {
  const rows = await on.query<BuildLeft>(
    `select (count(*) filter (where state not in ('ready', 'failed')))::int as open,
       (count(*) filter (where state = 'ready'))::int as ready, (count(*) filter (where state = 'failed'))::int as failed
     from millrace.generation_documents where generation_id = $1`,
    [generationId],
  )
  return one(rows, 'what is left of a build')
}
