import { type Engine, openEngine } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  type Backends,
  createDomain,
  embedLease,
  getDocument,
  getIngestion,
  openBackends,
  openLog,
  openPreparer,
  openReading,
  prepareRange,
  readSettings,
  submitDocuments,
} from '@millrace/flow'
import { type DocumentRange, dispatch, type Lease } from '@millrace/store'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databases, type Place } from './support/backends.js'
import { TEST_ENV } from './support/world.js'

const MODEL = 'all-minilm-l6-v2'
const POLICY = { workers: 1, leasesMax: 8, leaseTokens: 1_000, leaseTexts: 100, leaseSeconds: 600 }

/** The real engine, but for a text that kills it and one that it cannot embed. */
const fragile = (engine: Engine): Engine => ({
  ...engine,
  embed: async (request) => {
    if (request.texts.some((text) => text.includes('poison'))) {
      throw new CodedError('ENGINE_CRASHED', 'The inference thread died', { retryable: true })
    }
    const results = await engine.embed(request)
    return results.map((result, i) =>
      request.texts[i]?.includes('not a number')
        ? { error: new CodedError('NAN_VECTOR', 'The model gave a vector that is no vector') }
        : result,
    )
  },
})

/** The real engine, but for a server of vectors that is away. */
const cutOff = (engine: Engine): Engine => ({
  ...engine,
  embed: async ({ texts }) => {
    if (texts.length === 0) return []
    throw new CodedError('REMOTE_UNAVAILABLE', 'The server is away', { retryable: true })
  },
})

// What is prepared and leased is called here by hand: the queue has no part in it.
for (const backend of databases()) {
  describe(`texts that cannot be embedded, ${backend.name}`, () => {
    const log = openLog('silent', 'test')
    const preparer = openPreparer(log)
    let place: Place
    let running: Backends
    let engine: Engine
    // No file, no URL: what is submitted here is text.
    const reading = openReading(readSettings({}), log)
    const settings = () => readSettings({ ...TEST_ENV, ...place.env })
    beforeAll(async () => {
      place = await backend.open()
      running = await openBackends(settings(), log)
      engine = openEngine({ ...settings(), log })
    })
    afterAll(async () => {
      await preparer.close()
      await engine.close()
      await running.close()
      await place.remove()
    })

    /** Does by hand what the worker's loops do: prepares what was submitted, then embeds lease after lease. */
    async function work(deps: { engine: Engine }, rangesOf: readonly DocumentRange[], leases: Lease[]) {
      const { db } = running
      for (const range of rangesOf)
        await prepareRange({ db, engine, preparer, ...reading, settings: settings() }, range)
      leases.push(...(await dispatch(db, POLICY)))
      const outcomes: unknown[] = []
      for (const lease of leases) {
        outcomes.push(
          await embedLease({ db, ...deps, settings: settings() }, lease).catch((error: unknown) => error),
        )
      }
      return outcomes
    }

    test('fail alone: one at once, one that kills the engine after five attempts; their neighbours are ready', async () => {
      const { db } = running
      const ranges: DocumentRange[] = []
      const queues = {
        ...running.queues,
        addPrepare: async (given: readonly DocumentRange[]) => void ranges.push(...given),
      }
      const domain = await createDomain({ db, engine, defaultModel: MODEL }, { name: 'poison' })
      const { ingestion } = await submitDocuments({ db, queues, log, settings: settings() }, domain, [
        { id: 'good', text: 'Nothing is wrong with this one.' },
        { id: 'nan', text: 'This one is not a number.' },
        { id: 'poison', text: 'This one is poison.' },
        { id: 'also good', text: 'Nothing is wrong with this one either.' },
      ])
      const leases: Lease[] = []
      const first = await work({ engine: fragile(engine) }, ranges, leases)
      expect(first).toMatchObject([{ code: 'ENGINE_CRASHED' }])
      expect(await getIngestion({ db }, ingestion)).toMatchObject({ documents: { embedding: 4 } })

      // The queue delivers the job again; from the third time on each text is embedded alone.
      for (let attempt = 2; attempt <= 3; attempt++) await work({ engine: fragile(engine) }, [], leases)
      expect(await getIngestion({ db }, ingestion)).toMatchObject({
        documents: { embedding: 1, ready: 2, failed: 1 },
      })
      for (let attempt = 4; attempt <= 6; attempt++) await work({ engine: fragile(engine) }, [], leases)
      expect(await getIngestion({ db }, ingestion)).toMatchObject({
        state: 'finished',
        documents: { ready: 2, failed: 2 },
        chunks: { total: 4, embedded: 2 },
        errors: [
          { code: 'EMBED_GAVE_UP', count: 1, example: { document: 'poison' } },
          { code: 'NAN_VECTOR', count: 1, example: { document: 'nan' } },
        ],
      })
      expect(await getDocument({ db }, domain, 'nan')).toMatchObject({
        state: 'failed',
        errorCode: 'NAN_VECTOR',
      })
      expect(
        await db.query('select 1 from millrace.pending union all select 1 from millrace.leases'),
      ).toEqual([])
    })

    test('wait for a server of vectors that is away, however often it is asked', async () => {
      const { db } = running
      const ranges: DocumentRange[] = []
      const queues = {
        ...running.queues,
        addPrepare: async (given: readonly DocumentRange[]) => void ranges.push(...given),
      }
      const domain = await createDomain({ db, engine, defaultModel: MODEL }, { name: 'elsewhere' })
      const { ingestion } = await submitDocuments({ db, queues, log, settings: settings() }, domain, [
        { id: 'a', text: 'The first of two texts.' },
        { id: 'b', text: 'The second of two texts.' },
      ])
      const leases: Lease[] = []
      for (let attempt = 1; attempt <= 7; attempt++) {
        const outcomes = await work({ engine: cutOff(engine) }, ranges.splice(0), leases)
        expect(outcomes).toMatchObject([{ code: 'REMOTE_UNAVAILABLE' }])
      }
      expect(await getIngestion({ db }, ingestion)).toMatchObject({ documents: { embedding: 2 } })
      await work({ engine }, [], leases)
      expect(await getIngestion({ db }, ingestion)).toMatchObject({ documents: { ready: 2 } })
    })
  })
}
