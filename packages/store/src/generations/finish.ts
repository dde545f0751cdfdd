import type { Db, Tx } from '../connect.js'
import { publishBeside } from '../publish.js'
import { countTerms, termsTable } from '../terms.js'
import { holdForm, vectorsTable } from '../vectors.js'
import { settleStale } from './fill.js'
import { completeness } from './progress.js'

/** Documents looked after in one pass. */
const PASS = 1_000

/**
 * Documents that have waited long for their vectors in a generation that is not live: texts that have neither a vector
 * nor a row in pending get one again, complete documents are published. Returns how many it looked at.
 */
export async function recheckBeside(db: Db, ownedSeconds: number): Promise<number> {
  const generations = await db.query<{ id: number }>(
    `select g.id from millrace.generations g
     where (g.state = 'building' or g.state = 'retired' and g.follows) and exists (
       select 1 from millrace.generation_documents f
       where f.generation_id = g.id and f.state = 'embedding' and f.leased_until < now()
     )
     order by g.id`,
  )
  let looked = 0
  for (const { id } of generations) {
    looked += await settleStale(db, id, 'embedding')
    looked += await db.transact((tx) => recheck(tx, id, ownedSeconds), { durable: false })
  }
  return looked
}

async function recheck(tx: Tx, generationId: number, ownedSeconds: number): Promise<number> {
  const form = await holdForm(tx, generationId)
  if (form === undefined || form.state === 'live') return 0
  await tx.query(
    `select 1 from millrace.documents where id in (
       select document_id from millrace.generation_documents
       where generation_id = $1 and state = 'embedding' and leased_until < now() order by document_id limit $2
     )
     order by id for key share`,
    [generationId, PASS],
  )
  const waiting = await tx.query<{ id: number }>(
    `select f.document_id as id from millrace.generation_documents f
     where f.generation_id = $1 and f.state = 'embedding' and f.leased_until < now()
     order by f.document_id limit $2
     for no key update skip locked`,
    [generationId, PASS],
  )
  const ids = waiting.map((row) => row.id)
  if (ids.length === 0) return 0
  await restorePendingBeside(tx, generationId, ids)
  await publishBeside(tx, generationId, ids)
  await tx.query(
    `update millrace.generation_documents set leased_until = now() + make_interval(secs => $3)
     where generation_id = $1 and document_id = any($2) and state = 'embedding'`,
    [generationId, ids, ownedSeconds],
  )
  return ids.length
}

async function restorePendingBeside(
  tx: Tx,
  generationId: number,
  documentIds: readonly number[],
): Promise<void> {
  await tx.query(
    `insert into millrace.pending (generation_id, text_hash, tokens)
     select distinct on (c.text_hash) c.generation_id, c.text_hash, c.tokens
     from millrace.generation_documents f
     join millrace.chunks c
       on c.generation_id = f.generation_id and c.document_id = f.document_id and c.revision = f.revision
     where f.generation_id = $1 and f.document_id = any($2)
       and not exists (select 1 from ${vectorsTable(generationId)} v where v.text_hash = c.text_hash)
     -- Locks the row that is there: nobody takes it for unwanted before this has been committed.
     on conflict (generation_id, text_hash) do update set tokens = excluded.tokens where false`,
    [generationId, documentIds],
  )
}

/**
 * What a generation is to have beside its documents, once all of these are there: statistics, counted terms; its index is
 * built by whoever builds indexes. Then it is built. True when it came to be with this call.
 */
export async function finishGeneration(
  db: Db,
  generationId: number,
  policy: { readonly indexRowsMin: number },
): Promise<boolean> {
  if (!(await isQuiet(db, generationId))) return false
  await analyze(db, vectorsTable(generationId), 'text_hash')
  if (db.kind === 'server') await analyze(db, termsTable(generationId), 'terms')
  const before = await completeness(db, generationId, policy)
  if (before === undefined) return false
  if (before.termCountsDue) await countTerms(db, generationId)
  const left = before.termCountsDue ? await completeness(db, generationId, policy) : before
  if (left?.complete !== true) return false
  const built = await db.query(
    `update millrace.generations set built_at = now()
     where id = $1 and state = 'building' and built_at is null returning 1`,
    [generationId],
  )
  return built.length > 0
}

/** Being built, and no document is still to come to it. */
async function isQuiet(db: Db, generationId: number): Promise<boolean> {
  const rows = await db.query(
    `select 1 from millrace.generations g
     where g.id = $1 and g.state = 'building' and g.built_at is null and g.filled_at is not null and not exists (
       select 1 from millrace.generation_documents f
       where f.generation_id = g.id and f.state in ('waiting', 'preparing', 'embedding')
     )`,
    [generationId],
  )
  return rows.length > 0
}

/** A table that has grown since Postgres last looked at it, and decides by what it saw then; none where there is none. */
async function analyze(db: Db, table: string, column: string): Promise<void> {
  const grown = await db.query(
    `select 1 from pg_class c
     where c.oid = to_regclass($1) and pg_relation_size(c.oid) * 0.9 > c.relpages * 8192.0`,
    [table],
  )
  if (grown.length > 0) await db.query(`analyze ${table} (${column})`)
}

/** Why nobody can work on a generation now, or that somebody can again. */
export async function noteTrouble(
  db: Db,
  generationId: number,
  trouble: { readonly code: string; readonly message: string } | null,
): Promise<void> {
  await db.query(
    `update millrace.generations set error_code = $2, error_message = $3
     where id = $1 and state in ('building', 'retired') and error_code is distinct from $2`,
    [generationId, trouble?.code ?? null, trouble?.message ?? null],
  )
}
