import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLog, readSettings } from '@millrace/flow'
import { startStandalone } from '@millrace/standalone'
import { openClient } from 'millrace'
import { searchSchema, submissionSchema } from 'millrace/client'
import { z } from 'zod'
import { type Figure, figure } from './figure.js'

const ROUNDS = 30

/** How long after its acceptance a short document is found, embedded, with nothing else going on. */
export async function benchReady(): Promise<Figure[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'millrace-bench-'))
  const settings = readSettings({ DATA_DIR: dataDir, PORT: '0', LOG_LEVEL: 'error' })
  const running = await startStandalone(settings, openLog('error', 'bench'))
  const client = openClient({ url: running.api.url, apiKey: undefined, language: 'en' })
  try {
    await client.post('/v1/domains', { name: 'ready', model: 'all-minilm-l6-v2' }, z.unknown())
    const took: number[] = []
    // The first one waits for the model; it is not counted.
    for (let round = 0; round <= ROUNDS; round++) {
      const id = `document-${round}`
      const text = `A short document, number ${round}, about opening hours and parcels.`
      await client.post('/v1/domains/ready/documents', { documents: [{ id, text }] }, submissionSchema)
      const accepted = performance.now()
      const body = { query: text, k: 1, filter: { 'document.id': id } }
      while ((await client.post('/v1/domains/ready/search', body, searchSchema)).hits.length === 0);
      if (round > 0) took.push(performance.now() - accepted)
    }
    took.sort((a, b) => a - b)
    const at = (share: number) => took[Math.min(took.length - 1, Math.floor(share * took.length))] ?? 0
    return [
      figure('accepted to found, embedded, median', at(0.5), 'ms', '≤ 1,000'),
      figure('accepted to found, embedded, longest', at(1), 'ms', '≤ 1,000'),
    ]
  } finally {
    await running.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}
