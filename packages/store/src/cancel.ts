import { type Db, one, type Session, type Tx } from './connect.js'
import type { DocumentRange } from './prepare.js'
import { publish } from './publish.js'
import { rangesOf, restorePending } from './sweep.js'

/** Documents in one transaction. */
const BATCH = 1_000

/** `done`: what was asked for is so now, or was already. */
export type Marked = 'unknown' | 'finished' | 'done'

/**
 * Makes an ingestion cancelled: workers and streams stop when they see it, `cancelDocuments` lets its rows follow. A
 * stream that was being received is closed; its sync, should it be resumed, deletes nothing, since what had not come
 * yet would be taken for gone.
 */
export function markCancelled(db: Db, id: number): Promise<Marked> {
  return db.transact(async (tx) => {
    const state = await lockIngestion(tx, id)
    if (state === undefined) return 'unknown'
    if (state.state !== 'running') return state.state === 'cancelled' ? 'done' : 'finished'
    await tx.query(
      `update millrace.ingestions set
         state = 'cancelled', finished_at = clock_timestamp(), sealed = true, open_until = null, resume_after = null,
         sync_skipped = case
           when sync is not null and not sealed then coalesce(sync_skipped, 'it was cancelled before all of it had come')
           else sync_skipped
         end
       where id = $1`,
      [id],
    )
    return 'done'
  })
}

interface Locked {
  readonly state: string
  readonly resumeAfter: number | null
}

/** Documents are locked before their ingestion everywhere: the triggers that count come last. */
async function lockIngestion(tx: Tx, id: number): Promise<Locked | undefined> {
  const rows = await tx.query<Locked>(
    'select state, resume_after as "resumeAfter" from millrace.ingestions where id = $1 for no key update',
    [id],
  )
  return rows[0]
}

/**
 * Lets at most BATCH open documents of a cancelled ingestion follow it; texts that no other document waits for are
 * no longer pending. Chunks and vectors stay: a resume goes on from them. True when there may be more.
 */
export async function cancelDocuments(db: Db, id: number): Promise<boolean> {
  const ids = await db.transact(async (tx) => {
    const open = await tx.query<{ id: number }>(
      `select id from millrace.documents
       where ingestion_id = $1 and state in ('received', 'preparing', 'embedding')
       order by id limit $2 for no key update`,
      [id, BATCH],
    )
    // Somebody may have resumed it since.
    if (open.length === 0 || (await lockIngestion(tx, id))?.state !== 'cancelled') return []
    const rows = await tx.query<{ id: number }>(
      `update millrace.documents set state = 'cancelled', leased_until = null, updated_at = now()
       where id = any($1) returning id`,
      [open.map((row) => row.id)],
    )
    return rows.map((row) => row.id)
  })
  await dropUnwanted(db, ids)
  return ids.length === BATCH
}

/**
 * In a transaction of its own: whoever stores vectors holds rows of pending first and documents then. Should it not
 * come to this, `openLease` drops them. The rows are locked by one statement and judged by the next, which sees
 * what a document that is just being prepared wants of them; a row that somebody holds is in good hands.
 */
async function dropUnwanted(db: Db, documentIds: readonly number[]): Promise<void> {
  if (documentIds.length === 0) return
  await db.transact(async (tx) => {
    const held = await tx.query<{ generation_id: number; text_hash: Buffer }>(
      `select p.generation_id, p.text_hash from millrace.pending p
       where (p.generation_id, p.text_hash) in (
         select c.generation_id, c.text_hash from millrace.chunks c where c.document_id = any($1)
       )
       for update skip locked`,
      [documentIds],
    )
    await deleteUnwanted(
      tx,
      held.map((row) => row.generation_id),
      held.map((row) => row.text_hash),
    )
  })
}

/**
 * Of rows of pending that the caller has locked, those go that no document waits for that is `embedding`, in its domain or
 * in a generation that is not live.
 */
export async function deleteUnwanted(
  tx: Tx,
  generationIds: readonly number[],
  hashes: readonly Buffer[],
): Promise<void> {
  if (hashes.length === 0) return
  await tx.query(
    `delete from millrace.pending p using unnest($1::bigint[], $2::bytea[]) as held (generation_id, text_hash)
     where p.generation_id = held.generation_id and p.text_hash = held.text_hash and not exists (
       select 1 from millrace.chunks c
       join millrace.documents d on d.id = c.document_id and d.revision = c.revision and d.state = 'embedding'
       where c.generation_id = p.generation_id and c.text_hash = p.text_hash
     ) and not exists (
       select 1 from millrace.chunks c
       join millrace.generation_documents f on f.generation_id = c.generation_id
         and f.document_id = c.document_id and f.revision = c.revision and f.state = 'embedding'
       where c.generation_id = p.generation_id and c.text_hash = p.text_hash
     )`,
    [generationIds, hashes],
  )
}

/**
 * Makes an ingestion run again that was cancelled, or that has ended with documents that failed; `resumeDocuments`
 * puts them back. One that runs, or has nothing to be tried again, stays as it is.
 */
export function markResumed(db: Db, id: number): Promise<Exclude<Marked, 'finished'>> {
  return db.transact(async (tx) => {
    const locked = await lockIngestion(tx, id)
    if (locked === undefined) return 'unknown'
    if (locked.state === 'running') return 'done'
    await tx.query(
      `update millrace.ingestions i set
         state = 'running', finished_at = null, resume_after = 0,
         -- The pause does not count as time in which it worked.
         work_started_at = i.work_started_at + (clock_timestamp() - i.finished_at), rate_from = null
       where id = $1 and (i.received + i.preparing + i.embedding > 0 or exists (
         select 1 from millrace.documents d where d.ingestion_id = i.id and d.state in ('failed', 'cancelled')
       ))`,
      [id],
    )
    return 'done'
  })
}

export interface Resumed {
  /** To be prepared, as ranges to enqueue. */
  readonly ranges: readonly DocumentRange[]
  readonly more: boolean
}

const NOTHING: Resumed = { ranges: [], more: false }

/**
 * Puts back at most BATCH documents of an ingestion that is being resumed, in the order of their ids: those that
 * have their chunks wait for their texts again, the others are received. What was submitted again since belongs to
 * another ingestion. How far it came stands in the ingestion, so whoever goes on does no document twice.
 */
export function resumeDocuments(db: Db, id: number, ownedSeconds: number): Promise<Resumed> {
  return db.transact(async (tx) => {
    const found = await tx.query<{ after: number; generation: number }>(
      `select i.resume_after as after, g.id as generation
       from millrace.ingestions i join millrace.generations g on g.domain_id = i.domain_id and g.state = 'live'
       where i.id = $1 and i.resume_after is not null
       for key share of g`,
      [id],
    )
    const at = found[0]
    if (at === undefined) return NOTHING
    const rows = await tx.query<{ id: number; chunked: boolean }>(
      `select d.id, exists (
         select 1 from millrace.chunks c
         where c.document_id = d.id and c.generation_id = $3 and c.revision = d.revision
       ) as chunked
       from millrace.documents d
       where d.ingestion_id = $1 and d.id > $2 and d.state in ('failed', 'cancelled')
       order by d.id limit $4
       for no key update of d`,
      [id, at.after, at.generation, BATCH],
    )
    const locked = await lockIngestion(tx, id)
    // Cancelled again, or somebody else put these back.
    if (locked === undefined || locked.resumeAfter === null) return NOTHING
    if (locked.resumeAfter !== at.after) return { ranges: [], more: true }
    const back = (state: string, ids: readonly number[]) =>
      tx.query(
        `update millrace.documents d set
           state = $2, chunks = case when $2 <> 'embedding' then chunks else coalesce(chunks, (
             select count(*) from millrace.chunks c
             where c.document_id = d.id and c.generation_id = $4 and c.revision = d.revision
           )) end,
           error_code = null, error_message = null, attempts = 0, updated_at = now(),
           leased_until = now() + make_interval(secs => $3)
         where id = any($1)`,
        [ids, state, ownedSeconds, at.generation],
      )
    const chunked = rows.filter((row) => row.chunked).map((row) => row.id)
    const bare = rows.filter((row) => !row.chunked).map((row) => row.id)
    if (bare.length > 0) await back('received', bare)
    if (chunked.length > 0) {
      await back('embedding', chunked)
      await restorePending(tx, at.generation, chunked)
      await publish(tx, at.generation, chunked)
    }
    const last = rows.at(-1)
    const more = rows.length === BATCH && last !== undefined
    await tx.query('update millrace.ingestions set resume_after = $2 where id = $1', [
      id,
      more ? last.id : null,
    ])
    // Where nothing is open any more it ends here.
    if (!more)
      await tx.query(`select millrace.move_counts(array[$1]::bigint[], array['received'], array[0])`, [id])
    return {
      ranges: rangesOf(
        bare.map((document) => ({ id: document, ingestion: id })),
        RANGE,
      ),
      more,
    }
  })
}

/** Documents that one job prepares. */
const RANGE = 32

/** False when it was cancelled, has ended or is gone. */
export async function isRunning(on: Session, ingestionId: number): Promise<boolean> {
  const rows = await on.query(`select 1 from millrace.ingestions where id = $1 and state = 'running'`, [
    ingestionId,
  ])
  return rows.length > 0
}

/** Ingestions whose cancelling or resuming somebody left half-way. */
export async function listHalfway(
  db: Db,
): Promise<{ readonly cancelled: readonly number[]; readonly resumed: readonly number[] }> {
  return one(
    await db.query<{ cancelled: number[]; resumed: number[] }>(
      `select
         array(
           select id::int8 from millrace.ingestions
           where state = 'cancelled' and received + preparing + embedding > 0 order by id limit 100
         ) as cancelled,
         array(
           select id::int8 from millrace.ingestions where resume_after is not null order by id limit 100
         ) as resumed`,
    ),
    'ingestions half-way',
  )
}
