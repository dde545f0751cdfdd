#!/usr/bin/env node
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { CodedError } from '@millrace/errors'
import { findDomain, openLog, readSettings, runProgram } from '@millrace/flow'
import { countVectors } from '@millrace/store'
import { bar, type Client, type IngestReport, ingest, openClient, showHits } from 'millrace'
import { searchSchema } from 'millrace/client'
import { z } from 'zod'
import { type Standalone, startStandalone } from './standalone.js'

const SAMPLES = fileURLToPath(new URL('../../../samples/', import.meta.url))
const KNOWLEDGE = [
  { domain: 'support-en', model: 'all-minilm-l6-v2', language: 'en' },
  { domain: 'support-zh', model: 'bge-small-zh-v1.5', language: 'zh' },
] as const
/** Questions that are asked of each knowledge base. */
const ASKED = 3

const { values } = parseArgs({ options: { once: { type: 'boolean', default: false } } })
const say = (text: string) => process.stdout.write(`${text}\n`)

const client = (url: string, language: 'zh' | 'en'): Client =>
  openClient({ url, apiKey: undefined, language })

async function load(url: string): Promise<IngestReport[]> {
  const reports: IngestReport[] = []
  for (const { domain, model, language } of KNOWLEDGE) {
    const api = client(url, language)
    try {
      await api.post('/v1/domains', { name: domain, model }, z.unknown())
    } catch (error) {
      // There from the last time.
      if (!(error instanceof CodedError) || error.code !== 'DOMAIN_EXISTS') throw error
    }
    const progress = bar({ label: domain, always: process.stderr.isTTY !== true })
    reports.push(await ingest(api, domain, [`${SAMPLES}${domain}`], progress))
  }
  return reports
}

const questionsSchema = z.record(
  z.string(),
  z.array(z.object({ question: z.string(), document: z.string() })),
)

async function ask(url: string): Promise<number> {
  const file = await readFile(`${SAMPLES}questions.json`, 'utf8')
  const questions = questionsSchema.parse(JSON.parse(file))
  let searches = 0
  for (const { domain, language } of KNOWLEDGE) {
    for (const { question } of (questions[domain] ?? []).slice(0, ASKED)) {
      const found = await client(url, language).post(
        `/v1/domains/${domain}/search`,
        { query: question, k: 2 },
        searchSchema,
      )
      say(`\n? ${question}\n${showHits(question, found).trimEnd()}`)
      searches++
    }
  }
  return searches
}

async function count({ backends }: Standalone, reports: readonly IngestReport[]) {
  let vectors = 0
  for (const { domain } of KNOWLEDGE) {
    vectors += await countVectors(backends.db, (await findDomain(backends, domain)).generationId)
  }
  return {
    documents: reports.reduce((sum, { documents }) => sum + documents.ready, 0),
    chunks: reports.reduce((sum, { chunks }) => sum + chunks.total, 0),
    vectors,
  }
}

/** The command looks at port 8080 unless it is told. */
const cli = (url: string) => (new URL(url).port === '8080' ? '' : `MILLRACE_URL=${url} `)

const next = (url: string) => `
Millrace serves ${url} until you press Ctrl+C. Open it in a browser to compare, search, load and watch.
Or try, in another terminal:

  curl -s ${url}/v1/domains/support-en/search -H 'content-type: application/json' \\
    -H 'accept-language: en' -d '{"query": "my parcel never came", "k": 3}'

  curl -s ${url}/similarity -H 'content-type: application/json' \\
    -d '{"text_a": "我忘记密码了", "text_b": "怎么重新设置登录密码？"}'

  curl -s ${url}/v1/domains/support-en/documents -H 'content-type: application/json' \\
    -d '{"documents": [{"id": "hello", "title": "Opening hours", "text": "We answer from 9 to 5."}]}'

  ${cli(url)}npx millrace search "怎么退货" --domain support-zh
  ${cli(url)}npx millrace ingest docs --domain my-docs --create --model all-minilm-l6-v2

The whole API: ${url}/docs`

await runProgram(async () => {
  const started = performance.now()
  // Embedded whatever the environment says: this is the way to run that needs nothing.
  const {
    DATABASE_URL: _database,
    REDIS_URL: _redis,
    MILLRACE_API_KEYS: _keys,
    HOST: _host,
    ...env
  } = process.env
  const settings = readSettings({
    ...env,
    DATA_DIR: env.DATA_DIR ?? './data/demo',
    LOG_LEVEL: env.LOG_LEVEL ?? 'error',
    PORT: values.once ? '0' : (env.PORT ?? '8080'),
  })
  say(`Starting an embedded database in ${settings.dataDir}, a queue, a worker and the API…`)
  const running = await startStandalone(settings, openLog(settings.logLevel, 'demo'))
  try {
    const reports = await load(running.api.url)
    const searches = await ask(running.api.url)
    const totals = await count(running, reports)
    const seconds = Math.round((performance.now() - started) / 100) / 10
    say(
      `\n${totals.documents} documents, ${totals.chunks} chunks, ${totals.vectors} vectors, ` +
        `${searches} questions answered in ${seconds} s.`,
    )
    if (values.once) {
      await running.stop()
      say(JSON.stringify({ ...totals, searches, seconds }))
      process.exit(0)
    }
    say(next(running.api.url))
  } catch (error) {
    await running.stop()
    throw error
  }
  return () => running.stop()
})
