import type { Db } from './connect.js'
import { keepGenerations } from './generations/hold.js'
import { removeDocuments } from './remove-documents.js'

/** A source whose ingestion has done everything but delete what is gone. */
interface DueSync {
  readonly id: number
  readonly domainId: number
  readonly source: string
  readonly failed: number
  readonly rejected: number
  readonly skipped: string | null
  /** A younger ingestion of the same source: what that says goes. */
  readonly newer: number | null
}

/** Documents deleted in one transaction. */
const SLICE = 200

/**
 * Ends the syncs that are due: documents of the source that were there before and were not in the ingestion go.
 * Only after it succeeded: where a document failed or was refused, or the body broke off, nothing goes, and the
 * ingestion says why. Returns how many ingestions it ended. A process that dies in between leaves a sync that is
 * still due.
 */
export async function syncSources(db: Db): Promise<number> {
  const due = await db.query<DueSync>(
    `select i.id, i.domain_id as "domainId", i.source, i.failed, i.rejected, i.sync_skipped as skipped,
       (select max(n.id) from millrace.ingestions n
        where n.domain_id = i.domain_id and n.source = i.source and n.sync is not null and n.id > i.id) as newer
     from millrace.ingestions i
     where i.sync is not null and i.synced_at is null and i.state = 'running'
       and i.sealed and i.resume_after is null and i.received + i.preparing + i.embedding = 0
     order by i.id`,
  )
  for (const sync of due) {
    const skipped = whyNot(sync)
    if (skipped === null) {
      while (await deleteSome(db, sync)) {
        // The next slice.
      }
    }
    await end(db, sync.id, skipped)
  }
  return due.length
}

/** Why nothing may be deleted; null: it may. */
export function whyNot(sync: Omit<DueSync, 'id' | 'domainId' | 'source'>): string | null {
  if (sync.skipped !== null) return sync.skipped
  if (sync.newer !== null) return `a later ingestion of this source (${sync.newer}) decides`
  const bad = sync.failed + sync.rejected
  if (bad === 0) return null
  return `${bad} of its documents ${bad === 1 ? 'was' : 'were'} refused or failed: submit the source again without them`
}

async function deleteSome(db: Db, sync: DueSync): Promise<boolean> {
  return db.transact(async (tx) => {
    const kept = await keepGenerations(tx, sync.domainId)
    const gone = await tx.query<{ id: number }>(
      `select d.id from millrace.documents d
       where d.domain_id = $1 and d.source = $2 and d.ingestion_id < $3
         and not exists (
           select 1 from millrace.ingestion_seen s where s.ingestion_id = $3 and s.document_id = d.id
         )
       order by d.id limit $4
       for update`,
      [sync.domainId, sync.source, sync.id, SLICE],
    )
    const running = await tx.query(
      `select 1 from millrace.ingestions where id = $1 and state = 'running' and synced_at is null for no key update`,
      [sync.id],
    )
    if (gone.length === 0 || running.length === 0) return false
    const ids = gone.map((row) => row.id)
    await removeDocuments(tx, kept, ids)
    await tx.query('update millrace.ingestions set deleted = deleted + $2 where id = $1', [
      sync.id,
      ids.length,
    ])
    return gone.length === SLICE
  })
}

const end = (db: Db, id: number, skipped: string | null): Promise<void> =>
  db.transact(async (tx) => {
    await tx.query(
      `update millrace.ingestions set synced_at = now(), sync_skipped = $2
       where id = $1 and state = 'running' and synced_at is null`,
      [id, skipped],
    )
    await tx.query(`select millrace.move_counts(array[$1]::bigint[], array['received'], array[0])`, [id])
  })

/** Documents of a source, as a sync would look at them. */
export async function countSource(db: Db, domainId: number, source: string): Promise<number> {
  const rows = await db.query<{ count: number }>(
    'select count(*)::int as count from millrace.documents where domain_id = $1 and source = $2',
    [domainId, source],
  )
  return rows[0]?.count ?? 0
}
