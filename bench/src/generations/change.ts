import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, ingest, openClient, silent } from 'millrace'
import { z } from 'zod'
import { type Figure, figure } from '../figure.js'
import { openServers, ROOT, shared } from '../place.js'
import { type Program, startProgram } from '../program.js'
import { searchedFigures, whileSearching } from './searching.js'

const DOMAIN = 'site'
const GENERATIONS = `/v1/domains/${DOMAIN}/generations`
/** People who search at once. */
const SEARCHERS = 4
const IDLE_SECONDS = 20
/** Around a switch: long enough for a p95. */
const SWITCH_SECONDS = 10
const BUILD_MS_MAX = 30 * 60_000

const generationSchema = z.object({
  id: z.string(),
  state: z.string(),
  phase: z.string().nullable(),
  copied: z.number(),
  embedded: z.number(),
  documents: z.object({ total: z.number(), ready: z.number(), failed: z.number() }),
  error: z.unknown(),
})
type Generation = z.infer<typeof generationSchema>

/**
 * A documentation site of 196 pages that changes its model, its form of storage and the size of its chunks, on servers,
 * API and worker as processes of their own, while people search it all the time.
 */
export async function benchChange(): Promise<Figure[]> {
  const place = await openServers()
  const programs: Program[] = []
  const start = (path: string, env = {}) => {
    const program = startProgram(path, { ...place.env, ...env })
    programs.push(program)
    return program
  }
  try {
    const api = start('apps/api/dist/main.js', { QUERY_CACHE: '1' })
    const url = await api.logged('the API listens', 'url')
    const worker = start('apps/worker/dist/main.js', { THREADS: '1' })
    await worker.logged('the worker is up', 'slots')
    const client = openClient({ url, apiKey: undefined, language: 'en' })
    await client.post('/v1/domains', { name: DOMAIN, model: 'bge-small-zh-v1.5' }, z.unknown())
    const folder = shared('eval', 'corpus', 'apisix-docs', 'en')
    await ingest(client, DOMAIN, [folder], silent)
    return await changes(client, url, await readQuestions())
  } finally {
    for (const program of programs.reverse()) await program.stop()
    await place.remove()
  }
}

async function changes(client: Client, url: string, questions: readonly string[]): Promise<Figure[]> {
  const searching = <T>(work: () => Promise<T>) =>
    whileSearching(`${url}/v1/domains/${DOMAIN}/search`, questions, SEARCHERS, work)
  const idling = async () => {
    await searching(() => sleep(3_000))
    return (await searching(() => sleep(IDLE_SECONDS * 1_000))).searched
  }
  const idle = await idling()
  const figures = searchedFigures('idle', idle)
  const build = await searching(() => begin(client, { model: 'all-minilm-l6-v2' }))
  figures.push(
    ...searchedFigures('another model is built', build.searched, idle),
    figure('another model: embedded', build.result.embedded, 'texts'),
  )
  const around = (path: string) => async () => {
    await sleep((SWITCH_SECONDS * 1_000) / 2)
    await client.post(`${GENERATIONS}/${path}`, {}, z.unknown())
    await sleep((SWITCH_SECONDS * 1_000) / 2)
  }
  const switched = (await searching(around(`${build.result.id}/switch`))).searched
  const rolledBack = (await searching(around('rollback'))).searched
  const again = (await searching(around(`${build.result.id}/switch`))).searched
  // The new model takes its own time for a question: half of each of these was with the one, half with the other.
  const after = await idling()
  const both = { times: [...idle.times, ...after.times], errors: [] }
  figures.push(
    ...searchedFigures('idle, with the new model', after),
    ...searchedFigures('switch', switched, both),
    ...searchedFigures('rollback', rolledBack, both),
    ...searchedFigures('switch again', again, both),
  )

  const half = await searching(() => begin(client, { storage: 'half' }))
  figures.push(
    ...searchedFigures('storage full to half', half.searched, after),
    figure('storage full to half: embedded', half.result.embedded, 'texts', '0'),
    figure('storage full to half: copied', half.result.copied, 'texts'),
  )
  await client.post(`${GENERATIONS}/${half.result.id}/switch`, {}, z.unknown())
  const smaller = await begin(client, { chunking: { size: 200 } })
  const { copied, embedded } = smaller
  figures.push(
    figure('smaller chunks: texts that stood there already, copied', copied, 'texts'),
    figure('smaller chunks: embedded', embedded, 'texts'),
    figure('smaller chunks: reused', (100 * copied) / (copied + embedded), '%'),
  )
  return figures
}

/** Begins a generation and waits until it is complete. */
async function begin(client: Client, wishes: object): Promise<Generation> {
  const { id } = await client.post(GENERATIONS, { ...wishes, gate: { overlap: 0 } }, generationSchema)
  const end = Date.now() + BUILD_MS_MAX
  for (;;) {
    const now = await client.get(`${GENERATIONS}/${id}`, generationSchema)
    if (now.phase === 'complete') return now
    if (Date.now() > end) throw new Error(`Not complete: ${JSON.stringify(now)}`)
    await sleep(250)
  }
}

async function readQuestions(): Promise<string[]> {
  const file = await readFile(`${ROOT}bench/questions/apisix-en.json`, 'utf8')
  return z
    .array(z.object({ question: z.string() }))
    .parse(JSON.parse(file))
    .map(({ question }) => question)
}
