import { codeOf } from '@millrace/errors'
import { type Db, one, type Tx } from './connect.js'
import type { DocumentRange } from './prepare.js'
import { publish } from './publish.js'
import { deleteOrphans, vectorsTable } from './vectors.js'

/** Documents looked after in one pass, so that a pass stays short; the next goes on. */
const PASS = 1_000
/** How often preparing a document may break off (a worker died of it) before it fails. */
export const PREPARE_ATTEMPTS_MAX = 5

/** True for one caller every `everySeconds`, whichever process it is in. */
export async function takeSweep(db: Db, everySeconds: number): Promise<boolean> {
  const rows = await db.query(
    `update millrace.roles set until = now() + make_interval(secs => $1)
     where name = 'sweep' and until <= now() returning 1`,
    [everySeconds],
  )
  return rows.length > 0
}

/**
 * For a database that one process has to itself: whoever owned something before its start is dead, so everything
 * is free at once, and the next sweep is due.
 */
export function releaseOwners(db: Db): Promise<void> {
  return db.transact(async (tx) => {
    await tx.query('delete from millrace.leases')
    await tx.query(
      `update millrace.documents set leased_until = '-infinity'
       where state in ('received', 'preparing', 'embedding') and leased_until > now()`,
    )
    await tx.query(
      `update millrace.generation_documents set leased_until = '-infinity'
       where state <> 'ready' and leased_until > now()`,
    )
    await tx.query(
      `update millrace.domains set importing_until = '-infinity' where importing_until is not null`,
    )
    await tx.query(`update millrace.roles set until = '-infinity'`)
    await tx.query(`update millrace.schedule_runs set owned_until = '-infinity' where outcome is null`)
    await tx.query('delete from millrace.workers')
  })
}

/**
 * Documents that wait to be prepared and whose owner's time is up: free again, as ranges to enqueue; at most
 * PASS of them, `more` when there may be others.
 */
export function reclaimDocuments(
  db: Db,
  ownedSeconds: number,
): Promise<{ readonly ranges: readonly DocumentRange[]; readonly more: boolean }> {
  return db.transact(async (tx) => {
    await tx.query(
      `update millrace.documents set
         state = 'failed', leased_until = null, updated_at = now(), error_code = 'PREPARE_FAILED',
         error_message = format('Preparing it broke off %s times', attempts)
       where id in (
         select id from millrace.documents
         where state = 'preparing' and leased_until < now() and attempts >= $1 order by id limit $2 for update skip locked
       )`,
      [PREPARE_ATTEMPTS_MAX, PASS],
    )
    const rows = await tx.query<{ id: number; ingestion: number }>(
      `update millrace.documents set state = 'received', leased_until = now() + make_interval(secs => $1)
       where id in (
         select id from millrace.documents
         where state in ('received', 'preparing') and leased_until < now()
         order by id limit $2 for update skip locked
       )
       returning id, ingestion_id as ingestion`,
      [ownedSeconds, PASS],
    )
    return { ranges: rangesOf(rows), more: rows.length === PASS }
  })
}

/** The least number of ranges of one ingestion each, at most `size` documents long. */
export function rangesOf(
  rows: readonly { readonly id: number; readonly ingestion: number }[],
  size = 50,
): DocumentRange[] {
  const ranges: { ingestionId: number; from: number; to: number; count: number }[] = []
  const open = new Map<number, { ingestionId: number; from: number; to: number; count: number }>()
  for (const { id, ingestion } of [...rows].sort((a, b) => a.id - b.id)) {
    let range = open.get(ingestion)
    if (range === undefined || range.count === size) {
      range = { ingestionId: ingestion, from: id, to: id, count: 0 }
      open.set(ingestion, range)
      ranges.push(range)
    }
    range.to = id
    range.count++
  }
  return ranges.map(({ ingestionId, from, to }) => ({ ingestionId, from, to }))
}

/**
 * Documents that have waited long for their vectors: texts that have neither a vector nor a row in pending
 * get one again, complete documents become ready. Returns how many it looked at.
 */
export function recheckDocuments(db: Db, ownedSeconds: number): Promise<number> {
  return db.transact(async (tx) => {
    // Their generations before them, as everywhere: they stay live until the end.
    const live = await tx.query<{ id: number; domain: number }>(
      `select id, domain_id as domain from millrace.generations
       where state = 'live' and domain_id in (
         select domain_id from millrace.documents where state = 'embedding' and leased_until < now() limit $1
       )
       order by id for key share`,
      [PASS],
    )
    const waiting = await tx.query<{ id: number; generation: number }>(
      `select d.id, g.id as generation
       from millrace.documents d
       join unnest($2::bigint[], $3::bigint[]) as g (id, domain_id) on g.domain_id = d.domain_id
       where d.state = 'embedding' and d.leased_until < now()
       order by d.id limit $1
       for no key update of d skip locked`,
      [PASS, live.map(({ id }) => id), live.map(({ domain }) => domain)],
    )
    for (const generation of new Set(waiting.map((row) => row.generation))) {
      const ids = waiting.filter((row) => row.generation === generation).map((row) => row.id)
      await restorePending(tx, generation, ids)
      await publish(tx, generation, ids)
    }
    await tx.query(
      `update millrace.documents set leased_until = now() + make_interval(secs => $2)
       where id = any($1) and state = 'embedding'`,
      [waiting.map((row) => row.id), ownedSeconds],
    )
    return waiting.length
  })
}

/** Rows in pending for the texts of these documents that have no vector. */
export async function restorePending(
  tx: Tx,
  generationId: number,
  documentIds: readonly number[],
): Promise<void> {
  await tx.query(
    `insert into millrace.pending (generation_id, text_hash, tokens, ingestion_id)
     select distinct on (c.text_hash) $1::bigint, c.text_hash, c.tokens, d.ingestion_id
     from millrace.documents d
     join millrace.chunks c on c.document_id = d.id and c.generation_id = $1 and c.revision = d.revision
     where d.id = any($2)
       and not exists (select 1 from ${vectorsTable(generationId)} v where v.text_hash = c.text_hash)
     -- Locks the row that is there: nobody takes it for unwanted before this has been committed.
     on conflict (generation_id, text_hash) do update set tokens = excluded.tokens where false`,
    [generationId, documentIds],
  )
}

/** Vectors nobody has referred to for `graceSeconds`; returns how many went. */
export async function sweepOrphans(db: Db, graceSeconds: number): Promise<number> {
  const generations = await db.query<{ id: number }>(
    `select id from millrace.generations where state in ('live', 'building', 'retired') order by id`,
  )
  let deleted = 0
  for (const { id } of generations) {
    deleted += await deleteOrphans(db, id, graceSeconds).catch((error: unknown) => {
      // It ended meanwhile, its table is gone.
      if (codeOf(error) === '42P01') return 0
      throw error
    })
  }
  return deleted
}

export interface Backlog {
  readonly documents: number
  readonly texts: number
  readonly leases: number
  /** Of the texts without a vector. */
  readonly tokens: number
}

/** What is still to be done, over all domains; texts also of generations that are being built, unless they are paused. */
export async function backlog(db: Db): Promise<Backlog> {
  return one(
    await db.query<Backlog>(`select
      (select coalesce(sum(received + preparing + embedding), 0)::int from millrace.ingestions
        where state = 'running' or (state = 'cancelled' and received + preparing + embedding > 0)) as documents,
      p.texts, p.tokens, (select count(*)::int from millrace.leases) as leases
      from (
        select count(*)::int as texts, coalesce(sum(p.tokens), 0)::int8 as tokens
        from millrace.pending p join millrace.generations g on g.id = p.generation_id where not g.paused
      ) p`),
    'backlog',
  )
}
