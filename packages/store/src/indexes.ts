import { type Db, one, type Session } from './connect.js'
import { indexTerms, termsTable } from './terms.js'
import { vectorsTable } from './vectors.js'

export interface IndexPolicy {
  /** Vectors below which exact search is served: it is fast enough, and exact. */
  readonly rowsMin: number
}

/** pgvector's HNSW takes vectors to 2,000 dims (its README, "HNSW"); above that a domain stays exact. */
const DIMS_MAX = 2_000
/** Between two tries to stop a build. */
const STOP_MS = 500

/** A tenth of `rowsMin`: with less than that to come, a generation is not being filled any more. */
const restOf = (rowsMin: number): number => Math.max(1, Math.floor(rowsMin / 10))

/**
 * Builds the HNSW index of one generation that is large enough, is not being filled and has no valid index. Load
 * first, index after: an index that is there while rows come in makes every insert pay for it. A domain that grows by
 * many small ingestions always has something open; it counts as filled with less than a tenth of `rowsMin` to come.
 * Built concurrently on a connection of its own, so reading and writing go on; an INVALID one that a dead builder
 * left is dropped first. One builder at a time: a session's advisory lock, which a dead session gives back.
 * Never on PGlite, where it would stop everybody. Returns the generation it indexed, if any; aborting `signal` stops
 * it soon, and the next builder begins anew.
 */
export async function buildIndex(
  db: Db,
  policy: IndexPolicy,
  signal?: AbortSignal,
): Promise<number | undefined> {
  if (db.kind === 'embedded') return undefined
  const due = await db.query<{ id: number }>(
    `select g.id from millrace.generations g
     where g.indexed_at is null and g.dims <= $1
       and (select count(*) from (
         select 1 from millrace.pending p where p.generation_id = g.id limit $2
       ) first_texts) < $2
       and coalesce((
         select sum(i.received + i.preparing + i.embedding) filter (where i.sealed) < $2 and bool_and(i.sealed)
         from millrace.ingestions i where i.domain_id = g.domain_id and i.state = 'running'
       ), true)
     order by g.id`,
    [DIMS_MAX, restOf(policy.rowsMin)],
  )
  for (const { id } of due) {
    if (signal?.aborted) return undefined
    if (await isLarge(db, id, policy.rowsMin)) return build(db, id, signal)
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

async function build(
  db: Db,
  generationId: number,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  const index = `vectors_${generationId}_hnsw`
  const client = await db.pool.connect()
  let stopping: NodeJS.Timeout | undefined
  const cancel = () => void stopBuilding(db, generationId).catch(() => undefined)
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
    const found = await client.query<{ valid: boolean }>(
      `select i.indisvalid as valid from pg_index i where i.indexrelid = to_regclass($1)`,
      [`millrace.${index}`],
    )
    if (found.rows[0]?.valid === false) await client.query(`drop index concurrently millrace.${index}`)
    if (found.rows[0]?.valid !== true) {
      await client.query(
        `create index concurrently ${index} on ${vectorsTable(generationId)} using hnsw (embedding vector_ip_ops)`,
      )
    }
    await indexTerms(client, generationId)
    await client.query('update millrace.generations set indexed_at = now() where id = $1', [generationId])
    return generationId
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
