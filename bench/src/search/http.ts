import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { startApi } from '@millrace/api'
import { type Engine, embedAll, openEngine } from '@millrace/embed'
import { createDomain, type Domain, openBackends, openLog, readSettings } from '@millrace/flow'
import { buildIndex, type Db, findHits } from '@millrace/store'
import { insertVectors } from '@millrace/store/vectors'
import { ingest, openClient, silent } from 'millrace'
import { toSql } from 'pgvector'
import { z } from 'zod'
import { type Figure, figure } from '../figure.js'
import { openServers, ROOT, shared } from '../place.js'
import { startProgram } from '../program.js'
import { mulberry, questionsOf } from './variations.js'

const MODEL = 'all-minilm-l6-v2'
const DIMS = 1_024
const VECTORS = 100_000
const BATCH = 1_000
/** How far a vector is from the question that it was made of, before it is set to length 1. */
const NOISE = 0.7
const K = 10
const ALTERNATED = 300
const CONCURRENCY = 16
const LOAD_SECONDS = 15

/** Searches over HTTP at 100,000 vectors of 1,024 dims, beside what they are made of, and under load. */
export async function benchHttp(): Promise<Figure[]> {
  const place = await openServers()
  // Questions are asked again under load, and must be embedded again.
  const settings = readSettings({ ...place.env, QUERY_CACHE: '1', LOG_LEVEL: 'error' })
  const log = openLog('error', 'bench')
  const backends = await openBackends(settings, log)
  const engine = widened(openEngine({ modelDirs: [join(ROOT, 'models')] }))
  const api = await startApi({ backends, engine, log }, settings)
  try {
    const { db } = backends
    const domain = await createDomain(
      { db, engine, defaultModel: MODEL },
      { name: 'wide', model: MODEL, outputs: ['dense'] },
    )
    const questions = await questionsOf('en')
    await fill(db, engine, domain, questions)
    const building = performance.now()
    await buildIndex(db, { rowsMin: 1 })
    const built = (performance.now() - building) / 1_000
    await db.query('vacuum analyze')
    const ask = (query: string) => search(api.url, query)
    for (const question of questions.slice(0, 100)) {
      await ask(question)
      await bare(db, engine, domain, question)
    }
    const [over = [], inSql = [], under = []] = await alternate(questions.slice(100, 100 + ALTERNATED), [
      ask,
      (question) => hits(db, engine, question),
      (question) => bare(db, engine, domain, question),
    ])
    const idle = await underLoad(questions, ask)
    const busy = await whileIngesting(api.url, place.env, () => underLoad(questions, ask))
    return [
      figure('HNSW built in', built, 's'),
      figure('over HTTP, p50', quantile(over, 0.5), 'ms'),
      figure('embedding and the bare statement, p50', quantile(under, 0.5), 'ms'),
      figure('embedding and millrace.find_hits, p50', quantile(inSql, 0.5), 'ms'),
      figure('HTTP over its parts, p50', quantile(over, 0.5) / quantile(under, 0.5), 'x', '≤ 1.3'),
      ...loadFigures(`${CONCURRENCY} at a time`, idle),
      ...loadFigures(`${CONCURRENCY} at a time, while documents are ingested`, busy),
      figure(
        'p95 while ingesting over idle',
        quantile(busy.times, 0.95) / quantile(idle.times, 0.95),
        'x',
        '≤ 2',
      ),
    ]
  } finally {
    await api.close()
    await engine.close()
    await backends.close()
    await place.remove()
  }
}

/** The real model with its numbers repeated to 1,024 dims: embedding takes what it takes, vectors are as wide as bge-m3's. */
function widened(engine: Engine): Engine {
  return {
    ...engine,
    manifest: (id) => ({ ...engine.manifest(id), dims: DIMS }),
    embed: async (request) =>
      (await engine.embed(request)).map((result) =>
        'error' in result ? result : { ...result, vector: widen(result.vector) },
      ),
  }
}

const widen = (vector: Float32Array): Float32Array =>
  unit(Float32Array.from({ length: DIMS }, (_, i) => vector[i % vector.length] ?? 0))

function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector)
  return vector.map((value) => value / length)
}

/** Vectors around those of real questions, each with a document of its own. */
async function fill(db: Db, engine: Engine, domain: Domain, questions: readonly string[]): Promise<void> {
  const centres = await embedAll(engine, { model: MODEL, texts: questions, kind: 'document' })
  const random = mulberry(3)
  const near = (centre: Float32Array): Float32Array => {
    const spread = (NOISE * Math.sqrt(12)) / Math.sqrt(DIMS)
    return unit(centre.map((value) => value + (random() - 0.5) * spread))
  }
  const [ingestion] = await db.query<{ id: number }>(
    'insert into millrace.ingestions (domain_id) values ($1) returning id',
    [domain.id],
  )
  for (let from = 0; from < VECTORS; from += BATCH) {
    const rows = Array.from({ length: BATCH }, (_, i) => {
      const at = (from + i) % centres.length
      const text = `${questions[at]} ${from + i}`
      const vector = near(centres[at]?.vector ?? new Float32Array(DIMS))
      return { text, vector, hash: createHash('sha256').update(text).digest() }
    })
    await db.transact(async (tx) => {
      await insertVectors(tx, domain.generationId, { storage: 'full', dims: DIMS }, rows)
      await tx.query(
        `with added as (
           insert into millrace.documents
             (domain_id, external_id, text, content_hash, ingestion_id, state, chunks, tokens)
           select $1, encode(hash, 'hex'), text, hash, $2, 'ready', 1, 0
           from unnest($3::text[], $4::bytea[]) as given (text, hash)
           returning id, text, content_hash
         ), cut as (
           insert into millrace.chunks
             (document_id, generation_id, revision, ordinal, start_at, end_at, tokens, text_hash, text)
           select id, $5, 1, 0, 0, length(text), 0, content_hash, text from added
         )
         insert into millrace.published (generation_id, document_id, revision, metadata)
         select $5, id, 1, '{}' from added`,
        [
          domain.id,
          ingestion?.id,
          rows.map(({ text }) => text),
          rows.map(({ hash }) => hash),
          domain.generationId,
        ],
      )
    })
  }
  await db.query(`update millrace.ingestions set state = 'finished', finished_at = now(), sealed = true`)
}

async function search(url: string, query: string): Promise<void> {
  const response = await fetch(`${url}/v1/domains/wide/search`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, k: K }),
  })
  const { hits } = z.object({ hits: z.array(z.unknown()) }).parse(await response.json())
  if (hits.length !== K) throw new Error(`${hits.length} hits`)
}

/** What a search cannot do without: the query's vector, and one statement. */
async function bare(db: Db, engine: Engine, domain: Domain, query: string): Promise<void> {
  const [embedded] = await embedAll(engine, { model: MODEL, texts: [query], kind: 'query' })
  const g = domain.generationId
  const client = await db.pool.connect()
  try {
    await client.query('set hnsw.ef_search = 200')
    const { rows } = await client.query(
      `select d.external_id, c.ordinal, p.title, c.text, p.metadata, c.start_at, c.end_at, -(v.embedding <#> $1) as similarity
       from millrace.vectors_${g} v
       join millrace.chunks c on c.generation_id = ${g} and c.text_hash = v.text_hash
       join millrace.published p on p.generation_id = ${g} and p.document_id = c.document_id and p.revision = c.revision
       join millrace.documents d on d.id = c.document_id
       order by v.embedding <#> $1 limit ${K}`,
      [toSql(Array.from(embedded?.vector ?? []))],
    )
    if (rows.length !== K) throw new Error(`${rows.length} rows`)
  } finally {
    client.release()
  }
}

/** What HTTP calls: the function that people call in SQL. */
async function hits(db: Db, engine: Engine, query: string): Promise<void> {
  const [embedded] = await embedAll(engine, { model: MODEL, texts: [query], kind: 'query' })
  await findHits(db, {
    domain: 'wide',
    vector: embedded?.vector ?? null,
    terms: null,
    k: K,
    mode: 'dense',
    filter: {},
    thresholds: {},
  })
}

/** All in turns, so that what else the machine does falls on each. */
async function alternate(
  questions: readonly string[],
  ways: readonly ((question: string) => Promise<void>)[],
): Promise<number[][]> {
  const times = ways.map((): number[] => [])
  for (const question of questions) {
    for (const [i, way] of ways.entries()) times[i]?.push(await timed(() => way(question)))
  }
  return times.map((some) => some.sort((a, b) => a - b))
}

async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

interface Load {
  readonly perSecond: number
  readonly times: readonly number[]
}

/** So many searches at a time, for a while. */
async function underLoad(
  questions: readonly string[],
  ask: (question: string) => Promise<void>,
): Promise<Load> {
  const times: number[] = []
  const started = performance.now()
  const end = started + LOAD_SECONDS * 1_000
  let next = 0
  const one = async () => {
    while (performance.now() < end) {
      const question = questions[next++ % questions.length] ?? ''
      times.push(await timed(() => ask(question)))
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, one))
  const seconds = (performance.now() - started) / 1_000
  return { perSecond: times.length / seconds, times: times.sort((a, b) => a - b) }
}

/** While a worker, a process of its own as in production, embeds a documentation site into another domain. */
async function whileIngesting<T>(
  url: string,
  env: Readonly<Record<string, string | undefined>>,
  work: () => Promise<T>,
): Promise<T> {
  const worker = startProgram('apps/worker/dist/main.js', { ...env, THREADS: '1' })
  try {
    await worker.logged('the worker is up', 'slots')
    const client = openClient({ url, apiKey: undefined, language: 'en' })
    await client.post('/v1/domains', { name: 'other', model: 'bge-small-zh-v1.5' }, z.unknown())
    const folder = shared('eval', 'corpus', 'apisix-docs', 'zh')
    ingest(client, 'other', [folder], silent).catch(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    return await work()
  } finally {
    await worker.stop()
  }
}

const loadFigures = (name: string, { perSecond, times }: Load): Figure[] => [
  figure(`${name}: searches a second`, perSecond, ''),
  ...[0.5, 0.95, 0.99].map((share) => figure(`${name}: p${share * 100}`, quantile(times, share), 'ms')),
]

const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN
