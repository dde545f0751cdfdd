import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { servers } from './support/backends.js'
import { ROOT } from './support/processes.js'
import { openWorld, until, type World } from './support/world.js'

// A domain's life: a model, a nightly schedule, a model that is worse and is refused, one that is better, the switch,
// the way back and the switch again, while somebody searches all the time.

const DOCS = join(process.env.MILLRACE_SHARED ?? join(ROOT, '../shared'), 'eval/corpus/apisix-docs/en')
/** Of each page, so many characters: the model has to read all of them four times. */
const CHARACTERS = 700
/** Between two searches: a person reads. */
const PAUSE_MS = 50
const DOMAIN = '/v1/domains/site'
const GENERATIONS = `${DOMAIN}/generations`

vi.setConfig({ testTimeout: 240_000 })

const backend = servers()
const isThere = existsSync(DOCS)
if (!isThere) {
  const message = `did not run: the story of generations (no ${DOCS}; MILLRACE_SHARED names the folder)`
  if (process.env.CI === 'true') throw new Error(message)
  console.log(message)
}

interface Question {
  readonly question: string
  readonly documents: readonly string[]
}

describe.runIf(backend !== undefined && isThere)('a domain of 196 documents and its generations', () => {
  let world: World
  let searching: Searching
  /** Of the schedules: by it nights pass. */
  let clock = new Date('2026-03-01T12:00:00Z')
  beforeAll(async () => {
    if (backend !== undefined)
      world = await openWorld(backend, { LEASE_TOKENS: '16384', OWNED_SECONDS: '30' }, () => clock)
  })
  afterAll(async () => {
    await searching?.stop()
    await world?.close()
  })

  const call = async (method: string, path: string, body?: object, status = 200) => {
    const answer = await world.call(method, path, body)
    expect(answer.status, JSON.stringify(answer.body)).toBe(status)
    return answer.body
  }
  const complete = (id: unknown) =>
    until(async () => {
      const now = await call('GET', `${GENERATIONS}/${id}`)
      expect(now.error).toBeNull()
      return now.phase === 'complete' ? now : undefined
    }, 200_000)
  const live = async () =>
    (await call('GET', DOMAIN)) as unknown as { model: string; generation: { id: string } }

  test('goes from model to model without an error', async () => {
    // A model, and pages that are cut too small.
    const chunking = { kind: 'fixed', size: 32, overlap: 0, context: 'none' }
    await call(
      'POST',
      '/v1/domains',
      { name: 'site', model: 'all-minilm-l6-v2', threshold: 0.2, chunking },
      201,
    )
    const documents = await readPages()
    expect(documents).toHaveLength(196)
    const { ingestion } = await call('POST', `${DOMAIN}/documents`, { documents }, 202)
    expect(await world.finished(String(ingestion))).toMatchObject({ documents: { ready: 196, failed: 0 } })
    const first = await live()
    const questions = JSON.parse(
      await readFile(`${ROOT}bench/questions/apisix-en.json`, 'utf8'),
    ) as Question[]
    const golden = questions.map(({ question, documents }) => ({ question, documentIds: documents }))
    await call('POST', `${DOMAIN}/golden`, { questions: golden }, 200)
    searching = startSearching(world, questions)

    // Every night what is stale is embedded again; this night nothing is, and the next one a page has come.
    const action = { kind: 'reembed', switch: 'built' }
    const when = { cron: '0 2 * * *', timeZone: 'Asia/Shanghai' }
    const nightly = await call(
      'POST',
      '/v1/schedules',
      { name: 'nightly', domain: 'site', action, ...when },
      201,
    )
    expect(nightly).toMatchObject({ nextAt: '2026-03-01T18:00:00.000Z', last: null })
    const night = async (time: string) => {
      clock = new Date(time)
      return until(async () => {
        const { last, nextAt } = await call('GET', '/v1/schedules/nightly')
        const run = last as { dueAt: string; outcome: string | null } | null
        return run !== null && run.outcome !== null && nextAt !== clock.toISOString() ? run : undefined
      })
    }
    expect(await night('2026-03-01T18:00:01Z')).toMatchObject({
      dueAt: '2026-03-01T18:00:00.000Z',
      outcome: 'done',
    })

    // A model that is worse here: it reads Chinese.
    const worse = await call('POST', GENERATIONS, { model: 'bge-small-zh-v1.5' }, 201)
    await complete(worse.id)
    const refused = await call('POST', `${GENERATIONS}/${worse.id}/switch`, {}, 409)
    expect(refused.error).toMatchObject({ code: 'GATE_FAILED' })
    expect(await live()).toMatchObject({ model: 'all-minilm-l6-v2', generation: first.generation })
    await call('POST', `${GENERATIONS}/${worse.id}/cancel`, {})

    // The way it is cut is what was to be mended.
    const better = await call(
      'POST',
      GENERATIONS,
      { chunking: { kind: 'structure' }, thresholds: 'carry' },
      201,
    )
    expect(await complete(better.id)).toMatchObject({ documents: { total: 196, ready: 196, failed: 0 } })
    await call('POST', `${GENERATIONS}/${better.id}/switch`, {})
    expect(await live()).toMatchObject({ generation: { id: better.id } })
    await sleep(300)
    await call('POST', `${GENERATIONS}/rollback`, {})
    expect(await live()).toMatchObject({ generation: first.generation })
    await sleep(300)
    await call('POST', `${GENERATIONS}/${better.id}/switch`, {})
    expect(await live()).toMatchObject({ generation: { id: better.id } })
    await sleep(300)

    const { searches, problems } = await searching.stop()
    expect(problems).toEqual([])
    expect(searches).toBeGreaterThan(50)
  })
})

interface Searching {
  stop(): Promise<{ readonly searches: number; readonly problems: readonly string[] }>
}

/** Searches one after the other until it is stopped; what was no answer, or no hits, is a problem. */
function startSearching(world: World, questions: readonly Question[]): Searching {
  const problems: string[] = []
  let searches = 0
  let stopped = false
  const run = async () => {
    while (!stopped) {
      const { question } = questions[searches % questions.length] ?? { question: '' }
      const answer = await world.call('POST', `${DOMAIN}/search`, { query: question, threshold: null })
      const { hits } = answer.body as { hits?: readonly unknown[] }
      if (answer.status !== 200 || hits?.length !== 10)
        problems.push(`${answer.status} ${JSON.stringify(answer.body)}`)
      searches++
      await sleep(PAUSE_MS)
    }
  }
  const running = run()
  return {
    stop: async () => {
      stopped = true
      await running
      return { searches, problems }
    },
  }
}

/** The beginning of each page of the site, without the licence above it. */
async function readPages(): Promise<{ readonly id: string; readonly text: string }[]> {
  const files = (await readdir(DOCS, { recursive: true })).filter((file) => file.endsWith('.md')).sort()
  return Promise.all(
    files.map(async (id) => {
      const text = await readFile(join(DOCS, id), 'utf8')
      return { id, text: text.replace(/<!--[\s\S]*?-->/g, '').slice(0, CHARACTERS) }
    }),
  )
}
