import type pg from 'pg'
import { type Db, one, type Session, type Tx } from './connect.js'
import { bytea, column, copyRows, type Encoding } from './copy.js'

/** What each term counts in a text: token ids (and pairs of them), ascending, and as many weights above 0. */
export interface Terms {
  readonly ids: Int32Array
  readonly weights: Float32Array
}

/** A text's hash and its terms. */
export interface TermsRow {
  readonly hash: Buffer
  readonly terms: Terms
}

/** pgvector's most; a token id is an index, and no vocabulary must be known for that. */
const DIMS = 1_000_000_000
/** Elements of a sparsevec that are not zero, at most (pgvector, sparsevec.h). */
export const TERMS_OF_A_TEXT_MAX = 16_000

/** Of a generation whose outputs have sparse. */
export const termsTable = (generationId: number) => `millrace.terms_${Number(generationId)}`

/**
 * Rows stay whole up to half a page, beyond that the weights stay, which every candidate needs: out of line, as
 * Postgres would have what is above 2 kB, a candidate took 13 µs more, of 15 (100,000 chunks of 164 tokens).
 */
export async function createTerms(tx: Tx, generationId: number): Promise<void> {
  const table = termsTable(generationId)
  await tx.query(`create table ${table} (
    text_hash bytea primary key,
    terms     integer[] not null, -- token ids, ascending: what a GIN index finds
    weights   sparsevec(${DIMS}) not null -- of token id t at index t, from 0
  ) with (toast_tuple_target = 4080)`)
  await tx.query(
    `alter table ${table} alter column terms set storage external, alter column weights set storage main`,
  )
}

export async function dropTerms(tx: Tx, generationId: number): Promise<void> {
  await tx.query(`drop table if exists ${termsTable(generationId)}`)
}

/** Terms as the text of a sparsevec, whose indexes are from 1 there: for a query's, and on PGlite. */
export function toSparsevec({ ids, weights }: Terms): string {
  const elements = Array.from(ids, (id, i) => `${id + 1}:${weights[i]}`)
  return `{${elements.join(',')}}/${DIMS}`
}

/** The terms of a query, weighed by how rare each is among the texts of a generation. */
export interface WeighedQuery {
  readonly weights: Terms
  /** More than any text can score: bm25 divided by it is 0 to 1. */
  readonly bound: number
}

/** As `millrace.find_hits` weighs them. @throws 22023 where the generation keeps no terms */
export async function weighQuery(on: Session, generationId: number, terms: Terms): Promise<WeighedQuery> {
  const rows = await on.query<{ weights: string; bound: number }>(
    'select weights::text as weights, bound from millrace.weigh_terms($1, $2::sparsevec)',
    [generationId, toSparsevec(terms)],
  )
  const { weights, bound } = one(rows, 'the weights of a query')
  return { weights: fromSparsevec(weights), bound }
}

/** The text of a sparsevec: {index:value,...}/dims, indexes from 1. */
export function fromSparsevec(text: string): Terms {
  const elements = text.slice(1, text.indexOf('}')).split(',').filter(Boolean)
  const pairs = elements.map((element) => element.split(':').map(Number))
  return {
    ids: Int32Array.from(pairs, ([index = 1]) => index - 1),
    weights: Float32Array.from(pairs, ([, weight = 0]) => weight),
  }
}

/** Binary COPY on servers, unnest on PGlite, which cannot COPY; the hashes have no rows yet. */
export async function insertTerms(tx: Tx, generationId: number, rows: readonly TermsRow[]): Promise<void> {
  if (rows.length === 0) return
  const table = termsTable(generationId)
  if (tx.kind === 'embedded') {
    await tx.query(
      `insert into ${table} (text_hash, terms, weights)
       select hash, terms::integer[], weights::sparsevec
       from unnest($1::bytea[], $2::text[], $3::text[]) as given (hash, terms, weights)`,
      [
        rows.map(({ hash }) => hash),
        rows.map(({ terms }) => `{${terms.ids.join(',')}}`),
        rows.map(({ terms }) => toSparsevec(terms)),
      ],
    )
    return
  }
  await copyRows(
    tx,
    table,
    [
      column('text_hash', bytea, (row: TermsRow) => row.hash),
      column('terms', int4Array, (row: TermsRow) => row.terms.ids),
      column('weights', sparsevec, (row: TermsRow) => row.terms),
    ],
    rows,
  )
}

const INT4_OID = 23

/** Dimensions, whether there are nulls, the elements' type; length and first index; each with its size (array_recv). */
export const int4Array: Encoding<Int32Array> = {
  size: (values) => (values.length === 0 ? 12 : 20 + 8 * values.length),
  write: (into, at, values) => {
    const head = values.length === 0 ? [0, 0, INT4_OID] : [1, 0, INT4_OID, values.length, 1]
    const words = new Int32Array(head.length + 2 * values.length)
    words.set(head)
    values.forEach((value, i) => {
      words[head.length + 2 * i] = 4
      words[head.length + 2 * i + 1] = value
    })
    writeWords(into, at, words)
  },
}

/** int32 dims, int32 elements, int32 unused, the indexes from 0, the values (pgvector, sparsevec_recv). */
export const sparsevec: Encoding<Terms> = {
  size: ({ ids }) => 12 + 8 * ids.length,
  write: (into, at, { ids, weights }) => {
    writeWords(into, at, Int32Array.of(DIMS, ids.length, 0))
    writeWords(into, at + 12, ids)
    writeWords(into, at + 12 + 4 * ids.length, weights)
  },
}

/** Big-endian. Swapped in one go: a call a number would take most of the time of a COPY. */
function writeWords(into: Buffer, at: number, words: Int32Array | Float32Array): void {
  Buffer.from(words.buffer, words.byteOffset, words.byteLength).copy(into, at)
  into.subarray(at, at + words.byteLength).swap32()
}

/**
 * The index that finds the texts of a term, where there is such a table: like that of the vectors built after the load,
 * concurrently, and anew when a dead builder left it invalid. Without one the table is read through.
 */
export async function indexTerms(client: pg.PoolClient, generationId: number): Promise<void> {
  const index = `terms_${Number(generationId)}_gin`
  const found = await client.query<{ valid: boolean | null }>(
    `select i.indisvalid as valid
     from (select to_regclass($1) as id) t left join pg_index i on i.indexrelid = to_regclass($2)
     where t.id is not null`,
    [termsTable(generationId), `millrace.${index}`],
  )
  const [table] = found.rows
  if (table === undefined || table.valid === true) return
  if (table.valid === false) await client.query(`drop index concurrently millrace.${index}`)
  await client.query(`create index concurrently ${index} on ${termsTable(generationId)} using gin (terms)`)
}

/** What is kept of texts beside their vectors: tables that are there only where a generation has that output. */
const BESIDES = ['terms', 'colbert'] as const

/** Those of a generation; their rows go with the vectors. */
export async function besidesOf(on: Session, generationId: number): Promise<string[]> {
  const names = BESIDES.map((kind) => `millrace.${kind}_${Number(generationId)}`)
  const found = await on.query<{ name: string }>(
    'select name from unnest($1::text[]) as u (name) where to_regclass(name) is not null',
    [names],
  )
  return found.map(({ name }) => name)
}

/** Texts that are looked at for the statistics: of more, a sample of pages. PGlite lets nobody else work meanwhile. */
const SAMPLE_TEXTS = { server: 20_000, embedded: 2_000 } as const
/** A generation that is being filled changes all the time. */
const RECOUNT_SECONDS = 60

interface Due {
  readonly id: number
  readonly bytes: number
}

/**
 * Counts anew in how many texts each term is, for the generation whose statistics are furthest behind: never counted, or
 * its table has grown or shrunk by a tenth since, or it is a day since and something came in. What bm25 does with these
 * numbers changes with their logarithm, so a tenth is little. Returns the generation.
 */
export async function refreshTermCounts(db: Db): Promise<number | undefined> {
  const due = await db.query<Due>(
    `select g.id, s.bytes::float8 as bytes
     from millrace.generations g
     cross join lateral (select pg_relation_size(to_regclass('millrace.terms_' || g.id)) as bytes) s
     where g.lexical is not null and s.bytes > 0
       -- Those of one that is being built are counted when all of it is there: countTerms.
       and (g.state in ('live', 'retired') or g.state = 'building' and g.built_at is not null)
       and (g.terms_counted_at is null
         or (abs(s.bytes - g.terms_bytes) > g.terms_bytes / 10.0
           and g.terms_counted_at < now() - make_interval(secs => $1))
         or (g.terms_counted_at < now() - interval '1 day' and exists (
           select 1 from millrace.ingestions i
           where i.domain_id = g.domain_id and coalesce(i.finished_at, now()) > g.terms_counted_at)))
     order by g.terms_counted_at nulls first, g.id
     limit 1`,
    [RECOUNT_SECONDS],
  )
  const next = due[0]
  if (next === undefined) return undefined
  await countTexts(db, next)
  return next.id
}

/** Counts anew in how many texts of a generation each term is, whenever that was done last. */
export async function countTerms(db: Db, generationId: number): Promise<void> {
  const [table] = await db.query<{ bytes: number | null }>(
    'select pg_relation_size(to_regclass($1))::float8 as bytes',
    [termsTable(generationId)],
  )
  if (table?.bytes != null) await countTexts(db, { id: generationId, bytes: table.bytes })
}

/**
 * In one transaction, so that a search sees the old numbers or the new. The generation's row is locked at the end only:
 * whoever deletes the domain does not wait for the aggregate.
 */
function countTexts(db: Db, { id, bytes }: Due): Promise<void> {
  return db.transact(async (tx) => {
    const table = termsTable(id)
    const texts = SAMPLE_TEXTS[tx.kind]
    const pages = Math.max(1, bytes / 8_192)
    // Of the first texts how many fit a page: what pages must be looked at for so many texts.
    const first = one(
      await tx.query<{ texts: number; pages: number }>(
        `select count(*)::int as texts, count(distinct (ctid::text::point)[0])::int as pages
         from (select ctid from ${table} limit 1000) few`,
      ),
      'texts a page',
    )
    if (first.texts === 0) return
    const percent = Math.min(100, ((100 * texts) / first.texts) * (first.pages / pages))
    const sample = percent === 100 ? table : `${table} tablesample system (${percent}) repeatable (1)`
    await tx.query('drop table if exists pg_temp.term_counts_new')
    await tx.query(`set local work_mem = '64MB'`) // half a million terms; in files it would take twice as long
    await tx.query(
      `create temporary table term_counts_new on commit drop as
       select term, count(*) as texts
       from (select terms from ${sample}) t, unnest(t.terms) as term group by term having count(*) > 1`,
    )
    const seen = one(
      await tx.query<{ texts: number }>(`select count(*)::int as texts from ${sample}`),
      'texts seen',
    )
    const live = await tx.query('select 1 from millrace.generations where id = $1 for no key update', [id])
    if (live.length === 0) return
    await tx.query('delete from millrace.term_counts where generation_id = $1', [id])
    await tx.query(
      `insert into millrace.term_counts (generation_id, term, texts)
       select $1, term, round(texts * $2::float8) from term_counts_new`,
      [id, 100 / percent],
    )
    await tx.query(
      `update millrace.generations set terms_texts = $2, terms_bytes = $3, terms_counted_at = now() where id = $1`,
      [id, Math.round((seen.texts * 100) / percent), bytes],
    )
  })
}
