import { setTimeout as sleep } from 'node:timers/promises'
import { type Engine, openEngine } from '@millrace/embed'
import {
  type Backends,
  createDomain,
  type Domain,
  getStatus,
  type Handlers,
  openBackends,
  openLog,
  openPreparer,
  openReading,
  prepareRange,
  readSettings,
  submitDocuments,
} from '@millrace/flow'
import { type DocumentRange, reportWorker } from '@millrace/store'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { backends, type Place } from './support/backends.js'
import { TEST_ENV, until } from './support/world.js'

const MODEL = 'all-minilm-l6-v2'
const IDLE = { waiting: 0, active: 0, delayed: 0, failed: 0, oldestSeconds: null }

for (const backend of backends()) {
  describe(`the status, ${backend.name}`, () => {
    const log = openLog('silent', 'test')
    const preparer = openPreparer(log)
    const reading = openReading(readSettings({}), log)
    let place: Place
    let running: Backends
    let engine: Engine
    const settings = () => readSettings({ ...TEST_ENV, ...place.env })
    const status = () => getStatus({ ...running, engine })
    beforeAll(async () => {
      place = await backend.open()
      running = await openBackends(settings(), log)
      engine = openEngine({ ...settings(), log })
    })
    afterAll(async () => {
      await preparer.close()
      await reading.close()
      await engine.close()
      await running.close()
      await place.remove()
    })

    test('of what has nothing to do is empty, and each of its parts is there', async () => {
      expect(await status()).toEqual({
        workers: [],
        backlog: { documents: 0, texts: 0, leases: 0, tokens: 0, minutes: 0, oldestSeconds: null },
        queues: [
          { name: 'prepare', ...IDLE },
          { name: 'embed', ...IDLE },
        ],
        models: engine.models().map(({ id }) => ({ id, state: 'absent', memoryBytes: null })),
        memory: { rssBytes: expect.any(Number) },
        failed: [],
        alarms: [],
        running: 0,
        ingestions: [],
        domains: [],
      })
    })

    test('has the jobs of each queue, and how long the oldest has waited although younger ones go before it', async () => {
      const { queues } = running
      const range = (from: number): DocumentRange => ({ ingestionId: 1, from, to: from })
      await queues.addPrepare([range(1), range(2)])
      await queues.addEmbed([{ id: 1, generationId: 1 }])
      await sleep(1_100)
      await queues.addPrepare([range(3)], 0)
      await queues.addEmbed([{ id: 2, generationId: 1 }])
      const [prepare, embed] = (await status()).queues
      expect(prepare).toMatchObject({ name: 'prepare', waiting: 3, active: 0 })
      expect(embed).toMatchObject({ name: 'embed', waiting: 2, active: 0 })
      expect(prepare?.oldestSeconds).toBeGreaterThanOrEqual(1)
      expect(embed?.oldestSeconds).toBeGreaterThanOrEqual(1)

      let release: () => void = () => undefined
      const held = new Promise<void>((resolve) => {
        release = resolve
      })
      const handlers: Handlers = {
        prepare: () => held,
        embed: () => Promise.reject(new Error('not now')),
        tick: () => Promise.resolve(),
      }
      const consumers = queues.consume(handlers, { slots: 1, stalledSeconds: 30 })
      try {
        // A job that failed waits for half a second before it is tried again.
        const busy = await until(async () => {
          const [first, second] = (await status()).queues
          return first?.active === 2 && (second?.delayed ?? 0) > 0 ? [first, second] : undefined
        })
        expect(busy).toMatchObject([{ waiting: 1, oldestSeconds: expect.any(Number) }, {}])
        release()
        await until(async () => ((await status()).queues[0]?.active === 0 ? true : undefined))
      } finally {
        release()
        await consumers.close()
      }
      await queues.clear()
      expect((await status()).queues).toMatchObject([IDLE, IDLE])
    })

    test('comes without the queue when that does not answer', async () => {
      const deaf = { ...running, engine, queues: { depths: () => new Promise<never>(() => undefined) } }
      expect((await getStatus(deaf)).queues).toEqual([])
      const broken = { ...deaf, queues: { depths: () => Promise.reject(new Error('gone')) } }
      expect((await getStatus(broken)).queues).toEqual([])
    })

    test('says what is left in tokens, and in minutes once workers embed', async () => {
      const { db } = running
      const ranges: DocumentRange[] = []
      const queues = {
        ...running.queues,
        addPrepare: async (given: readonly DocumentRange[]) => void ranges.push(...given),
      }
      const domain: Domain = await createDomain({ db, engine, defaultModel: MODEL }, { name: 'left' })
      const submit = (ids: readonly string[]) =>
        submitDocuments(
          { db, queues, log, settings: settings() },
          domain,
          ids.map((id) => ({ id, text: `Document ${id} has a text of its own.` })),
        )
      await submit(['a', 'b'])
      await db.query(
        `update millrace.documents set updated_at = updated_at - interval '90 s' where external_id = 'a'`,
      )
      expect((await status()).backlog).toMatchObject({ documents: 2, texts: 0, tokens: 0, minutes: null })
      for (const range of ranges.splice(0)) {
        await prepareRange({ db, engine, preparer, ...reading, settings: settings() }, range)
      }
      const { backlog } = await status()
      expect(backlog).toMatchObject({ documents: 2, texts: 2, minutes: null })
      expect(backlog.tokens).toBeGreaterThan(10)
      expect(backlog.oldestSeconds).toBeGreaterThanOrEqual(90)
      expect(backlog.oldestSeconds).toBeLessThan(150)

      const worker = { id: 'w', host: 'here', pid: 1, slots: 1 }
      await reportWorker(db, { ...worker, tokens: 0 })
      expect((await status()).backlog.minutes).toBeNull()
      await db.query(`update millrace.workers set seen_at = now() - interval '10 s'`)
      await reportWorker(db, { ...worker, tokens: 10 })
      const known = await status()
      expect(known.workers).toMatchObject([{ tokensPerSecond: 1 }])
      expect(known.backlog.minutes).toBeCloseTo(backlog.tokens / 60, 0)
    })

    test('groups documents that are failed now by why, with the last as an example', async () => {
      const { db } = running
      const queues = { ...running.queues, addPrepare: async () => undefined }
      const domain = await createDomain({ db, engine, defaultModel: MODEL }, { name: 'failing' })
      const documents = ['a', 'b', 'c', 'd'].map((id) => ({ id, text: `The text of ${id}.` }))
      await submitDocuments({ db, queues, log, settings: settings() }, domain, documents)
      const fail = (id: string, code: string) =>
        db.query(
          `update millrace.documents set state = 'failed', error_code = $2, error_message = $1 || ' broke', updated_at = now()
           where external_id = $1 and domain_id = $3`,
          [id, code, domain.id],
        )
      await fail('c', 'UNREADABLE_FILE')
      await fail('a', 'NAN_VECTOR')
      await fail('b', 'UNREADABLE_FILE')
      expect((await status()).failed).toEqual([
        {
          domain: 'failing',
          code: 'UNREADABLE_FILE',
          count: 2,
          example: { document: 'b', message: 'b broke' },
        },
        { domain: 'failing', code: 'NAN_VECTOR', count: 1, example: { document: 'a', message: 'a broke' } },
      ])
      // What was mended is gone from it, other than from the errors of its ingestion.
      await db.query(
        `update millrace.documents set state = 'received', error_code = null, error_message = null
         where domain_id = $1 and external_id in ('b', 'c')`,
        [domain.id],
      )
      expect((await status()).failed).toMatchObject([{ code: 'NAN_VECTOR' }])
    })
  })
}
