import { messageOf } from '@millrace/errors'
import type { Engine } from './engine.js'
import type { WireServer } from './server.js'

/**
 * One session means no background processes: nobody checkpoints, so the write-ahead log would keep every byte written
 * until the database is closed (measured: 128 MB after 120,000 rows of 1 kB, and no more growth with checkpoints), and
 * nobody vacuums or analyzes. So it is done here, between the clients' statements. A checkpoint takes 20 to 100 ms, a
 * vacuum of 240,000 such rows, half of them dead, 0.4 to 0.9 s.
 */
const EVERY_MS = 60_000

/** Autovacuum's own thresholds (50 rows and a fifth, a tenth for analyze): run-time configuration, Automatic Vacuuming. */
const DUE = `
  select format('%I.%I', s.schemaname, s.relname) as table,
         exists (
           select from pg_index i
           join pg_class c on c.oid = i.indexrelid
           join pg_am a on a.oid = c.relam
           where i.indrelid = s.relid and a.amname in ('hnsw', 'ivfflat')
         ) as vectors
  from pg_stat_user_tables s
  where n_dead_tup > 50 + 0.2 * n_live_tup
     or n_mod_since_analyze > 50 + 0.1 * n_live_tup
  order by n_dead_tup desc
  limit 10`

/** Starts the upkeep; returns how to stop it. */
export function maintain(server: WireServer, engine: Engine, warn: (line: string) => void): () => void {
  let seen = server.answers
  const timer = setInterval(() => {
    if (server.answers === seen) return
    seen = server.answers
    server.chore(() => upkeep(server, engine).catch((error: unknown) => warn(messageOf(error))))
  }, EVERY_MS)
  return () => clearInterval(timer)
}

/** Checkpoints, and lets each table that is due have a turn of its own. */
export async function upkeep(server: WireServer, engine: Engine): Promise<void> {
  await engine.query('checkpoint')
  for (const { table, vectors } of await engine.query<{ table: string; vectors: boolean }>(DUE)) {
    // Repairing a vector index for its dead rows takes minutes; the rows' space is freed without that.
    const options = vectors ? 'analyze, index_cleanup off' : 'analyze'
    // The table may be gone when its turn comes.
    server.chore(() => engine.query(`vacuum (${options}) ${table}`).catch(() => undefined))
  }
}
