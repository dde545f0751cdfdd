import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { Engine } from '@millrace/embed'
import {
  type BeginGeneration,
  buildGenerations,
  carryBandsOf,
  continueRuns,
  embedLease,
  endGenerations,
  KEEP_SECONDS,
  type Log,
  openKeeper,
  openPreparer,
  openReading,
  prepareRange,
  type Queues,
  type Settings,
  type SwitchDeps,
  startGeneration,
  sweepOnce,
  switchDue,
  switchGate,
  tick,
  workSchedules,
} from '@millrace/flow'
import {
  buildIndex,
  type Db,
  dispatch,
  removeWorker,
  reportWorker,
  syncSources,
  workforce,
} from '@millrace/store'
import { coalesce, every } from './loop.js'

export interface WorkerDeps {
  readonly db: Db
  readonly queues: Queues
  readonly engine: Engine
  readonly log: Log
  /** What schedules go by. Default: the machine's. */
  readonly now?: (() => Date) | undefined
}

export interface RunningWorker {
  /** Tokens embedded and stored since it started. */
  tokens(): number
  /** Takes no more work and waits up to `seconds` for what is running; the rest finds another owner. */
  drain(seconds: number): Promise<void>
}

/** The embed queue is kept this many times as long as what the workers can hold: short, and never empty. */
const QUEUE_FACTOR = 2
const LEASE_TEXTS_MAX = 512
const REPORT_MS = 10_000
/** A pass of the dispatcher without being asked, for what another process put into pending. */
const DISPATCH_MS = 500
/** How soon a source that is all there is rid of what is gone. */
const SYNC_MS = 500
/** How soon documents come to a generation that is not live, when there was nothing to do before. */
const BUILD_MS = 1_000
/** How soon a golden run that is nobody's is somebody's. */
const GOLDEN_MS = 1_000
/** How soon a generation that is built takes over where it is to, and how soon what has ended goes. */
const SWITCH_MS = 1_000
/** How soon a scheduled run that is nobody's is somebody's, and how many at once. */
const SCHEDULES_MS = 500
const SCHEDULED_AT_ONCE = 2

/** Prepares, dispatches, embeds, sweeps and keeps schedules until it is drained. Any number of them, none is special. */
export async function startWorker(deps: WorkerDeps, settings: Settings): Promise<RunningWorker> {
  const { db, queues, engine, log, now = () => new Date() } = deps
  const id = randomUUID()
  const preparer = openPreparer(log)
  const reading = openReading(settings, log)
  let tokens = 0
  const report = () =>
    reportWorker(db, { id, host: hostname(), pid: process.pid, slots: settings.slots, tokens })
  const handOut = coalesce(async () => {
    const { workers, slots } = await workforce(db)
    const leases = await dispatch(db, {
      leasesMax: QUEUE_FACTOR * slots,
      workers,
      leaseTokens: settings.leaseTokens,
      leaseTexts: LEASE_TEXTS_MAX,
      leaseSeconds: settings.leaseSeconds,
    })
    // A job that cannot be added now is added by the sweep: its lease stands in the rows.
    await queues.addEmbed(leases)
  })
  const handOutSafely = () =>
    handOut().catch((error: unknown) => log.warn({ err: error }, 'leases were not handed out'))

  await report()
  const consumers = queues.consume(
    {
      prepare: async (range) => {
        await prepareRange({ db, engine, preparer, ...reading, settings }, range)
        void handOutSafely()
      },
      embed: async (lease) => {
        const stored = await embedLease({ db, engine, settings }, lease)
        tokens += stored.tokens
        void handOutSafely()
      },
      tick: async ({ schedule }) => {
        await tick({ db, log, now }, schedule)
      },
    },
    settings,
  )
  const indexing = new AbortController()
  const measuring = new AbortController()
  const building = new AbortController()
  const beginGeneration: BeginGeneration = async ({ name }, wishes) => {
    const { id } = await startGeneration({ db, engine, settings }, name, wishes)
    return { id: Number(id) }
  }
  const scheduled = { db, queues, engine, log, now, settings, pages: reading.pages, beginGeneration }
  const work = () => workSchedules(scheduled, measuring.signal)
  const index = () => buildIndex(db, { rowsMin: settings.indexRowsMin }, indexing.signal)
  const switching: SwitchDeps = {
    ...deps,
    settings,
    gate: switchGate(deps, { isAutomatic: true }),
    carryBands: carryBandsOf(deps),
  }
  const loops = [
    every(REPORT_MS, log, 'the sign of life', report),
    every(DISPATCH_MS, log, 'dispatch', handOut),
    every(SYNC_MS, log, 'the sync of sources', () => syncSources(db)),
    every(GOLDEN_MS, log, 'golden runs', () => continueRuns({ db, engine, log }, measuring.signal)),
    every(SWITCH_MS, log, 'switches', () => switchDue(switching, measuring.signal)),
    every(SWITCH_MS, log, 'the end of generations', () => endGenerations(deps)),
    every(BUILD_MS, log, 'the build of generations', () =>
      buildGenerations({ db, engine, preparer, settings }, building.signal),
    ),
    every(settings.sweepSeconds * 1_000, log, 'the sweep', () => sweepOnce({ db, queues, settings })),
    every(KEEP_SECONDS * 1_000, log, 'schedules', openKeeper({ db, queues, log, now })),
    ...Array.from({ length: SCHEDULED_AT_ONCE }, () => every(SCHEDULES_MS, log, 'scheduled runs', work)),
    // Apart from the sweep, which must not wait for hours of it.
    every(settings.sweepSeconds * 1_000, log, 'the index', index),
  ]
  return {
    tokens: () => tokens,
    drain: async (seconds) => {
      indexing.abort()
      measuring.abort()
      building.abort()
      await Promise.all(loops.map((loop) => loop.stop()))
      await within(seconds, consumers.close(), () => consumers.close(true))
      await preparer.close()
      await reading.close()
      await removeWorker(db, id).catch(() => undefined)
    },
  }
}

/** Waits for `work`, and after `seconds` for `force` instead. */
async function within(seconds: number, work: Promise<void>, force: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, seconds * 1_000, 'late')
  })
  const outcome = await Promise.race([work, late])
  clearTimeout(timer)
  if (outcome === 'late') await force()
}
