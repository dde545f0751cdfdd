import { openDb } from '@millrace/store'
import { ingest, openClient, silent } from 'millrace'
import { z } from 'zod'
import { type Figure, figure } from './figure.js'
import { openServers, shared } from './place.js'
import { startProgram } from './program.js'

const SITES = [
  { domain: 'apisix-en', folder: 'en', model: 'all-minilm-l6-v2' },
  { domain: 'apisix-zh', folder: 'zh', model: 'bge-small-zh-v1.5' },
] as const

/** What docker-compose.yml describes, on real Postgres and Redis: an API and two workers, two domains at once. */
export async function benchTopology(): Promise<Figure[]> {
  const place = await openServers()
  const env = { ...place.env, THREADS: '1' }
  const programs = [startProgram('apps/api/dist/main.js', env)]
  try {
    const url = (await programs[0]?.logged('the API listens', 'url')) ?? ''
    programs.push(...[1, 2].map(() => startProgram('apps/worker/dist/main.js', env)))
    await Promise.all(programs.slice(1).map((worker) => worker.logged('the worker is up', 'slots')))
    const client = openClient({ url, apiKey: undefined, language: 'en' })
    const reports = await Promise.all(
      SITES.map(async ({ domain, folder, model }) => {
        await client.post('/v1/domains', { name: domain, model }, z.unknown())
        return ingest(client, domain, [shared('eval', 'corpus', 'apisix-docs', folder)], silent)
      }),
    )
    const ready = reports.reduce((sum, { documents }) => sum + documents.ready, 0)
    return [
      figure('documents ready', ready, 'documents', '373'),
      ...(await count(String(place.env.DATABASE_URL))),
    ]
  } finally {
    await Promise.all(programs.map((program) => program.stop()))
    await place.remove()
  }
}

/** A worker tells its tokens every 10 s: wait until it has told all of them. */
const REPORT_MS = 11_000

async function count(url: string): Promise<Figure[]> {
  const db = openDb({ url, kind: 'server' })
  await new Promise((resolve) => setTimeout(resolve, REPORT_MS))
  const [rows] = await db.query<{ texts: number; vectors: number; counted: number; pending: number }>(`select
    (select count(*)::int from (select distinct generation_id, text_hash from millrace.chunks) t) as texts,
    (select count(*)::int from millrace.vectors_1) + (select count(*)::int from millrace.vectors_2) as vectors,
    (select sum(chunks_embedded)::int from millrace.ingestions) as counted,
    (select count(*)::int from millrace.pending) as pending`)
  const workers = await db.query<{ tokens: number }>('select tokens from millrace.workers order by tokens')
  await db.close()
  const all = workers.reduce((sum, { tokens }) => sum + tokens, 0)
  return [
    figure('different texts', rows?.texts ?? 0, 'texts'),
    figure('vectors', rows?.vectors ?? 0, 'vectors', 'as many'),
    figure('counted as embedded', rows?.counted ?? 0, 'texts', 'as many'),
    figure('left pending', rows?.pending ?? 0, 'texts', '0'),
    ...workers.map(({ tokens }, i) => figure(`tokens of worker ${i + 1}`, (100 * tokens) / all, '%', '≥ 30')),
  ]
}
