import { join } from 'node:path'
import { startApi } from '@millrace/api'
import { type Engine, openEngine } from '@millrace/embed'
import { type Domain, openBackends, openLog, readSettings } from '@millrace/flow'
import { buildIndex, type Db } from '@millrace/store'
import { ingest, openClient, silent } from 'millrace'
import pg from 'pg'
import { z } from 'zod'
import { quantile } from '../engine/race.js'
import { type Figure, figure } from '../figure.js'
import { openServers, ROOT, shared } from '../place.js'
import { startProgram } from '../program.js'
import { alternate, timed } from './filled.js'
import { openSearcher, type Searcher } from './searcher.js'
import type { Took } from './searcher-process.js'
import { questionsOf } from './variations.js'
import { bare, createWide, hits, K, searchPath, widened } from './wide.js'

const VECTORS = 100_000
const WARMING = 100
const COMPARED = 300
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
  const client = openSearcher(`${api.url}${searchPath}`, K)
  try {
    const { db } = backends
    const questions = await questionsOf('en')
    const domain = await createWide(db, engine, questions, VECTORS)
    const building = performance.now()
    await buildIndex(db, { rowsMin: 1 })
    const built = (performance.now() - building) / 1_000
    await db.query('vacuum analyze')
    const figures = await compare(
      { url: String(place.env.DATABASE_URL), db, engine, client, domain },
      questions,
    )
    const load = { questions, atATime: CONCURRENCY, seconds: LOAD_SECONDS }
    const idle = await client.ask(load)
    const busy = await whileIngesting(api.url, place.env, () => client.ask(load))
    return [
      figure('HNSW built in', built, 's'),
      ...figures,
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
    client.close()
    await api.close()
    await engine.close()
    await backends.close()
    await place.remove()
  }
}

export interface Compared {
  readonly url: string
  readonly db: Db
  readonly engine: Engine
  readonly client: Searcher
  readonly domain: Domain
}

/** The same questions over HTTP and as what a search is made of, in turns. */
export async function compare(
  { url, db, engine, client, domain }: Compared,
  questions: readonly string[],
): Promise<Figure[]> {
  const connection = new pg.Client({ connectionString: url, options: '-c hnsw.ef_search=200' })
  await connection.connect()
  try {
    const ways = {
      http: async (question: string) => (await client.ask({ questions: [question] })).times[0] ?? Number.NaN,
      sql: (question: string) => timed(() => hits(db, engine, question)),
      bare: (question: string) => timed(() => bare(connection, engine, domain, question)),
    }
    await alternate(questions.slice(0, WARMING), ways)
    const times = await alternate(questions.slice(WARMING, WARMING + COMPARED), ways)
    const http = quantile(times.http, 0.5)
    const under = quantile(times.bare, 0.5)
    return [
      figure('over HTTP, p50', http, 'ms'),
      figure('embedding and the bare statement, p50', under, 'ms'),
      figure('embedding and millrace.find_hits, p50', quantile(times.sql, 0.5), 'ms'),
      figure('HTTP over its parts, p50', http / under, 'x', '≤ 1.3'),
    ]
  } finally {
    await connection.end()
  }
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

const loadFigures = (name: string, { times, seconds }: Took): Figure[] => [
  figure(`${name}: searches a second`, times.length / seconds, ''),
  ...[0.5, 0.95, 0.99].map((share) => figure(`${name}: p${share * 100}`, quantile(times, share), 'ms')),
]
