import { codeOf } from '@millrace/errors'
import { dropColbert } from '../colbert.js'
import type { Db, Tx } from '../connect.js'
import { stopBuilding } from '../indexes.js'
import { dropTerms } from '../terms.js'
import { dropVectors } from '../vectors.js'
import { switchRole } from './due.js'

export type CancelOutcome = 'cancelled' | 'unknown' | 'ended' | 'live' | 'retired'

/**
 * Ends a generation that is being built: from then on nobody works on it or stores anything of it. Its rows go
 * afterwards, a slice at a time.
 */
export function cancelBuilding(db: Db, domainId: number, generationId: number): Promise<CancelOutcome> {
  return db.transact(async (tx) => {
    // Whoever writes to it holds its row until the end of its transaction.
    const found = await tx.query<{ state: string }>(
      'select state from millrace.generations where domain_id = $1 and id = $2 for update',
      [domainId, generationId],
    )
    const state = found[0]?.state
    if (state === undefined) return 'unknown'
    if (state === 'live' || state === 'retired') return state
    if (state !== 'building') return 'ended'
    await tx.query(
      `update millrace.generations set
         state = 'ending', ended_at = now(), ended_by = 'cancelled', follows = false, switch_when_built = false
       where id = $1`,
      [generationId],
    )
    return 'cancelled'
  })
}

/** Retired generations whose time is up begin to go; returns how many. */
export function endSoaked(db: Db): Promise<number> {
  return db.transact(async (tx) => {
    const due = await tx.query<{ id: number }>(
      `select id from millrace.generations where state = 'retired' and drop_at <= now()
       order by id for update skip locked`,
    )
    await tx.query(
      `update millrace.generations set state = 'ending', ended_at = now(), ended_by = 'soaked', follows = false
       where id = any($1)`,
      [due.map(({ id }) => id)],
    )
    return due.length
  })
}

/** One that had to make room at a switch may have searches under way: its rows stay as long as those of a retired one. */
const AFTER_SECONDS = 60

/** Generations whose rows go now, oldest first. */
export const listEnding = async (db: Db): Promise<number[]> =>
  (
    await db.query<{ id: number }>(
      `select id from millrace.generations
       where state = 'ending' and coalesce(retired_at, '-infinity') < now() - make_interval(secs => $1) order by id`,
      [AFTER_SECONDS],
    )
  ).map(({ id }) => id)

/** Rows in one statement: on PGlite everybody waits for it. */
const SLICE = { server: 10_000, embedded: 1_000 } as const

/**
 * What waits to be embedded for a retired generation is nobody's work where nobody keeps it up to date; where somebody
 * does, what was on its way to it when it was live is brought to it anew.
 */
export async function dropIdle(db: Db): Promise<void> {
  await db.query(
    `delete from millrace.pending where ctid = any(array(
       select p.ctid from millrace.pending p
       join millrace.generations g on g.id = p.generation_id
       where g.state = 'retired' and (not g.follows or p.ingestion_id is not null)
       limit $1 for update of p skip locked
     ))`,
    [SLICE[db.kind]],
  )
}

/** Where a generation's rows are, beside its own tables; leases first, so that whoever has one finds nothing to do. */
const TABLES = ['leases', 'pending', 'published', 'generation_documents', 'term_counts', 'turns'] as const

/**
 * Removes some rows of a generation that ends; false once there are none. Nobody is waited for: a row that somebody else
 * is just deleting with its document is left to them.
 */
export async function endSlice(db: Db, generationId: number): Promise<boolean> {
  for (const table of TABLES) {
    const gone = await db.query(
      `delete from millrace.${table} where ctid = any(array(
         select ctid from millrace.${table} where generation_id = $1 limit $2 for update skip locked
       )) returning 1`,
      [generationId, SLICE[db.kind]],
    )
    if (gone.length > 0) return true
  }
  const [chunks] = await db.query<{ count: number }>(
    `with gone as (
       delete from millrace.chunks where ctid = any(array(
         select ctid from millrace.chunks where generation_id = $1 limit $2 for update skip locked
       )) returning document_id
     ), parents as (
       delete from millrace.parents
       where generation_id = $1 and document_id in (select distinct document_id from gone)
     )
     select count(*)::int as count from gone`,
    [generationId, SLICE[db.kind]],
  )
  return (chunks?.count ?? 0) > 0
}

/** Whoever reads its tables for long is not waited for: the next pass tries again. */
const DROP_MS = 2_000
const LOCK_NOT_AVAILABLE = '55P03'

/** Drops the tables of a generation whose rows are gone: it has ended. False when something is in the way. */
export async function finishEnding(db: Db, generationId: number): Promise<boolean> {
  try {
    return await db.transact((tx) => finish(tx, generationId))
  } catch (error) {
    if (codeOf(error) === LOCK_NOT_AVAILABLE) return false
    throw error
  }
}

async function finish(tx: Tx, generationId: number): Promise<boolean> {
  await tx.query(`set local lock_timeout = ${DROP_MS}`)
  const held = await tx.query(
    `select 1 from millrace.generations where id = $1 and state = 'ending' for update`,
    [generationId],
  )
  if (held.length === 0) return true
  // Somebody who began before the end may have written since.
  const left = await tx.query<{ rows: boolean }>(
    `select exists (select 1 from millrace.chunks where generation_id = $1)
       or exists (select 1 from millrace.published where generation_id = $1)
       or exists (select 1 from millrace.pending where generation_id = $1)
       or exists (select 1 from millrace.generation_documents where generation_id = $1) as rows`,
    [generationId],
  )
  if (left[0]?.rows !== false) return false
  await stopBuilding(tx, generationId)
  await dropVectors(tx, generationId)
  await dropTerms(tx, generationId)
  await dropColbert(tx, generationId)
  await tx.query('delete from millrace.roles where name = $1', [switchRole(generationId)])
  await tx.query(
    `update millrace.generations set state = 'ended', indexed_at = null, index_built = null where id = $1`,
    [generationId],
  )
  return true
}
