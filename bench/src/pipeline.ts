import { type Engine, openEngine } from '@millrace/embed'
import { openLog, readSettings } from '@millrace/flow'
import { type Db, openDb } from '@millrace/store'
import { type Client, findFiles, type IngestReport, ingestFiles, openClient, silent } from 'millrace'
import { z } from 'zod'
import { type Figure, figure } from './figure.js'
import { openServers, shared } from './place.js'
import { startProgram } from './program.js'

const MODEL = 'all-minilm-l6-v2'
/** The folder in so many parts, pipeline and engine in turn: a machine that is disturbed disturbs both. */
const PARTS = 3

interface Part {
  readonly first: IngestReport
  readonly again: IngestReport
  readonly alone: Alone
}

/**
 * Ingests a documentation site end to end on servers, an API and one worker each in a process of its own; the
 * engine alone embeds the very same texts; then the same files again.
 */
export async function benchPipeline(): Promise<Figure[]> {
  const files = await findFiles([shared('eval', 'corpus', 'apisix-docs', 'en')])
  const place = await openServers()
  const programs = [
    startProgram('apps/api/dist/main.js', place.env),
    startProgram('apps/worker/dist/main.js', place.env),
  ] as const
  const engine = openEngine({
    ...readSettings({ THREADS: process.env.THREADS }),
    log: openLog('error', 'bench'),
  })
  const db = openDb({ url: String(place.env.DATABASE_URL), kind: 'server' })
  try {
    const url = await programs[0].logged('the API listens', 'url')
    await programs[1].logged('the worker is up', 'slots')
    const client = openClient({ url, apiKey: undefined, language: 'en' })
    await warm(client)
    await engine.embed({ model: MODEL, texts: ['warm'], kind: 'document' })
    const parts: Part[] = []
    for (let part = 0; part < PARTS; part++) {
      const mine = files.filter((_, i) => i % PARTS === part)
      const domain = `part-${part}`
      await client.post('/v1/domains', { name: domain, model: MODEL }, z.unknown())
      const first = await ingestFiles(client, domain, mine, silent)
      const alone = await embedAlone(engine, db, domain)
      parts.push({ first, alone, again: await ingestFiles(client, domain, mine, silent) })
    }
    return report(parts)
  } finally {
    await engine.close()
    await db.close()
    await Promise.all(programs.map((program) => program.stop()))
    await place.remove()
  }
}

/** The models are loaded once before anything is timed. */
async function warm(client: Client): Promise<void> {
  await client.post('/v1/domains', { name: 'warm', model: MODEL }, z.unknown())
  const document = { id: 'warm', text: 'A text that warms the engine of the worker.' }
  const body = await client.post(
    '/v1/domains/warm/documents',
    { documents: [document] },
    z.object({ ingestion: z.string() }),
  )
  for await (const _now of client.follow(body.ingestion));
}

interface Alone {
  readonly texts: number
  readonly tokens: number
  readonly seconds: number
}

async function embedAlone(engine: Engine, db: Db, domain: string): Promise<Alone> {
  const rows = await db.query<{ text: string }>(
    `select distinct on (c.text_hash) c.context || c.text as text
     from millrace.chunks c
     join millrace.documents d on d.id = c.document_id
     join millrace.domains o on o.id = d.domain_id
     where o.name = $1`,
    [domain],
  )
  const started = performance.now()
  const texts = rows.map(({ text }) => text)
  const results = await engine.embed({ model: MODEL, texts, kind: 'document' })
  const seconds = (performance.now() - started) / 1_000
  const tokens = results.reduce((sum, result) => sum + ('error' in result ? 0 : result.tokens), 0)
  return { texts: rows.length, tokens, seconds }
}

function report(parts: readonly Part[]): Figure[] {
  const sum = (of: (part: Part) => number) => parts.reduce((total, part) => total + of(part), 0)
  const rate = (part: Part) => part.first.tokens.embedded / part.first.seconds
  const aloneRate = (part: Part) => part.alone.tokens / part.alone.seconds
  const ratios = parts.map((part) => rate(part) / aloneRate(part)).sort((a, b) => a - b)
  const first = sum((part) => part.first.seconds)
  const again = sum((part) => part.again.seconds)
  return [
    figure(
      'apisix-docs/en: documents ready',
      sum((part) => part.first.documents.ready),
      'documents',
    ),
    figure(
      'chunks embedded',
      sum((part) => part.first.chunks.embedded),
      'chunks',
    ),
    figure(
      'different texts',
      sum((part) => part.alone.texts),
      'texts',
      'as many',
    ),
    figure(
      'tokens embedded',
      sum((part) => part.first.tokens.embedded),
      'tokens',
    ),
    figure('end to end, one worker', sum(rate) / PARTS, 'tokens/s'),
    figure('engine alone, the same texts', sum(aloneRate) / PARTS, 'tokens/s'),
    figure('pipeline efficiency, median of parts', ratios[Math.floor(PARTS / 2)] ?? 0, 'x', '≥ 0.9'),
    figure('pipeline efficiency, least', ratios[0] ?? 0, 'x'),
    figure('pipeline efficiency, most', ratios.at(-1) ?? 0, 'x'),
    figure('first ingestion', first, 's'),
    figure('second ingestion', again, 's'),
    figure('first over second', first / again, 'x', '≥ 20'),
    figure(
      'embedded by the second',
      sum((part) => part.again.chunks.embedded),
      'chunks',
      '0',
    ),
  ]
}
