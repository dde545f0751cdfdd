import { execFile } from 'node:child_process'
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { coresAvailable } from '@millrace/embed'
import { findModels, localOf } from '@millrace/embed/catalog'
import { type Client, findFiles, ingestFiles, openClient, silent } from 'millrace'
import { z } from 'zod'
import { quantile } from '../engine/race.js'
import { type Figure, figure } from '../figure.js'
import { toHub } from '../hub.js'
import { openServers, ROOT, shared } from '../place.js'
import { startProgram } from '../program.js'
import { openRivals } from '../rivals.js'
import { inTemporary } from '../temporary.js'

const run = promisify(execFile)

const MODEL = 'all-minilm-l6-v2'
/** The folder in so many parts, the sides in turn on each: a machine that is disturbed disturbs all of them. */
const PARTS = 3
/** One file of so many for the search of their best batch. */
const SAMPLE = 16
const BATCHES = [1, 4, 8, 32, 64]

/** A folder ingested, and the same one again. */
const ran = z.object({
  firstSeconds: z.number(),
  secondSeconds: z.number(),
  documents: z.number(),
  chunks: z.number(),
})
type Run = z.infer<typeof ran>
/** What theirs is told; nothing: its defaults. */
type Tuning = readonly string[]

/**
 * A documentation site ingested by us and by LangChain.js, each with the same file of the same model on as many
 * threads, into the same server: for the first time, and again.
 */
export async function benchLangchain(): Promise<Figure[]> {
  const site = await findFiles([shared('eval', 'corpus', 'apisix-docs', 'en')])
  const rivals = await openRivals()
  const { dir, manifest } = localOf(findModels([join(ROOT, 'models')]), MODEL)
  return inTemporary(async (place) => {
    const model = await toHub(dir, manifest, join(place, 'hub'))
    const theirs = (folder: string, tuning: Tuning) =>
      ingestTheirs(join(rivals, 'langchain.mjs'), [
        ...['--hub', join(place, 'hub'), '--model', model, '--threads', String(coresAvailable())],
        ...['--folder', folder, ...tuning],
      ])
    const folderOf = async (name: string, isIn: (file: number) => boolean): Promise<string> => {
      const folder = join(place, name)
      await mkdir(folder)
      const files = site.map(({ path }) => path).filter((_, i) => isIn(i))
      await Promise.all(files.map((path, i) => copyFile(path, join(folder, `${i}.md`))))
      return folder
    }
    const sample = await folderOf('sample', (i) => i % SAMPLE === 0)
    const { best, tried } = await fastest(
      async (batch) => (await theirs(sample, ['--batch', String(batch)])).firstSeconds,
    )
    const ourRuns: Run[] = []
    const tuned: Run[] = []
    const untouched: Run[] = []
    await withOurs(async (ours) => {
      for (let part = 0; part < PARTS; part++) {
        const folder = await folderOf(`part-${part}`, (i) => i % PARTS === part)
        ourRuns.push(await ours(`part-${part}`, folder))
        tuned.push(await theirs(folder, ['--batch', String(best)]))
        // Once is enough of what takes minutes and gigabytes.
        if (part === 0) untouched.push(await theirs(folder, []))
      }
    })
    return [
      ...sideFigures('Millrace', ourRuns),
      ...sideFigures(`LangChain.js, batches of ${best} (fastest of ${tried.join(', ')})`, tuned),
      ...sideFigures('LangChain.js, its defaults, the first part', untouched),
      ...overFigures('its defaults', untouched, ourRuns),
      ...overFigures('its best batch', tuned, ourRuns),
    ]
  })
}

/** The batch that takes the least seconds; larger ones are tried until one takes twice as long. */
async function fastest(secondsOf: (batch: number) => Promise<number>) {
  let [best, least] = [1, Number.POSITIVE_INFINITY]
  const tried: number[] = []
  for (const batch of BATCHES) {
    const seconds = await secondsOf(batch)
    tried.push(batch)
    if (seconds < least) [best, least] = [batch, seconds]
    if (seconds > 2 * least) break
  }
  return { best, tried }
}

const sum = (runs: readonly Run[], of: keyof Run): number => runs.reduce((total, one) => total + one[of], 0)

const sideFigures = (name: string, runs: readonly Run[]): Figure[] => [
  figure(`${name}: documents`, sum(runs, 'documents'), 'documents'),
  figure(`${name}: chunks`, sum(runs, 'chunks'), 'chunks'),
  figure(`${name}: first time`, sum(runs, 'firstSeconds'), 's'),
  figure(`${name}: second time`, sum(runs, 'secondSeconds'), 's'),
]

/** How many times faster ours is: the median of the parts that theirs ran on. */
function overFigures(name: string, theirs: readonly Run[], ours: readonly Run[]): Figure[] {
  const over = (of: 'firstSeconds' | 'secondSeconds') =>
    quantile(
      theirs.map((run, part) => run[of] / (ours[part]?.[of] ?? Number.NaN)),
      0.5,
    )
  return [
    figure(`over ${name}, the first time`, over('firstSeconds'), 'x', '≥ 5'),
    figure(`over ${name}, the second time`, over('secondSeconds'), 'x', '≥ 20'),
  ]
}

/** Theirs in a process and a database of its own; its model is loaded before anything is timed. */
async function ingestTheirs(script: string, args: readonly string[]): Promise<Run> {
  const place = await openServers()
  try {
    const env = { ...process.env, DATABASE_URL: place.env.DATABASE_URL }
    const { stdout } = await run(process.execPath, [script, ...args], { env })
    return ran.parse(JSON.parse(stdout))
  } finally {
    await place.remove()
  }
}

/** Ours as in production: an API and a worker, each in a process of its own, and a client that follows to the end. */
async function withOurs(
  work: (ingest: (domain: string, folder: string) => Promise<Run>) => Promise<void>,
): Promise<void> {
  const place = await openServers()
  const programs = [
    startProgram('apps/api/dist/main.js', place.env),
    startProgram('apps/worker/dist/main.js', place.env),
  ] as const
  try {
    const url = await programs[0].logged('the API listens', 'url')
    await programs[1].logged('the worker is up', 'slots')
    const client = openClient({ url, apiKey: undefined, language: 'en' })
    await warm(client)
    await work(async (domain, folder) => {
      await client.post('/v1/domains', { name: domain, model: MODEL }, z.unknown())
      const once = async () => {
        const started = performance.now()
        const report = await ingestFiles(client, domain, await findFiles([folder]), silent)
        return { report, seconds: (performance.now() - started) / 1_000 }
      }
      const first = await once()
      const second = await once()
      const { documents, chunks } = first.report
      if (documents.ready !== documents.found || second.report.chunks.embedded > 0) {
        throw new Error(`Ours did not do the work: ${JSON.stringify([first, second])}`)
      }
      return {
        firstSeconds: first.seconds,
        secondSeconds: second.seconds,
        documents: documents.ready,
        chunks: chunks.total,
      }
    })
  } finally {
    await Promise.all(programs.map((program) => program.stop()))
    await place.remove()
  }
}

async function warm(client: Client): Promise<void> {
  await client.post('/v1/domains', { name: 'warm', model: MODEL }, z.unknown())
  const document = { id: 'warm', text: 'A text that warms the engine of the worker.' }
  const { ingestion } = await client.post(
    '/v1/domains/warm/documents',
    { documents: [document] },
    z.object({ ingestion: z.string() }),
  )
  for await (const _now of client.follow(ingestion));
}
