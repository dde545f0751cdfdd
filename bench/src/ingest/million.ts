import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Figure, figure } from '../figure.js'
import { openServers } from '../place.js'
import { startProgram } from '../program.js'
import { sendLines } from './send.js'

const MODEL = 'all-minilm-l6-v2'
const COUNT = Number(process.env.DOCUMENTS ?? 1_000_000)
/** How long the worker is watched after the last document was accepted. */
const AFTER_MS = 20_000

const SUBJECTS = [
  'invoice',
  'parcel',
  'password',
  'garden',
  'engine',
  'recipe',
  'contract',
  'weather',
  'museum',
  'bicycle',
]

function* documents(): Generator<object> {
  for (let i = 0; i < COUNT; i++) {
    yield {
      id: `note-${i}`,
      title: `Note ${i}`,
      text: `Note ${i} is about a ${SUBJECTS[i % SUBJECTS.length]} and what became of it on day ${i % 366}.`,
      metadata: { series: i % 100 },
    }
  }
}

/** Resident bytes of a process. */
const resident = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024

/**
 * A stream of a million small documents through the API, with a worker at work whose model does nothing: how fast they
 * are accepted, and how much memory it takes above what both have once they have done a little.
 */
export async function benchMillion(): Promise<Figure[]> {
  const place = await openServers()
  const env = { ...place.env, THREADS: '1' }
  const api = startProgram('apps/api/dist/main.js', env)
  const worker = startProgram('bench/dist/ingest/null-worker.js', env)
  const peak = { api: 0, worker: 0 }
  const watch = setInterval(() => {
    peak.api = Math.max(peak.api, resident(api.pid))
    peak.worker = Math.max(peak.worker, resident(worker.pid))
  }, 100)
  try {
    const url = await api.logged('the API listens', 'url')
    await worker.logged('the worker is up', 'slots')
    const created = await fetch(`${url}/v1/domains`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'million', model: MODEL }),
    })
    if (!created.ok) throw new Error(await created.text())
    // The API's own models are loaded by then.
    await sleep(3_000)
    const idle = { api: resident(api.pid), worker: resident(worker.pid) }
    const started = performance.now()
    const { accepted } = await sendLines(`${url}/v1/domains/million/documents`, documents())
    const seconds = (performance.now() - started) / 1_000
    await sleep(AFTER_MS)
    const megabytes = (bytes: number) => bytes / 1e6
    return [
      figure('documents as one stream of NDJSON', accepted, 'documents'),
      figure('accepted', accepted / seconds, 'documents/s'),
      figure('API: peak memory above idle', megabytes(peak.api - idle.api), 'MB', '≤ 150'),
      figure('worker: peak memory above idle', megabytes(peak.worker - idle.worker), 'MB', '≤ 150'),
      figure('API: idle', megabytes(idle.api), 'MB'),
      figure('worker: idle', megabytes(idle.worker), 'MB'),
    ]
  } finally {
    clearInterval(watch)
    await Promise.all([api.stop(), worker.stop()])
    await place.remove()
  }
}
