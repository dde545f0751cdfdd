import { type Db, one } from './connect.js'
import { vectorsTable } from './vectors.js'

export interface IndexPolicy {
  /** Vectors below which exact search is served: it is fast enough, and exact. */
  readonly rowsMin: number
}

/** pgvector's HNSW takes vectors to 2,000 dims (its README, "HNSW"); above that a domain stays exact. */
const DIMS_MAX = 2_000

/**
 * Builds the HNSW index of one generation that is large enough, has nothing pending and no valid index.
 * Load first, index after: an index that is there while rows come in makes every insert pay for it. Built
 * concurrently on a connection of its own, so reading and writing go on; an INVALID one that a dead builder
 * left is dropped first. One builder at a time: a session's advisory lock, which a dead session gives back.
 * Never on PGlite, where it would stop everybody. Returns the generation it indexed, if any.
 */
export async function buildIndex(db: Db, policy: IndexPolicy): Promise<number | undefined> {
  if (db.kind === 'embedded') return undefined
  const due = await db.query<{ id: number }>(
    `select g.id from millrace.generations g
     where g.indexed_at is null and g.dims <= $1
       and not exists (select 1 from millrace.pending p where p.generation_id = g.id)
     order by g.id`,
    [DIMS_MAX],
  )
  for (const { id } of due) {
    if (await isLarge(db, id, policy.rowsMin)) return build(db, id)
  }
  return undefined
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

async function build(db: Db, generationId: number): Promise<number | undefined> {
  const index = `vectors_${generationId}_hnsw`
  const client = await db.pool.connect()
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
    await client.query('update millrace.generations set indexed_at = now() where id = $1', [generationId])
    return generationId
  } finally {
    await client.query('select pg_advisory_unlock_all()').catch(() => undefined)
    client.release()
  }
}
