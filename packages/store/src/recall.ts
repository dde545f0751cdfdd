import { toSql } from 'pgvector'
import { type Db, one, type Session } from './connect.js'
import { timed } from './timed.js'
import { vectorsTable } from './vectors.js'

/** The index of a domain's vectors. */
export interface IndexFacts {
  /** What it was built with; null: there is none. */
  readonly built: { readonly m: number; readonly efConstruction: number } | null
  /** As Postgres estimates it, where it was counted at all. */
  readonly vectors: number
}

/** What an index has that was built before its settings were kept: pgvector's defaults (its README, "HNSW"). */
const BUILT_BEFORE = { m: 16, efConstruction: 64 }

export async function indexFacts(on: Session, generationId: number): Promise<IndexFacts> {
  const table = vectorsTable(generationId)
  const rows = await on.query<{ built: IndexFacts['built'] | null; isBuilt: boolean; rows: number }>(
    `select g.indexed_at is not null as "isBuilt", g.index_built as built,
       case when t.reltuples > 0 then t.reltuples::int8 else (select count(*) from ${table}) end as rows
     from millrace.generations g join pg_class t on t.oid = to_regclass($2)
     where g.id = $1`,
    [generationId, table],
  )
  const { isBuilt, built, rows: vectors } = one(rows, 'the table of vectors')
  return { built: isBuilt ? (built ?? BUILT_BEFORE) : null, vectors }
}

/** Below so many rows all of them are shuffled; above, pages are drawn first. */
const SHUFFLED_MAX = 20_000
/** Rows drawn for each that is wanted: pages hold different numbers of them. */
const DRAWN = 5

/** Some of the stored vectors, at random, as pgvector writes them; of a form with codes, as they are searched. */
export async function sampleVectors(
  on: Session,
  domain: { readonly generationId: number; readonly storage: string; readonly dims: number },
  { vectors, limit }: { readonly vectors: number; readonly limit: number },
): Promise<string[]> {
  const percent = Math.min(100, (100 * limit * DRAWN) / Math.max(1, vectors))
  const drawn = vectors > SHUFFLED_MAX ? `tablesample system (${percent})` : ''
  const expression = one(
    await on.query<{ sql: string }>(`select millrace.embedding_sql($1, $2, 'v') as sql`, [
      domain.storage,
      domain.dims,
    ]),
    'how a vector is read',
  )
  const rows = await on.query<{ vector: string }>(
    `select (${expression.sql})::text as vector from ${vectorsTable(domain.generationId)} v ${drawn}
     where v.orphaned_at is null order by random() limit $1`,
    [limit],
  )
  return rows.map(({ vector }) => vector)
}

/** The texts that were asked last, each once. None where only hashes are kept. */
export async function sampleQueries(on: Session, domainId: number, limit: number): Promise<string[]> {
  const rows = await on.query<{ query: string }>(
    `select query from millrace.queries where domain_id = $1 and query is not null
     group by query order by max(id) desc limit $2`,
    [domainId, limit],
  )
  return rows.map(({ query }) => query)
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
    readonly candidates: number | null
    readonly timeoutMs: number
  },
): Promise<Probe[]> {
  return timed(db, probe.timeoutMs, (on) =>
    on.query<Probe>(
      'select similarities, ms from millrace.probe_search($1, $2::text[]::vector[], $3, $4, $5, $6) order by n',
      [
        probe.domain,
        probe.queries.map((query) => (typeof query === 'string' ? query : toSql(Array.from(query)))),
        probe.k,
        probe.exact,
        probe.efSearch,
        probe.candidates,
      ],
    ),
  )
}
