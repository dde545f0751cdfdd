import { vectorsTable } from '../vectors.js'

/** A pool's client, or a session. */
interface Asked {
  query(text: string, values?: unknown[]): Promise<unknown>
}

/** Keeps how large the index of a generation's vectors is now that it was built: it is compared with that later. */
export async function noteShape(on: Asked, generationId: number): Promise<void> {
  await on.query(`analyze ${vectorsTable(generationId)}`)
  await on.query(
    `update millrace.generations g set index_shape = jsonb_build_object(
       'rows', greatest(t.reltuples, 0)::int8, 'bytes', pg_relation_size(i.oid))
     from pg_class t, pg_class i
     where g.id = $1 and t.oid = to_regclass('millrace.vectors_' || g.id)
       and i.oid = to_regclass('millrace.vectors_' || g.id || '_hnsw')`,
    [generationId],
  )
}
