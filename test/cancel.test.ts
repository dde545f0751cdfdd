import { setTimeout as sleep } from 'node:timers/promises'
import { type Engine, openEngine } from '@millrace/embed'
import {
  cancelIngestion,
  createDomain,
  type Domain,
  embedLease,
  finishHalfway,
  getDocument,
  getIngestion,
  getStatus,
  listDocuments,
  listIngestions,
  openLog,
  prepareRange,
  readSettings,
  resumeIngestion,
  submitDocuments,
} from '@millrace/flow'
import { dispatch, markCancelled, markResumed, reportWorker, storeLease, syncSources } from '@millrace/store'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { databases } from './support/backends.js'
import { openParts } from './support/parts.js'
import { TEST_ENV } from './support/world.js'

const POLICY = { workers: 1, leasesMax: 1, leaseTokens: 60, leaseTexts: 3, leaseSeconds: 600 }

const documents = (count: number, seed: string) =>
  Array.from({ length: count }, (_, i) => ({ id: `${seed}-${i}`, text: `Note ${i} of series ${seed}.` }))

const log = openLog('silent', 'test')
const engine = openEngine({ ...readSettings(TEST_ENV), log })
afterAll(() => engine.close())

// What is prepared and leased is called here by hand: the queue has no part in it.
for (const backend of databases()) {
  describe(`cancelling and resuming, ${backend.name}`, () => {
    const parts = openParts(backend, engine, log)
    const { deps, ranges, prepare } = parts

    let created = 0
    /** Each has a name of its own: a test that is tried again finds the domain of its first try. */
    const create = (name: string) => createDomain(deps(), { name: `${name}-${created++}` })
    const submit = async (domain: Domain, given: readonly object[]) =>
      (await submitDocuments(deps(), domain, given as { id: string; text: string }[])).ingestion
    /** One lease after the other, as the worker's loops do; undefined when no text is free. */
    const embedNext = async () => {
      const [lease] = await dispatch(parts.db, POLICY)
      return lease === undefined ? undefined : embedLease(deps(), lease)
    }
    const embedAll = async () => {
      while ((await embedNext()) !== undefined);
    }
    afterEach(async () => {
      // What a test that failed left behind would be handed out in the next.
      await parts.db.query('delete from millrace.pending')
      await parts.db.query('delete from millrace.leases')
    })
    const left = async () => {
      const { db } = parts
      return db.query('select 1 from millrace.pending union all select 1 from millrace.leases')
    }

    test('a cancelled ingestion keeps what is done, a resumed one embeds the rest and nothing twice', async () => {
      const domain = await create('rest')
      const id = await submit(domain, documents(8, 'rest'))
      await prepare()
      await embedNext()
      const cancelled = await cancelIngestion(deps(), id)
      expect(cancelled).toMatchObject({
        state: 'cancelled',
        documents: { total: 8, ready: 3, cancelled: 5, embedding: 0 },
        etaSeconds: null,
        report: { documents: { sent: 8, ready: 3, cancelled: 5 }, chunks: { embedded: 3 } },
      })
      expect(await left()).toEqual([])
      expect(await cancelIngestion(deps(), id)).toEqual(cancelled)
      expect(await getDocument(deps(), domain, 'rest-7')).toMatchObject({ state: 'cancelled', waiting: null })

      const resumed = await resumeIngestion(deps(), id)
      expect(resumed).toMatchObject({
        state: 'running',
        documents: { total: 8, ready: 3, embedding: 5, cancelled: 0 },
        finishedAt: null,
        report: null,
      })
      expect(await resumeIngestion(deps(), id)).toMatchObject({
        state: 'running',
        documents: { embedding: 5 },
      })
      await embedAll()
      const done = await getIngestion(deps(), id)
      expect(done).toMatchObject({
        state: 'finished',
        documents: { total: 8, ready: 8, cancelled: 0 },
        chunks: { total: 8, embedded: 8, reused: 0 },
        report: { documents: { ready: 8 }, textCut: { characters: 0 }, refused: [], failed: [] },
      })
      expect(done.tokensPerSecond).toBeGreaterThan(0)
      await expect(cancelIngestion(deps(), id)).rejects.toMatchObject({ code: 'INGESTION_FINISHED' })
      expect(await resumeIngestion(deps(), id)).toEqual(await getIngestion(deps(), id))
      await expect(cancelIngestion(deps(), '987654321')).rejects.toMatchObject({ code: 'UNKNOWN_INGESTION' })
    })

    test('documents that are not prepared yet are cancelled too, and prepared after a resume', async () => {
      const domain = await create('early')
      const id = await submit(domain, documents(4, 'early'))
      await markCancelled(parts.db, Number(id))
      // A worker that has the job sees it before the rows have followed.
      expect(await prepareRange(deps(), ranges[0] ?? { ingestionId: 0, from: 0, to: 0 })).toBe(0)
      ranges.splice(0)
      expect(await getDocument(deps(), domain, 'early-0')).toMatchObject({ waiting: { code: 'CANCELLING' } })
      // Whoever cancelled it died here: the sweep goes on.
      await finishHalfway(deps())
      expect(await getIngestion(deps(), id)).toMatchObject({ documents: { cancelled: 4, received: 0 } })
      await submit(domain, documents(4, 'early').slice(0, 1))
      await markResumed(parts.db, Number(id))
      await finishHalfway(deps())
      await prepare()
      await embedAll()
      // The one that was submitted again belongs to the other ingestion.
      expect(await getIngestion(deps(), id)).toMatchObject({
        state: 'finished',
        documents: { total: 4, ready: 3, cancelled: 1 },
      })
      expect((await listIngestions(deps(), domain, { limit: 1 })).cursor).not.toBeNull()
      expect((await listIngestions(deps(), domain, { limit: 1, cursor: undefined })).ingestions).toHaveLength(
        1,
      )
    })

    test('an engine that is at work is stopped when nobody waits for its texts; no attempt is counted', async () => {
      const domain = await create('stopped')
      const id = await submit(domain, documents(3, 'stopped'))
      await prepare()
      const [lease] = await dispatch(parts.db, { ...POLICY, leasesMax: 9 })
      let signal: AbortSignal | undefined
      const slow: Engine = {
        ...engine,
        embed: async (request) => {
          signal = request.signal
          await sleep(60_000, undefined, { signal })
          return []
        },
      }
      if (lease === undefined) throw new Error('no lease')
      const embedding = embedLease({ ...deps(), engine: slow }, lease)
      while (signal === undefined) await sleep(5)
      await cancelIngestion(deps(), id)
      expect(await embedding).toEqual({ texts: 0, tokens: 0 })
      expect(await left()).toEqual([])
      // A late delivery of the same job stores nothing.
      const hash = Buffer.alloc(32)
      expect(
        await storeLease(parts.db, lease, {
          vectors: [{ hash, vector: new Float32Array(384) }],
          failed: [],
          done: true,
        }),
      ).toEqual({ texts: 0, tokens: 0 })
      await resumeIngestion(deps(), id)
      const pending = await parts.db.query('select distinct attempts from millrace.pending')
      expect(pending).toEqual([{ attempts: 0 }])
      await embedAll()
      expect(await getIngestion(deps(), id)).toMatchObject({ state: 'finished', documents: { ready: 3 } })
    })

    test('a text that another ingestion waits for stays', async () => {
      const domain = await create('both')
      const first = await submit(domain, [
        { id: 'a', text: 'One text that two documents have.' },
        { id: 'b', text: 'One that only the first has.' },
      ])
      const second = await submit(domain, [{ id: 'c', text: 'One text that two documents have.' }])
      await prepare()
      await cancelIngestion(deps(), first)
      expect(await left()).toHaveLength(1)
      await embedAll()
      expect(await getIngestion(deps(), second)).toMatchObject({ state: 'finished', documents: { ready: 1 } })
      await resumeIngestion(deps(), first)
      await embedAll()
      expect(await getIngestion(deps(), first)).toMatchObject({ state: 'finished', documents: { ready: 2 } })
    })

    test('a sync deletes what is gone once a resumed ingestion has succeeded, never while it is cancelled', async () => {
      const domain = await create('sync')
      const options = { source: 'wiki', sync: 'full' } as const
      const sync = async (given: { id: string; text: string }[]) =>
        (await submitDocuments(deps(), domain, given, options)).ingestion
      await sync(documents(3, 'sync'))
      await prepare()
      await embedAll()
      await syncSources(parts.db)
      const id = await sync([{ id: 'sync-0', text: 'Another text for the first.' }])
      await prepare()
      await cancelIngestion(deps(), id)
      await syncSources(parts.db)
      expect(await getIngestion(deps(), id)).toMatchObject({ sync: { state: 'waiting', deleted: 0 } })
      await resumeIngestion(deps(), id)
      await embedAll()
      expect(await getIngestion(deps(), id)).toMatchObject({ state: 'running' })
      await syncSources(parts.db)
      expect(await getIngestion(deps(), id)).toMatchObject({
        state: 'finished',
        sync: { source: 'wiki', state: 'done', deleted: 2, reason: null },
        report: { documents: { sent: 1, ready: 1, deleted: 2 } },
      })
    })

    test('failed documents of a finished ingestion are tried again, and no longer counted among its errors', async () => {
      const domain = await create('failed')
      const id = await submit(domain, documents(2, 'failed'))
      await prepare()
      const broken: Engine = {
        ...engine,
        embed: async ({ texts }) =>
          texts.map(() => ({ error: Object.assign(new Error('broken'), { code: 'EMBED_FAILED' }) as never })),
      }
      const [lease] = await dispatch(parts.db, POLICY)
      if (lease !== undefined) await embedLease({ ...deps(), engine: broken }, lease)
      expect(await getIngestion(deps(), id)).toMatchObject({
        state: 'finished',
        documents: { failed: 2 },
        errors: [{ code: 'EMBED_FAILED', count: 2 }],
        report: { failed: [{ code: 'EMBED_FAILED', count: 2 }] },
      })
      expect(await resumeIngestion(deps(), id)).toMatchObject({ state: 'running', errors: [] })
      await embedAll()
      expect(await getIngestion(deps(), id)).toMatchObject({
        state: 'finished',
        documents: { ready: 2, failed: 0 },
        errors: [],
      })
    })

    test('cancel and resume at once, again and again, lose and double nothing', async () => {
      const domain = await create('race')
      const id = await submit(domain, documents(20, 'race'))
      await prepare()
      for (let round = 0; round < 4; round++) {
        await Promise.all([
          cancelIngestion(deps(), id).catch(() => undefined),
          embedNext(),
          resumeIngestion(deps(), id),
          cancelIngestion(deps(), id).catch(() => undefined),
          resumeIngestion(deps(), id),
        ])
      }
      await resumeIngestion(deps(), id)
      await finishHalfway(deps())
      await prepare()
      await embedAll()
      const done = await getIngestion(deps(), id)
      expect(done).toMatchObject({ state: 'finished', documents: { total: 20, ready: 20, cancelled: 0 } })
      const [vectors] = await parts.db.query<{ count: number }>(
        `select count(*)::int as count from millrace.vectors_${domain.generationId}`,
      )
      expect(vectors?.count).toBe(20)
    })

    test('a document says what it waits for', async () => {
      const domain = await create('waiting')
      const waiting = async (id: string) => (await getDocument(deps(), domain, id)).waiting
      const first = await submit(domain, [{ id: 'x', text: 'A text of its own. '.repeat(200) }])
      await submit(domain, documents(2, 'waiting'))
      expect(await waiting('x')).toMatchObject({ code: 'NO_WORKER', lastSeenSeconds: null })
      await reportWorker(parts.db, { id: 'w', host: 'here', pid: 1, slots: 2, tokens: 0 })
      expect(await waiting('x')).toMatchObject({ code: 'QUEUED', ahead: 0 })
      expect(await waiting('waiting-1')).toMatchObject({ code: 'QUEUED', ahead: 2 })
      await prepare()
      await dispatch(parts.db, POLICY)
      const texts = await waiting('x')
      expect(texts).toMatchObject({ code: 'WAITS_FOR_TEXTS', leased: 1 })
      expect(texts?.missing).toBeGreaterThan(1)
      const page = await listDocuments(deps(), domain, { limit: 10 })
      expect(page.documents.map((document) => document.waiting?.code)).toEqual([
        'WAITS_FOR_TEXTS',
        'WAITS_FOR_TEXTS',
        'WAITS_FOR_TEXTS',
      ])
      for (const { ageSeconds } of page.documents) expect(ageSeconds).toBeGreaterThanOrEqual(0)
      await parts.db.query(
        `update millrace.pending set error_code = 'REMOTE_UNAVAILABLE', error_message = 'The server is away'`,
      )
      expect(await waiting('x')).toMatchObject({ code: 'RETRYING', error: { code: 'REMOTE_UNAVAILABLE' } })

      const status = await getStatus(deps())
      expect(status).toMatchObject({
        workers: [{ id: 'w', slots: 2, tokensPerSecond: null }],
        running: 2,
        backlog: { documents: 3, leases: 1 },
      })
      expect(status.ingestions[0]).toMatchObject({ id: first, domain: domain.name })
      expect(status.domains.find(({ name }) => name === domain.name)).toMatchObject({
        documents: { embedding: 3 },
        index: { state: 'none' },
      })
      await parts.db.query('delete from millrace.leases')
      await embedAll()
      expect(await waiting('x')).toBeNull()
    })
  })
}
