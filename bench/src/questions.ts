import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLog, readSettings } from '@millrace/flow'
import { startStandalone } from '@millrace/standalone'
import { type Client, ingest, openClient, silent } from 'millrace'
import { searchSchema } from 'millrace/client'
import { z } from 'zod'
import { type Figure, figure } from './figure.js'
import { ROOT, shared } from './place.js'

const EN = 'all-minilm-l6-v2'
const ZH = 'bge-small-zh-v1.5'
const sampleQuestions = z.record(
  z.string(),
  z.array(z.object({ question: z.string(), document: z.string() })),
)
const siteQuestions = z.array(z.object({ question: z.string(), documents: z.array(z.string()) }))

interface Question {
  readonly question: string
  readonly documents: readonly string[]
}

/** Our own questions to the samples, embedded: how often the right document comes first. */
export const benchSamples = (): Promise<Figure[]> =>
  embedded(async (client) => {
    const samples = sampleQuestions.parse(JSON.parse(await readFile(`${ROOT}samples/questions.json`, 'utf8')))
    const figures: Figure[] = []
    for (const [domain, model] of [
      ['support-en', EN],
      ['support-zh', ZH],
    ] as const) {
      await load(client, domain, model, `${ROOT}samples/${domain}`)
      const questions = (samples[domain] ?? []).map(({ question, document }) => ({
        question,
        documents: [document],
      }))
      const right = await countRight(client, domain, questions, 1)
      figures.push(figure(`${domain}: right document first`, right, `of ${questions.length}`, '≥ 18'))
    }
    return figures
  })

/** Our own questions to a documentation site, embedded: how often the right page is in the top 3. */
export const benchSite = (): Promise<Figure[]> =>
  embedded(async (client) => {
    const figures: Figure[] = []
    for (const [language, model] of [
      ['en', EN],
      ['zh', ZH],
    ] as const) {
      const domain = `apisix-${language}`
      await load(client, domain, model, shared('eval', 'corpus', 'apisix-docs', language))
      const file = await readFile(`${ROOT}bench/questions/${domain}.json`, 'utf8')
      const questions = siteQuestions.parse(JSON.parse(file))
      const right = await countRight(client, domain, questions, 3)
      figures.push(figure(`${domain}: right page in the top 3`, right, `of ${questions.length}`, '≥ 9'))
    }
    return figures
  })

async function embedded(work: (client: Client) => Promise<Figure[]>): Promise<Figure[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'millrace-bench-'))
  const settings = readSettings({ DATA_DIR: dataDir, PORT: '0', LOG_LEVEL: 'error' })
  const running = await startStandalone(settings, openLog('error', 'bench'))
  try {
    return await work(openClient({ url: running.api.url, apiKey: undefined, language: 'en' }))
  } finally {
    await running.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function load(client: Client, domain: string, model: string, folder: string): Promise<void> {
  await client.post('/v1/domains', { name: domain, model }, z.unknown())
  await ingest(client, domain, [folder], silent)
}

async function countRight(
  client: Client,
  domain: string,
  questions: readonly Question[],
  top: number,
): Promise<number> {
  let right = 0
  for (const { question, documents } of questions) {
    const { hits } = await client.post(
      `/v1/domains/${domain}/search`,
      { query: question, k: 30 },
      searchSchema,
    )
    const pages = [...new Set(hits.map((hit) => hit.documentId))].slice(0, top)
    if (pages.some((page) => documents.includes(page))) right++
    else
      process.stderr.write(`missed: ${question}: ${pages.join(', ')} instead of ${documents.join(' or ')}\n`)
  }
  return right
}
