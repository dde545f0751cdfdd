import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { startApi as startApiHere } from '@millrace/api'
import { openEngine } from '@millrace/embed'
import { openBackends, openLog, readSettings } from '@millrace/flow'
import { type Db, openDb } from '@millrace/store'
import { Redis } from 'ioredis'
import { openClient } from 'millrace'
import { ingestionSchema, searchSchema, submissionSchema } from 'millrace/client'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { backends, type Place, servers } from './support/backends.js'
import { type Program, startProgram } from './support/processes.js'
import { TEST_ENV, until } from './support/world.js'

/** Processes that start and die one after another; a machine that is shared with others takes its time. */
const PATIENT = { timeout: 180_000 }

const API = 'apps/api/dist/main.js'
const WORKER = 'apps/worker/dist/main.js'
const STANDALONE = 'apps/standalone/dist/main.js'

/** Enough work that a kill hits the middle of it: different texts, several chunks each. */
const WORK = Array.from({ length: 24 }, (_, i) => ({
  id: `doc-${i}`,
  text: Array.from(
    { length: 40 },
    (_, j) => `Sentence ${j} of document ${i} speaks of topic ${(i * 31 + j * 7) % 97}.`,
  ).join(' '),
}))

/** Half a dozen leases of that work. */
const SMALL_LEASES = { LEASE_TOKENS: '2048' }

const programs: Program[] = []
let place: Place
const start = (path: string, env = {}) => {
  const program = startProgram(path, { ...SMALL_LEASES, ...place.env, ...env })
  programs.push(program)
  return program
}
const startApi = async (path: string) => {
  const program = start(path)
  const { url } = await program.logged('the API listens')
  return { program, client: clientOf(String(url)) }
}
const clientOf = (url: string) => openClient({ url, apiKey: undefined, language: 'en' })
type ApiClient = ReturnType<typeof clientOf>

const log = openLog('silent', 'test')
const engine = openEngine({ ...readSettings(TEST_ENV), log })
afterAll(() => engine.close())
const closers: (() => Promise<void>)[] = []
/** The API in this process, for what is about workers: it starts in a fraction of the time. */
const openApi = async (): Promise<ApiClient> => {
  const settings = readSettings({ ...TEST_ENV, ...SMALL_LEASES, ...place.env })
  const backends = await openBackends(settings, log)
  const api = await startApiHere({ backends, engine, log }, settings)
  closers.push(async () => {
    await api.close()
    await backends.close()
  })
  return clientOf(api.url)
}

const submitWork = async (client: ApiClient) => {
  await client.post('/v1/domains', { name: 'crash', chunking: { size: 64 } }, z.unknown())
  return (await client.post('/v1/domains/crash/documents', { documents: WORK }, submissionSchema)).ingestion
}
const look = (client: ApiClient, ingestion: string) =>
  client.get(`/v1/ingestions/${ingestion}`, ingestionSchema)
/** The first texts are embedded, and most are not. */
const begun = (client: ApiClient, ingestion: string) =>
  until(async () => ((await look(client, ingestion)).chunks.embedded > 0 ? true : undefined), 150_000)
const ended = (client: ApiClient, ingestion: string) =>
  until(async () => {
    const now = await look(client, ingestion).catch(() => undefined)
    return now === undefined || now.state === 'running' ? undefined : now
  }, 150_000)

afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.kill('SIGKILL')))
  await Promise.all(closers.splice(0).map((close) => close()))
  await place.remove()
})

/** Each text embedded once: as many vectors as different texts, as many counted as vectors, nothing left over. */
async function expectExactlyOnce(db: Db): Promise<void> {
  const [found] = await db.query(`select
    (select count(distinct text_hash)::int from millrace.chunks) as texts,
    (select count(*)::int from millrace.vectors_1) as vectors,
    (select sum(chunks_embedded)::int from millrace.ingestions) as counted,
    (select count(*)::int from millrace.pending) as pending,
    (select count(*)::int from millrace.leases) as leases,
    (select count(*)::int from millrace.published) as published`)
  const texts = (found as { texts: number }).texts
  expect(texts).toBeGreaterThan(WORK.length)
  expect(found).toEqual({
    texts,
    vectors: texts,
    counted: texts,
    pending: 0,
    leases: 0,
    published: WORK.length,
  })
}

const servers_ = servers()
if (servers_ !== undefined) {
  describe('crashes, Postgres and Redis', PATIENT, () => {
    let db: Db
    beforeEach(async () => {
      place = await servers_.open()
      db = openDb({ url: String(place.env.DATABASE_URL), kind: 'server' })
      return () => db.close()
    })

    test('a document committed but never enqueued, since the API was killed, is embedded all the same', async () => {
      const client = await openApi()
      start(WORKER)
      await client.post('/v1/domains', { name: 'crash' }, z.unknown())
      const dying = startProgram('test/support/submit-and-die.mjs', place.env)
      expect(await dying.ended).toBe('SIGKILL')
      const done = await ended(client, '1')
      expect(done).toMatchObject({ state: 'finished', documents: { total: 1, ready: 1 } })
    })

    test('a worker killed in mid-batch: another one finishes, and each text is embedded once', async () => {
      const client = await openApi()
      const victim = start(WORKER)
      const ingestion = await submitWork(client)
      await begun(client, ingestion)
      await victim.kill('SIGKILL')
      const half = await look(client, ingestion)
      expect(half.state).toBe('running')
      expect(half.chunks.embedded).toBeLessThan(half.chunks.total)
      start(WORKER)
      expect(await ended(client, ingestion)).toMatchObject({ documents: { ready: WORK.length, failed: 0 } })
      await expectExactlyOnce(db)
    })

    test('a worker killed while it builds a generation: another finishes, with one lease embedded again at most', async () => {
      const { client } = await startApi(API)
      const victim = start(WORKER, { WORKER_SLOTS: '1' })
      await ended(client, await submitWork(client))
      await client.post('/v1/domains/crash/generations', { chunking: { size: 48 } }, z.unknown())
      const row = async () => {
        const [found] = await db.query<{ id: number; embedded: number; copied: number; built: boolean }>(
          `select id, texts_embedded as embedded, texts_copied as copied, built_at is not null as built
           from millrace.generations where state = 'building'`,
        )
        return found
      }
      await until(async () => (((await row())?.embedded ?? 0) > 0 ? true : undefined))
      await victim.kill('SIGKILL')
      const [begun] = await db.query<{ leases: number; texts: number }>(
        `select (count(distinct lease_id) filter (where attempts > 0))::int as leases, count(*)::int as texts
         from millrace.pending`,
      )
      expect(begun?.texts).toBeGreaterThan(0)
      expect(begun?.leases).toBeLessThanOrEqual(1)
      start(WORKER, { WORKER_SLOTS: '1' })
      const built = await until(async () => {
        const now = await row()
        return now?.built ? now : undefined
      }, 150_000)
      const [found] = await db.query<{ texts: number; vectors: number; pending: number; published: number }>(
        `select (select count(distinct text_hash)::int from millrace.chunks where generation_id = $1) as texts,
           (select count(*)::int from millrace.vectors_${built.id}) as vectors,
           (select count(*)::int from millrace.pending) as pending,
           (select count(*)::int from millrace.published where generation_id = $1) as published`,
        [built.id],
      )
      const texts = built.embedded + built.copied
      expect(found).toEqual({ texts, vectors: texts, pending: 0, published: WORK.length })
    })

    test('Redis loses everything in the middle: the rows know, the sweep puts the jobs back', async () => {
      const client = await openApi()
      start(WORKER)
      const ingestion = await submitWork(client)
      await begun(client, ingestion)
      const redis = new Redis(String(place.env.REDIS_URL))
      // FLUSHALL, of our own keys: other tests share this Redis.
      const keys = await redis.keys(`${place.env.QUEUE_PREFIX}:*`)
      expect(keys.length).toBeGreaterThan(0)
      await redis.del(...keys)
      await redis.quit()
      expect(await ended(client, ingestion)).toMatchObject({ documents: { ready: WORK.length, failed: 0 } })
      await expectExactlyOnce(db)
    })

    test('lost database connections, all of them and again and again, end no process and lose no work', async () => {
      const { client, program } = await startApi(API)
      const worker = start(WORKER)
      // A start that finds no database says so and ends, as it should; this is about what is lost later.
      await worker.logged('the worker is up')
      const ingestion = await submitWork(client)
      for (let round = 0; round < 6; round++) {
        await sleep(200)
        await db.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid()`,
        )
      }
      expect(await ended(client, ingestion)).toMatchObject({ documents: { ready: WORK.length, failed: 0 } })
      expect([program.process.exitCode, worker.process.exitCode]).toEqual([null, null])
      await expectExactlyOnce(db)
    })

    test('SIGTERM lets a worker finish what it holds; the rest waits for the next one', async () => {
      const client = await openApi()
      const first = start(WORKER)
      const ingestion = await submitWork(client)
      await begun(client, ingestion)
      await first.kill('SIGTERM')
      expect(await first.ended).toBe(0)
      start(WORKER)
      expect(await ended(client, ingestion)).toMatchObject({ documents: { ready: WORK.length } })
      await expectExactlyOnce(db)
    })
  })
}

describe('crashes, embedded', PATIENT, () => {
  beforeEach(async () => {
    const embedded = backends()[0]
    if (embedded === undefined) throw new Error('There is always an embedded backend')
    place = await embedded.open()
  })

  test('killed with -9 in the middle of an ingestion, the next start goes on and loses nothing', async () => {
    const first = await startApi(STANDALONE)
    const ingestion = await submitWork(first.client)
    await begun(first.client, ingestion)
    await first.program.kill('SIGKILL')
    const second = await startApi(STANDALONE)
    expect(await ended(second.client, ingestion)).toMatchObject({
      documents: { ready: WORK.length, failed: 0 },
    })
    const found = await second.client.post(
      '/v1/domains/crash/search',
      { query: 'Sentence 3 of document 7', k: 3 },
      searchSchema,
    )
    expect(found.hits).toHaveLength(3)
  })

  test('the database killed with -9 in the middle of an ingestion: it is brought back, and the work goes on', async () => {
    const { client, program } = await startApi(STANDALONE)
    const ingestion = await submitWork(client)
    await begun(client, ingestion)
    const lock = await readFile(`${place.env.DATA_DIR}/millrace.lock`, 'utf8')
    process.kill((JSON.parse(lock) as { child: { pid: number } }).child.pid, 'SIGKILL')
    expect(await ended(client, ingestion)).toMatchObject({ documents: { ready: WORK.length, failed: 0 } })
    expect(program.process.exitCode).toBeNull()
  })

  test('a second process on the same folder is refused, with the pid of the first', async () => {
    const first = await startApi(STANDALONE)
    const second = start(STANDALONE)
    expect(await second.ended).toBe(1)
    expect(second.lines.join('\n')).toContain(String(first.program.process.pid))
  })
})
