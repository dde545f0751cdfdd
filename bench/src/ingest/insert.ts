import { readFileSync } from 'node:fs'
import { type Figure, figure } from '../figure.js'
import { openServers, shared } from '../place.js'
import { startProgram } from '../program.js'
import { ended, sendLines } from './send.js'

const MODEL = 'all-minilm-l6-v2'
const KINDS = ['structure', 'markdown', 'sentence', 'parent', 'document', 'fixed'] as const
const INSERTED = 'A sentence of ordinary length was written here by somebody who came later. '
const PLACES = ['start', 'middle', 'end'] as const

/** A text with a sentence more at its start, or where a paragraph or sentence ends near its middle, or at its end. */
function inserted(text: string, place: (typeof PLACES)[number]): string {
  if (place === 'start') return INSERTED + text
  if (place === 'end') return `${text.trimEnd()} ${INSERTED}\n`
  const at = text.indexOf('. ', text.length / 2) + 2
  return text.slice(0, at) + INSERTED + text.slice(at)
}

/** A long page of documentation, prose and code and tables. */
const page = () => readFileSync(shared('eval', 'corpus', 'apisix-docs', 'en', 'admin-api.md'), 'utf8')

/** One sentence inserted into a long document, through the whole pipeline: chunks that the model had to compute. */
export async function benchInsert(): Promise<Figure[]> {
  const place = await openServers()
  const env = { ...place.env, THREADS: '1' }
  const programs = [
    startProgram('apps/api/dist/main.js', env),
    startProgram('bench/dist/ingest/null-worker.js', env),
  ] as const
  try {
    const url = await programs[0].logged('the API listens', 'url')
    await programs[1].logged('the worker is up', 'slots')
    const text = page()
    const figures: Figure[] = []
    for (const kind of KINDS) {
      await fetch(`${url}/v1/domains`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: kind, model: MODEL, chunking: { kind } }),
      })
      const submit = async (version: string) => {
        const { ingestion } = await sendLines(`${url}/v1/domains/${kind}/documents`, [
          { id: 'page', title: 'A page', text: version },
        ])
        return ended(url, ingestion)
      }
      const changes: number[] = []
      let chunks = 0
      for (const where of PLACES) {
        chunks = (await submit(text)).chunks.total
        changes.push((await submit(inserted(text, where))).chunks.embedded)
      }
      figures.push(
        figure(
          `${kind}, ${chunks} chunks: embedded after an insertion at start, middle, end`,
          changes.join(', '),
          'chunks',
          kind === 'fixed' ? 'no aim' : '≤ 3 each',
        ),
      )
    }
    return figures
  } finally {
    await Promise.all(programs.map((program) => program.stop()))
    await place.remove()
  }
}
