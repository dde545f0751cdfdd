import type pg from 'pg'
import { type Db, one, type Session } from './connect.js'
import { noteShape } from './schedules/shape.js'
import { type Form, indexOf } from './storage/form.js'
import { indexTerms, termsTable } from './terms.js'
import { vectorsTable } from './vectors.js'

export interface IndexPolicy {
  /** Vectors below which exact search is served: it is fast enough, and exact. */
  readonly rowsMin: number
}

/** Between two tries to stop a build. */
const STOP_MS = 500

/** A tenth of `rowsMin`: with less than that to come, a generation is not being filled any more. */
const restOf = (rowsMin: number): number => Math.max(1, Math.floor(rowsMin / 10))

/** A generation and the index that it is to have. */
interface Wanted extends Form {
  readonly id: number
  readonly m: number
  readonly efConstruction: number
}

/**
 * Builds the HNSW index of one generation that is large enough, is not being filled and has no valid index with the
 * settings of its domain. Load first, index after: an index that is there while rows come in makes every insert pay for
 * it. A domain that grows by many small ingestions always has something open; it counts as filled with less than a tenth
 * of `rowsMin` to come; one that is built beside the live one, when that is so of its own documents. Built concurrently on a connection of its own, so reading and writing go on; one with other
 * settings serves until the new one is there. An INVALID one that a dead builder left is dropped first. One builder at a
 * time: a session's advisory lock, which a dead session gives back. Never on PGlite, where it would stop everybody.
 * Returns the generation it indexed, if any; aborting `signal` stops it soon, and the next builder begins anew.
 */
export async function buildIndex(
  db: Db,
  policy: IndexPolicy,
  signal?: AbortSignal,
): Promise<number | undefined> {
  if (db.kind === 'embedded') return undefined
  const due = await db.query<Wanted>(
    `select g.id, g.storage, g.dims, g.index_m as m, g.index_ef_construction as "efConstruction"
     from millrace.generations g
     where g.state in ('live', 'building') and (g.indexed_at is null
         or (g.index_m, g.index_ef_construction) is distinct from
           -- One built before it could be tuned has pgvector's defaults.
           (coalesce((g.index_built ->> 'm')::int, 16), coalesce((g.index_built ->> 'efConstruction')::int, 64)))
       and (select count(*) from (
         select 1 from millrace.pending p where p.generation_id = g.id limit $1
       ) first_texts) < $1
       and case g.state when 'live' then coalesce((
         select sum(i.received + i.preparing + i.embedding) filter (where i.sealed) < $1 and bool_and(i.sealed)
         from millrace.ingestions i where i.domain_id = g.domain_id and i.state = 'running'
       ), true) else g.filled_at is not null and (select count(*) from (
         select 1 from millrace.generation_documents f
         where f.generation_id = g.id and f.state in ('waiting', 'preparing', 'embedding') limit $1
       ) first_documents) < $1 end
     order by g.id`,
    [restOf(policy.rowsMin)],
  )
  for (const wanted of due) {
    if (signal?.aborted) return undefined
    if (indexOf(wanted) === undefined) continue
    if (await isLarge(db, wanted.id, policy.rowsMin)) return build(db, wanted, signal)
  }
  return undefined
}

/** Ends the building of a generation's index: who drops its table would wait for all of it. */
export async function stopBuilding(on: Session, generationId: number): Promise<void> {
  if (on.kind === 'embedded') return
  await on.query(
    `select pg_cancel_backend(pid) from pg_stat_progress_create_index
     where datname = current_database() and relid in (to_regclass($1), to_regclass($2))`,
    [vectorsTable(generationId), termsTable(generationId)],
  )
}

async function isLarge(db: Db, generationId: number, rowsMin: number): Promise<boolean> {
  const row = one(
    await db.query<{ large: boolean }>(
      `select count(*) >= $1 as large from (select 1 from ${vectorsTable(generationId)} limit $1) as first_rows`,
      [rowsMin],
    ),
    'size',
  )
  return row.large
}

async function build(db: Db, wanted: Wanted, signal: AbortSignal | undefined): Promise<number | undefined> {
  const client = await db.pool.connect()
  let stopping: NodeJS.Timeout | undefined
  const cancel = () => void stopBuilding(db, wanted.id).catch(() => undefined)
  const stop = () => {
    cancel()
    // The statement may be just about to begin.
    stopping = setInterval(cancel, STOP_MS)
  }
  signal?.addEventListener('abort', stop)
  try {
    const lock = await client.query<{ mine: boolean }>(
      `select pg_try_advisory_lock(hashtext('millrace index')) as mine`,
    )
    if (!lock.rows[0]?.mine) return undefined
    await indexVectors(client, wanted)
    await indexTerms(client, wanted.id)
    await client.query(
      `update millrace.generations set indexed_at = coalesce(indexed_at, now()),
         index_built = jsonb_build_object('m', $2::int, 'efConstruction', $3::int)
       where id = $1`,
      [wanted.id, wanted.m, wanted.efConstruction],
    )
    await noteShape(client, wanted.id)
    return wanted.id
  } catch (error) {
    if (signal?.aborted) return undefined
    throw error
  } finally {
    signal?.removeEventListener('abort', stop)
    clearInterval(stopping)
    await client.query('select pg_advisory_unlock_all()').catch(() => undefined)
    client.release()
  }
}

/** Whatever a builder that died has left: the catalog says which indexes there are, whether they work, their settings. */
async function indexVectors(client: pg.PoolClient, wanted: Wanted): Promise<void> {
  const name = `vectors_${wanted.id}_hnsw`
  const beside = `${name}_new`
  const found = await client.query<{ name: string; valid: boolean; fits: boolean }>(
    `select c.relname as name, i.indisvalid as valid,
       coalesce((select option_value::int from pg_options_to_table(c.reloptions) where option_name = 'm'), 16) = $2
       and coalesce((select option_value::int from pg_options_to_table(c.reloptions)
         where option_name = 'ef_construction'), 64) = $3 as fits
     from pg_index i join pg_class c on c.oid = i.indexrelid
     where i.indrelid = $1::regclass and c.relname in ($4, $5)`,
    [vectorsTable(wanted.id), wanted.m, wanted.efConstruction, name, beside],
  )
  const drop = (index: string) => client.query(`drop index concurrently if exists millrace.${index}`)
  for (const index of found.rows) if (!index.valid) await drop(index.name)
  const valid = found.rows.filter((index) => index.valid)
  const old = valid.find((index) => index.name === name)
  const next = valid.find((index) => index.name === beside)
  if (old?.fits === true) {
    if (next !== undefined) await drop(beside)
    return
  }
  if (next !== undefined && !next.fits) await drop(beside)
  if (next?.fits !== true) await createIndex(client, wanted, old === undefined ? name : beside)
  if (old !== undefined) await drop(name)
  if (old !== undefined || next?.fits === true) {
    await client.query(`alter index millrace.${beside} rename to ${name}`)
  }
}

async function createIndex(client: pg.PoolClient, wanted: Wanted, name: string): Promise<void> {
  const { column, operators, bytes } = indexOf(wanted) ?? {}
  if (column === undefined || bytes === undefined) return
  const table = vectorsTable(wanted.id)
  // A graph that does not fit in maintenance_work_mem is built many times slower (pgvector's README, "Index Build Time").
  // shared_buffers is what whoever runs the server lets it have for such things.
  await client.query(
    `select set_config('maintenance_work_mem', greatest(
       pg_size_bytes(current_setting('maintenance_work_mem')),
       least(pg_size_bytes(current_setting('shared_buffers')), $2::bigint * greatest(0, c.reltuples::bigint))
     ) / 1024 || 'kB', false)
     from pg_class c where c.oid = $1::regclass`,
    [table, bytes],
  )
  try {
    await client.query(
      `create index concurrently ${name} on ${table} using hnsw (${column} ${operators})
       with (m = ${Number(wanted.m)}, ef_construction = ${Number(wanted.efConstruction)})`,
    )
  } finally {
    await client.query('reset maintenance_work_mem').catch(() => undefined)
  }
}
