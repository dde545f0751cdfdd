import type { Engine } from '@millrace/embed'
import {
  type Backends,
  embedLease,
  type Log,
  openBackends,
  openPreparer,
  openQueryCache,
  openReading,
  prepareRange,
  readSettings,
} from '@millrace/flow'
import { type DispatchPolicy, type DocumentRange, dispatch } from '@millrace/store'
import { afterAll, beforeAll } from 'vitest'
import type { Backend, Place } from './backends.js'
import { TEST_ENV } from './world.js'

export const MODEL = 'all-minilm-l6-v2'
export const OTHER = 'bge-small-zh-v1.5'
/** Leases of a few texts each, as many as there are. */
export const SMALL_LEASES: DispatchPolicy = {
  workers: 1,
  leasesMax: 100,
  leaseTokens: 400,
  leaseTexts: 64,
  leaseSeconds: 600,
}

/**
 * What verbs are handed, on a backend of the file's own, and the worker's steps by hand: jobs to prepare are kept in
 * `ranges` until `prepare`, and a text is embedded when a test says so. Opened before the tests and closed after them.
 */
export function openParts(backend: Backend, engine: Engine, log: Log) {
  const preparer = openPreparer(log)
  const reading = openReading(readSettings({}), log)
  const cache = openQueryCache({ entries: 0 })
  const ranges: DocumentRange[] = []
  let place: Place
  let running: Backends
  const settings = () => readSettings({ ...TEST_ENV, ...place.env })
  const deps = () => ({
    db: running.db,
    engine,
    defaultModel: MODEL,
    preparer,
    ...reading,
    cache,
    log,
    settings: settings(),
    queues: {
      ...running.queues,
      addPrepare: async (given: readonly DocumentRange[]) => void ranges.push(...given),
    },
  })
  beforeAll(async () => {
    place = await backend.open()
    running = await openBackends(settings(), log)
  })
  afterAll(async () => {
    await preparer.close()
    await reading.close()
    await running.close()
    await place.remove()
  })
  return {
    deps,
    ranges,
    preparer,
    settings,
    get db() {
      return running.db
    },
    prepare: async () => {
      for (const range of ranges.splice(0)) await prepareRange(deps(), range)
    },
    /** Every lease, as the worker's loops do. */
    embedAll: async (made: Engine = engine, policy: DispatchPolicy = SMALL_LEASES) => {
      for (let leases = await dispatch(running.db, policy); leases.length > 0; ) {
        for (const lease of leases) await embedLease({ ...deps(), engine: made }, lease)
        leases = await dispatch(running.db, policy)
      }
    },
  }
}
