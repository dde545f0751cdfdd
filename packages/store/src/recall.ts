import { toSql } from 'pgvector'
import { type Db, one, type Session } from './connect.js'
import { vectorsTable } from './vectors.js'

/** The index of a domain's vectors as Postgres has it; null: there is none that is valid. */
export interface IndexFacts {
  readonly built: { readonly m: number; readonly efConstruction: number } | null
  /** What a search looks at unless it says otherwise. */
  readonly efSearch: number
  /** As Postgres estimates it, where it was counted at all. */
  readonly vectors: number
}

/** pgvector's defaults (its README, "HNSW"). */
const M = 16
const EF_CONSTRUCTION = 64
const EF_SEARCH = 40

export async function indexFacts(on: Session, generationId: number): Promise<IndexFacts> {
  const table = vectorsTable(generationId)
  const rows = await on.query<{
    options: string[] | null
    isBuilt: boolean
    ef: string | null
    rows: number
  }>(
    `select i.indexrelid is not null as "isBuilt", c.reloptions as options,
       current_setting('hnsw.ef_search', true) as ef,
       case when t.reltuples > 0 then t.reltuples::int8 else (select count(*) from ${table}) end as rows
     from pg_class t
     left join pg_index i on i.indrelid = t.oid and i.indisvalid
       and i.indexrelid = to_regclass($2)
     left join pg_class c on c.oid = i.indexrelid
     where t.oid = to_regclass($1)`,
    [table, `${table}_hnsw`],
  )
  const found = one(rows, 'the table of vectors')
  const option = (name: string, fallback: number) => {
    const given = found.options?.find((entry) => entry.startsWith(`${name}=`))
    return given === undefined ? fallback : Number(given.slice(name.length + 1))
  }
  return {
    built: found.isBuilt
      ? { m: option('m', M), efConstruction: option('ef_construction', EF_CONSTRUCTION) }
      : null,
    efSearch: found.ef === null ? EF_SEARCH : Number(found.ef),
    vectors: found.rows,
  }
}

/** Below so many rows all of them are shuffled; above, pages are drawn first. */
const SHUFFLED_MAX = 20_000
/** Rows drawn for each that is wanted: pages hold different numbers of them. */
const DRAWN = 5

/** Some of the stored vectors, at random, as pgvector writes them. */
export async function sampleVectors(
  on: Session,
  generationId: number,
  { vectors, limit }: { readonly vectors: number; readonly limit: number },
): Promise<string[]> {
  const percent = Math.min(100, (100 * limit * DRAWN) / Math.max(1, vectors))
  const drawn = vectors > SHUFFLED_MAX ? `tablesample system (${percent})` : ''
  const rows = await on.query<{ vector: string }>(
    `select v.embedding::text as vector from ${vectorsTable(generationId)} v ${drawn}
     where v.orphaned_at is null order by random() limit $1`,
    [limit],
  )
  return rows.map(({ vector }) => vector)
}

export interface Probe {
  /** Best first. */
  readonly similarities: readonly number[]
  readonly ms: number
}

/** Searches of a domain, one after the other in one statement, which ends by itself after `timeoutMs` on a server. */
export async function probeSearch(
  db: Db,
  probe: {
    readonly domain: string
    readonly queries: readonly (string | Float32Array)[]
    readonly k: number
    readonly exact: boolean
    readonly efSearch: number | null
    readonly timeoutMs: number
  },
): Promise<Probe[]> {
  const run = (on: Session) =>
    on.query<Probe>(
      'select similarities, ms from millrace.probe_search($1, $2::text[]::vector[], $3, $4, $5) order by n',
      [
        probe.domain,
        probe.queries.map((query) => (typeof query === 'string' ? query : toSql(Array.from(query)))),
        probe.k,
        probe.exact,
        probe.efSearch,
      ],
    )
  // PGlite has one session and nobody to interrupt it.
  if (db.kind === 'embedded') return run(db)
  return db.transact(async (tx) => {
    await tx.query(`set local statement_timeout = ${Math.ceil(probe.timeoutMs)}`)
    return run(tx)
  })
}
