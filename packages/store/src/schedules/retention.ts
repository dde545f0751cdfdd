import type { Db } from '../connect.js'
import { removeDocuments } from '../documents.js'
import { keepGenerations } from '../generations/hold.js'

export interface OldDocuments {
  /** Those of before this moment; a date of metadata is compared by its day, in UTC. */
  readonly before: Date
  /** Of metadata, with a date that begins YYYY-MM-DD; null: when the document last changed. */
  readonly field: string | null
}

/** Deletes documents that are old and not at work, at most `limit`; returns how many. */
export function deleteOld(db: Db, domainId: number, old: OldDocuments, limit: number): Promise<number> {
  return db.transact(async (tx) => {
    const kept = await keepGenerations(tx, domainId)
    const condition =
      old.field === null
        ? 'updated_at < $3::timestamptz and $4::text is null'
        : `metadata ->> $4 ~ '^\\d{4}-\\d{2}-\\d{2}' and left(metadata ->> $4, 10) < to_char($3::timestamptz at time zone 'UTC', 'YYYY-MM-DD')`
    const rows = await tx.query<{ id: number }>(
      `select id from millrace.documents
       where domain_id = $1 and state in ('ready', 'failed', 'cancelled') and ${condition}
       order by id limit $2 for update skip locked`,
      [domainId, limit, old.before, old.field],
    )
    const ids = rows.map(({ id }) => id)
    if (ids.length === 0) return 0
    await removeDocuments(tx, kept, ids)
    return ids.length
  })
}

const OTHERS = {
  queries: ['millrace.queries', 'at < $3'],
  goldenRuns: ['millrace.golden_runs', `state <> 'running' and finished_at < $3`],
  generations: ['millrace.generations', `state = 'ended' and ended_at < $3`],
} as const
export type OldThing = keyof typeof OTHERS

/** Deletes what else is old of a domain, at most `limit`; returns how many. */
export async function deleteOldOf(
  db: Db,
  domainId: number,
  what: OldThing,
  before: Date,
  limit: number,
): Promise<number> {
  const [table, condition] = OTHERS[what]
  const rows = await db.query(
    `delete from ${table} where id in (
       select id from ${table} where domain_id = $1 and ${condition} order by id limit $2
     ) returning 1`,
    [domainId, limit, before],
  )
  return rows.length
}
