import { toSql } from 'pgvector'
import type { Session } from './connect.js'
import { embeddingSql, type Form } from './storage/form.js'
import { vectorsTable } from './vectors.js'

interface Vectors extends Form {
  readonly generationId: number
}

/** A pair of stored vectors, as searches see them, that no document has both of. */
export interface VectorPair {
  /** The same for both orders. */
  readonly key: string
  readonly similarity: number
}

/** The vector at a place, or the first one behind it; hashes say nothing of what is in a text. */
const at = (table: string, place: string) => `(
  (select v.* from ${table} v where v.text_hash >= ${place} order by v.text_hash limit 1)
  union all
  (select v.* from ${table} v order by v.text_hash limit 1)
  limit 1
)`

/** Whether readers see a text. */
const isShown = (hash: string) => `exists (
  select 1 from millrace.chunks c
  join millrace.published p
    on p.generation_id = c.generation_id and p.document_id = c.document_id and p.revision = c.revision
  where c.generation_id = $1 and c.text_hash = ${hash}
)`

/**
 * The pairs of vectors at these places, in order: two look-ups each, whatever the table's size. Left out are a vector with
 * itself, texts that readers do not see, and two of one document.
 */
export const pairsAt = (
  on: Session,
  { generationId, ...form }: Vectors,
  draws: readonly { readonly a: Buffer; readonly b: Buffer }[],
): Promise<VectorPair[]> => {
  const table = vectorsTable(generationId)
  return on.query<VectorPair>(
    `select encode(least(a.text_hash, b.text_hash) || greatest(a.text_hash, b.text_hash), 'base64') as key,
       greatest(-1, least(1, 1 - (${embeddingSql(form, 'a')} <=> ${embeddingSql(form, 'b')})))::float8 as similarity
     from unnest($2::bytea[], $3::bytea[]) with ordinality as d (a, b, n)
     cross join lateral ${at(table, 'd.a')} a
     cross join lateral ${at(table, 'd.b')} b
     where a.text_hash <> b.text_hash and ${isShown('a.text_hash')} and ${isShown('b.text_hash')} and not exists (
       select 1 from millrace.chunks one
       join millrace.chunks other
         on other.generation_id = one.generation_id and other.document_id = one.document_id
         and other.revision = one.revision
       where one.generation_id = $1 and one.text_hash = a.text_hash and other.text_hash = b.text_hash
     )
     order by d.n`,
    [generationId, draws.map(({ a }) => a), draws.map(({ b }) => b)],
  )
}

/** The hashes of the first vectors, `limit` at most. */
export async function firstHashes(
  on: Session,
  generationId: number,
  limit: number,
): Promise<readonly Buffer[]> {
  const rows = await on.query<{ hash: Buffer }>(
    `select text_hash as hash from ${vectorsTable(generationId)} order by text_hash limit $1`,
    [limit],
  )
  return rows.map(({ hash }) => hash)
}

/** What a golden question asks, and which documents answer it. */
export interface Expectation {
  readonly question: string
  readonly documents: readonly string[]
}

/** At most so many of a golden set, in the order of their hashes: a sample that stays the same. */
export const sampleGolden = (on: Session, domainId: number, limit: number): Promise<Expectation[]> =>
  on.query<Expectation>(
    `select question, documents from millrace.golden where domain_id = $1 order by question_hash, id limit $2`,
    [domainId, limit],
  )

/**
 * The similarity of each vector to the nearest passage of its documents, in order; null where readers see no passage of
 * them.
 */
export async function nearestPassages(
  on: Session,
  { id, generationId, ...form }: Vectors & { readonly id: number },
  asked: readonly { readonly vector: Float32Array; readonly documents: readonly string[] }[],
): Promise<(number | null)[]> {
  const expected = asked.flatMap(({ documents }, n) => documents.map((document) => ({ n: n + 1, document })))
  const rows = await on.query<{ n: number; similarity: number }>(
    `select q.n::int as n, greatest(-1, least(1, max(near.similarity)))::float8 as similarity
     from unnest($3::text[]::vector[]) with ordinality as q (vector, n)
     join unnest($4::int[], $5::text[]) as e (n, document) on e.n = q.n
     join millrace.documents d on d.domain_id = $2 and d.external_id = e.document
     join millrace.published p on p.generation_id = $1 and p.document_id = d.id
     cross join lateral (
       select max(1 - (${embeddingSql(form, 'v')} <=> q.vector)) as similarity
       from millrace.chunks c
       join ${vectorsTable(generationId)} v on v.text_hash = c.text_hash
       where c.document_id = d.id and c.generation_id = $1 and c.revision = p.revision
     ) near
     where near.similarity is not null
     group by q.n`,
    [
      generationId,
      id,
      asked.map(({ vector }) => toSql(Array.from(vector))),
      expected.map(({ n }) => n),
      expected.map(({ document }) => document),
    ],
  )
  const nearest = new Map(rows.map(({ n, similarity }) => [n, similarity]))
  return asked.map((_, n) => nearest.get(n + 1) ?? null)
}
