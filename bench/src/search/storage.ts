import { createHash } from 'node:crypto'
import {
  buildIndex,
  type Db,
  type DomainRow,
  embeddingSql,
  findHits,
  insertDomain,
  migrate,
  openDb,
  type StorageForm,
} from '@millrace/store'
import { insertVectors } from '@millrace/store/vectors'
import { type Figure, figure } from '../figure.js'
import { openServers } from '../place.js'
import { largeVectors, type RealVectors, realVectors, shuffled } from './real.js'

/** Texts of each model; fewer with TEXTS. */
const TEXTS = Number(process.env.TEXTS ?? 15_000)
const BATCH = 1_000
const PAIRS = 100_000
const QUERIES = 200
/** Of the rows that are scored, where bits find them. */
const CANDIDATES_SHARE = 0.05
/** What float32 sums in another order may differ by. */
const SAME = 1e-6

interface Aims {
  readonly mean?: string
  readonly p99?: string
  readonly recall?: string
}
const FORMS: Readonly<Record<StorageForm, Aims>> = {
  full: {},
  half: { recall: '≥ 0.99' },
  sq8: { mean: '≤ 0.002', p99: '≤ 0.01', recall: '≥ 0.99' },
  sq4: { p99: '≤ 0.03', recall: '≥ 0.95' },
  binary: { recall: '≥ 0.97' },
}

interface Task extends RealVectors {
  readonly name: string
  readonly k: number
}

/** What a vector takes in each form of storage, and what the form loses, on real vectors and a real server. */
export async function benchStorage(): Promise<Figure[]> {
  const tasks: Task[] = [
    { name: 'zh', k: 10, ...(await realVectors('bge-small-zh-v1.5', 'zh', TEXTS)) },
    { name: 'en', k: 10, ...(await realVectors('all-minilm-l6-v2', 'en', TEXTS)) },
    { name: 'large', k: 3, ...(await largeVectors()) },
  ]
  const place = await openServers()
  const db = openDb({ url: String(place.env.DATABASE_URL), kind: 'server' })
  try {
    await migrate(db)
    const figures: Figure[] = []
    for (const task of tasks) {
      for (const [storage, aims] of Object.entries(FORMS)) {
        figures.push(...(await measure(db, task, storage as StorageForm, aims)))
      }
    }
    return figures
  } finally {
    await db.close()
    await place.remove()
  }
}

async function measure(db: Db, task: Task, storage: StorageForm, aims: Aims): Promise<Figure[]> {
  const { vectors, dims, k } = task
  const figures: Figure[] = []
  const say = (name: string, value: number, unit: string, aim?: string) =>
    figures.push(figure(`${task.name}, ${vectors.length} of ${dims}, ${storage}: ${name}`, value, unit, aim))
  const domain = await fill(db, `${task.name}-${storage}`, task, storage)
  const table = `millrace.vectors_${domain.generationId}`
  await db.query('vacuum analyze')

  const { mean, p99, largest } = await errors(db, task, embeddingSql({ storage, dims }, 'v'), table)
  say('difference of similarity, mean', mean, '', aims.mean)
  say('difference of similarity, p99', p99, '', aims.p99)
  say('difference of similarity, largest', largest, '')

  // Of everything, without an index: what the form itself loses.
  const candidates = Math.floor(vectors.length * CANDIDATES_SHARE)
  say(
    `recall@${k}, ${candidates} candidates`,
    await recall(db, domain, task, { candidates }),
    '',
    aims.recall,
  )
  // What more candidates could bring back.
  say(`recall@${k}, of everything`, await recall(db, domain, task, { exact: true }), '')
  const started = performance.now()
  await buildIndex(db, { rowsMin: 1 })
  const built = (performance.now() - started) / 1_000
  await db.query(`vacuum analyze ${table}`)
  say(`recall@${k}, by the index, candidates as usual`, await recall(db, domain, task, {}), '')
  say('index built in', built, 's')

  const [bytes] = await db.query<{ table: number; indexes: number; hnsw: number }>(
    `select pg_table_size(t.id)::float8 as table, pg_indexes_size(t.id)::float8 as indexes,
       pg_relation_size('${table}_hnsw')::float8 as hnsw
     from (select '${table}'::regclass as id) t`,
  )
  if (bytes === undefined) throw new Error('no size')
  const each = (value: number) => Math.round(value / vectors.length)
  say('table', each(bytes.table), 'bytes a vector')
  say('indexes', each(bytes.indexes), 'bytes a vector')
  say('of these HNSW', each(bytes.hnsw), 'bytes a vector')
  say('table and indexes', each(bytes.table + bytes.indexes), 'bytes a vector')
  return figures
}

const hashOf = (i: number): Buffer => createHash('sha256').update(`${i}`).digest()

/** A document a vector, each of one chunk. */
async function fill(
  db: Db,
  name: string,
  { vectors, dims }: RealVectors,
  storage: StorageForm,
): Promise<DomainRow> {
  const domain = await insertDomain(db, {
    name,
    threshold: null,
    levels: [{ key: 'any', above: null, name: { zh: '任意', en: 'any' } }],
    model: 'bench',
    dims,
    recipe: {},
    recipeHash: name,
    storage,
  })
  if (domain === undefined) throw new Error('the domain is there already')
  const id = domain.generationId
  const [ingestion] = await db.query<{ id: number }>(
    `insert into millrace.ingestions (domain_id, state, finished_at, sealed)
     values ($1, 'finished', now(), true) returning id`,
    [domain.id],
  )
  for (let at = 0; at < vectors.length; at += BATCH) {
    const rows = vectors.slice(at, at + BATCH).map((vector, i) => ({ hash: hashOf(at + i), vector }))
    await db.transact(async (tx) => {
      await insertVectors(tx, id, { storage, dims }, rows)
      await tx.query(
        `with added as (
           insert into millrace.documents
             (domain_id, external_id, text, content_hash, ingestion_id, state, chunks, tokens)
           select $1, encode(hash, 'hex'), 'text', hash, $2, 'ready', 1, 0
           from unnest($3::bytea[]) as given (hash)
           returning id, text, content_hash
         ), cut as (
           insert into millrace.chunks
             (document_id, generation_id, revision, ordinal, start_at, end_at, tokens, text_hash, text)
           select id, $4, 1, 0, 0, length(text), 0, content_hash, text from added
         )
         insert into millrace.published (generation_id, document_id, revision, metadata)
         select $4, id, 1, '{}' from added`,
        [domain.id, ingestion?.id, rows.map(({ hash }) => hash), id],
      )
    })
  }
  return domain
}

/** Of a float32 query and a stored vector, as SQL decodes it, to that of both as float32. */
async function errors(
  db: Db,
  { vectors }: RealVectors,
  embedding: string,
  table: string,
): Promise<{ readonly mean: number; readonly p99: number; readonly largest: number }> {
  const others = Math.min(vectors.length - 1, PAIRS / 400)
  const queries = Math.min(vectors.length, PAIRS / others)
  const order = shuffled(vectors.map((_, i) => i))
  const found: number[] = []
  for (let q = 0; q < queries; q++) {
    const query = vectors[q] ?? new Float32Array()
    // Another part of all of them each time.
    const picked = Array.from({ length: others }, (_, i) => order[(q * others + i) % order.length] ?? 0)
    const rows = await db.query<{ i: number; similarity: number }>(
      `select s.i, -(${embedding} <#> $1::vector) as similarity
       from unnest($2::bytea[], $3::int[]) as s (hash, i) join ${table} v on v.text_hash = s.hash`,
      [`[${query.join(',')}]`, picked.map(hashOf), picked],
    )
    for (const { i, similarity } of rows) {
      if (i !== q) found.push(Math.abs(similarity - dot(query, vectors[i] ?? query)))
    }
  }
  const sorted = found.sort((a, b) => a - b)
  return {
    mean: sorted.reduce((sum, error) => sum + error, 0) / sorted.length,
    p99: sorted[Math.floor(0.99 * (sorted.length - 1))] ?? Number.NaN,
    largest: sorted.at(-1) ?? Number.NaN,
  }
}

/** Of the k nearest to a stored vector by float32, itself not counted, those that a search finds; ties are as good. */
async function recall(
  db: Db,
  domain: DomainRow,
  { vectors, k }: Task,
  options: { readonly candidates?: number; readonly exact?: boolean },
): Promise<number> {
  const numbers = new Map(vectors.map((_, i) => [hashOf(i).toString('hex'), i]))
  const queries = Math.min(QUERIES, vectors.length)
  let found = 0
  for (let q = 0; q < queries; q++) {
    const query = vectors[q] ?? new Float32Array()
    const exact = vectors.map((vector) => dot(query, vector))
    const least = exact.filter((_, i) => i !== q).sort((a, b) => b - a)[k - 1] ?? 0
    const hits = await findHits(db, {
      domain: domain.name,
      vector: query,
      terms: null,
      k: k + 1,
      mode: 'dense',
      filter: {},
      thresholds: { dense: null },
      ...options,
    })
    const others = hits.map(({ documentId }) => numbers.get(documentId) ?? q).filter((i) => i !== q)
    found += others.slice(0, k).filter((i) => (exact[i] ?? -1) >= least - SAME).length
  }
  return found / (queries * k)
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0)
  return sum
}
