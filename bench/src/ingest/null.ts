import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { migrate, openDb, type VectorRow } from '@millrace/store'
import { binaryRows, bytea, column, vector } from '@millrace/store/copy'
import { createVectors, insertVectors } from '@millrace/store/vectors'
import { from as copyFrom } from 'pg-copy-streams'
import { type Figure, figure } from '../figure.js'
import { openServers } from '../place.js'
import { startProgram } from '../program.js'
import { ended, sendLines } from './send.js'

const MODEL = 'all-minilm-l6-v2'
const CHUNKS_A_DOCUMENT = 20
/** Chunks of one paragraph each. */
const CHUNK_SIZE = 56

const WORDS =
  'door house green water paper north table stone river glass light field music plant horse cloud bread metal chair north'.split(
    ' ',
  )

/** A paragraph of about 50 tokens that no other document has. */
function paragraph(document: number, index: number): string {
  const at = document * CHUNKS_A_DOCUMENT + index
  const words = Array.from(
    { length: 40 },
    (_, i) => WORDS[(at * 7 + i * i * 13 + (at % 97) * i) % WORDS.length],
  )
  return `${words.join(' ')} ${at}.`
}

const documents = function* (count: number) {
  for (let i = 0; i < count; i++) {
    yield {
      id: `d${i}`,
      text: Array.from({ length: CHUNKS_A_DOCUMENT }, (_, j) => paragraph(i, j)).join('\n\n'),
    }
  }
}

interface Run {
  readonly seconds: number
  readonly documents: number
  readonly chunks: number
  readonly tokens: number
}

/** A submission of so many documents through API, queue and `workers` workers whose model does nothing, to its end. */
async function run(
  workers: number,
  count: number,
  sleepMs: number,
  outputs: readonly string[] = ['dense', 'sparse'],
): Promise<Run> {
  const place = await openServers()
  const env = { ...place.env, THREADS: '1', NULL_SLEEP_MS: String(sleepMs) }
  const programs = [
    startProgram('apps/api/dist/main.js', env),
    ...Array.from({ length: workers }, () => startProgram('bench/dist/ingest/null-worker.js', env)),
  ]
  try {
    const [url] = await Promise.all([
      programs[0]?.logged('the API listens', 'url') ?? '',
      ...programs.slice(1).map((program) => program.logged('the worker is up', 'slots')),
    ])
    await post(`${url}/v1/domains`, {
      name: 'null',
      model: MODEL,
      chunking: { size: CHUNK_SIZE, context: 'none' },
      outputs,
    })
    const path = `${url}/v1/domains/null/documents`
    // Tokenizers and connections are there before anything is timed.
    await ended(url, (await sendLines(path, documents(5))).ingestion)
    const started = performance.now()
    const { ingestion } = await sendLines(path, skip(documents(count + 5), 5))
    const done = await ended(url, ingestion)
    return {
      seconds: (performance.now() - started) / 1_000,
      documents: done.documents.ready,
      chunks: done.chunks.embedded,
      tokens: done.tokens.embedded,
    }
  } finally {
    await Promise.all(programs.map((program) => program.stop()))
    await place.remove()
  }
}

function* skip<T>(items: Iterable<T>, count: number): Generator<T> {
  let index = 0
  for (const item of items) if (index++ >= count) yield item
}

async function post(url: string, body: object): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${url}: ${await response.text()}`)
}

/** What the pipeline itself costs: everything but the model. */
export async function benchNull(): Promise<Figure[]> {
  const fast = await run(1, 3_000, 0)
  const dense = await run(1, 3_000, 0, ['dense'])
  const sleeping: Run[] = []
  for (const workers of [1, 2, 4]) sleeping.push(await run(workers, 500, 50))
  const rate = (of: Run | undefined) => (of === undefined ? 0 : of.chunks / of.seconds)
  const [one, two, four] = sleeping
  return [
    figure('null model, one worker', rate(fast), 'chunks/s', '≥ 3,000'),
    figure('the same without terms of the texts', rate(dense), 'chunks/s'),
    figure('null model, one worker', fast.documents / fast.seconds, 'documents/s'),
    figure('tokens a chunk', fast.tokens / fast.chunks, 'tokens', 'about 50'),
    figure('null model that sleeps 50 ms a batch of 16, one worker', rate(one), 'chunks/s', '≤ 320'),
    figure('two workers over one', rate(two) / rate(one), 'x', '≥ 1.9'),
    figure('four workers over one', rate(four) / rate(one), 'x', '≥ 3.5'),
    ...(await copies()),
  ]
}

const DIMS = 384
const FORM = { storage: 'full', dims: DIMS } as const
const ROWS = 50_000
const ROWS_A_LEASE = 512

/** How the vectors of leases are written, over one bare COPY of the same rows, in turns. */
async function copies(): Promise<Figure[]> {
  const place = await openServers()
  const db = openDb({ url: String(place.env.DATABASE_URL), kind: 'server' })
  try {
    await migrate(db)
    const rows: VectorRow[] = Array.from({ length: ROWS }, () => ({
      hash: randomBytes(32),
      vector: Float32Array.from({ length: DIMS }, () => Math.random() - 0.5),
    }))
    const ready = [
      ...binaryRows(rows, [
        column('text_hash', bytea, (row: VectorRow) => row.hash),
        column('embedding', vector, (row: VectorRow) => row.vector),
      ]),
    ]
    const ours: number[] = []
    const bare: number[] = []
    for (let round = 1; round <= 5; round++) {
      const [a, b] = [2 * round, 2 * round + 1]
      await db.transact(async (tx) => {
        await createVectors(tx, a, FORM)
        await createVectors(tx, b, FORM)
      })
      let started = performance.now()
      for (let from = 0; from < ROWS; from += ROWS_A_LEASE) {
        await db.transact((tx) => insertVectors(tx, a, FORM, rows.slice(from, from + ROWS_A_LEASE)), {
          durable: false,
        })
      }
      ours.push(performance.now() - started)
      started = performance.now()
      await db.transact(async (tx) => {
        const into = tx.client.query(
          copyFrom(`copy millrace.vectors_${b} (text_hash, embedding) from stdin with (format binary)`),
        )
        await pipeline(Readable.from(ready), into)
      })
      bare.push(performance.now() - started)
    }
    const best = (times: readonly number[]) => (ROWS * 1_000) / Math.min(...times)
    return [
      figure('vectors of leases of 512 by COPY', best(ours), 'rows/s'),
      figure('one bare COPY of the same rows', best(bare), 'rows/s'),
      figure('our COPY path over a bare COPY', best(ours) / best(bare), 'x', '≥ 0.8'),
    ]
  } finally {
    await db.close()
    await place.remove()
  }
}
