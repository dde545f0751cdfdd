import { type Db, one, type Session } from '../connect.js'
import { stopBuilding } from '../indexes.js'
import { noteShape } from './shape.js'

/** A table of a generation, and how much of it is dead rows. */
export interface TableWear {
  readonly table: string
  readonly live: number
  readonly dead: number
}

/** The index of a generation's vectors, and what it was when it was built. */
export interface IndexWear {
  readonly index: string
  readonly rows: number
  readonly bytes: number
  /** Null: it was built before this was kept. */
  readonly built: { readonly rows: number; readonly bytes: number } | null
}

/** The tables of a domain's live generation. */
export const wornTables = (on: Session, generationId: number): Promise<TableWear[]> =>
  on.query<TableWear>(
    `select s.relname as table, s.n_live_tup::int8 as live, s.n_dead_tup::int8 as dead
     from pg_stat_user_tables s
     where s.schemaname = 'millrace'
       and s.relname in ('vectors_' || $1::bigint, 'terms_' || $1::bigint, 'colbert_' || $1::bigint)
     order by s.relname`,
    [generationId],
  )

/** Undefined where search is exact. */
export async function wornIndex(on: Session, generationId: number): Promise<IndexWear | undefined> {
  const rows = await on.query<IndexWear>(
    `select c.relname as index, pg_relation_size(c.oid)::int8 as bytes, greatest(t.reltuples, 0)::int8 as rows,
       g.index_shape as built
     from millrace.generations g
     join pg_class t on t.oid = to_regclass('millrace.vectors_' || g.id)
     join pg_index i on i.indrelid = t.oid and i.indisvalid
     join pg_class c on c.oid = i.indexrelid and c.relname = 'vectors_' || g.id || '_hnsw'
     where g.id = $1 and g.indexed_at is not null`,
    [generationId],
  )
  return rows[0]
}

/** Frees what dead rows take, and counts anew. Never on PGlite, which does it itself between statements. */
export async function vacuumTable(db: Db, table: string): Promise<void> {
  if (db.kind === 'embedded' || !/^(vectors|terms|colbert)_\d+$/.test(table)) return
  await db.query(`vacuum (analyze) millrace.${table}`)
}

/** Between two tries to stop. */
const STOP_MS = 500

/**
 * Builds the index of a generation's vectors anew beside the old one, which serves meanwhile. One builder at a time, of
 * all of Millrace: false when somebody else is at it, or it was stopped. What a dead one left is dropped first.
 */
export async function rebuildIndex(db: Db, generationId: number, signal: AbortSignal): Promise<boolean> {
  if (db.kind === 'embedded') return false
  const client = await db.pool.connect()
  const name = `vectors_${Number(generationId)}_hnsw`
  const cancel = () => void stopBuilding(db, generationId).catch(() => undefined)
  let stopping: NodeJS.Timeout | undefined
  const stop = () => {
    cancel()
    stopping = setInterval(cancel, STOP_MS)
  }
  signal.addEventListener('abort', stop)
  try {
    const lock = await client.query<{ mine: boolean }>(
      `select pg_try_advisory_lock(hashtext('millrace index')) as mine`,
    )
    if (!one(lock.rows, 'the lock').mine || signal.aborted) return false
    const left = await client.query<{ name: string }>(
      `select c.relname as name from pg_index i join pg_class c on c.oid = i.indexrelid
       where i.indrelid = to_regclass('millrace.vectors_' || $1::bigint) and not i.indisvalid and c.relname like $2`,
      [generationId, `${name}_cc%`],
    )
    for (const dead of left.rows)
      await client.query(`drop index concurrently if exists millrace.${dead.name}`)
    await client.query(`reindex index concurrently millrace.${name}`)
    await noteShape(client, generationId)
    return true
  } catch (error) {
    if (signal.aborted) return false
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
    clearInterval(stopping)
    await client.query('select pg_advisory_unlock_all()').catch(() => undefined)
    client.release()
  }
}
