import type { Engine, ModelState } from '@millrace/embed'
import {
  type Backlog,
  backlog,
  countDocuments,
  countRunning,
  type Db,
  type DocumentCounts,
  type FailedGroup,
  type IndexState,
  indexStates,
  listAlarms,
  listDomains,
  listFailed,
  listRunning,
  listWorkers,
  NO_DOCUMENTS,
  type Outlook,
  outlook,
  type ScheduleAlarm,
} from '@millrace/store'
import { type Besides, besidesOf, NO_BESIDES } from '../generations/besides.js'
import { withinMs } from '../limit.js'
import type { QueueDepth, Queues } from '../queue.js'
import { type Ingestion, withReasons } from './ingestions.js'

/** Running ingestions that are described; the oldest, since they are worked on first. */
const INGESTIONS_MAX = 20
/** Failed documents of a domain that are looked at. */
export const FAILED_LOOKED_AT = 10_000
const FAILED_GROUPS = 200
/** A queue that has not answered by then is shown as one that does not. */
const QUEUE_MS = 2_000

/** What goes on in all of Millrace. */
export interface Status {
  readonly workers: readonly WorkerStatus[]
  readonly backlog: Backlog & {
    /** Until all of it is embedded, at the rate of the workers of late; null when that cannot be told. */
    readonly minutes: number | null
    readonly oldestSeconds: number | null
  }
  /** Empty when the queue does not answer. */
  readonly queues: readonly QueueDepth[]
  /** Of this process; those of workers apart are not in it. */
  readonly models: readonly ModelStatus[]
  readonly memory: { readonly rssBytes: number }
  /** Documents that failed, grouped by why. */
  readonly failed: readonly FailedGroup[]
  /** Schedules whose last run found something wrong, or failed. */
  readonly alarms: readonly ScheduleAlarm[]
  /** How many run; `ingestions` has the oldest INGESTIONS_MAX. */
  readonly running: number
  readonly ingestions: readonly Ingestion[]
  readonly domains: readonly {
    readonly name: string
    readonly model: string
    readonly threshold: number | null
    readonly documents: DocumentCounts
    readonly index: IndexState
    readonly building: Besides['building']
    readonly retired: Besides['retired']
  }[]
}

export interface ModelStatus {
  readonly id: string
  readonly state: ModelState
  /** By how much the process that runs it grew when it was loaded. */
  readonly memoryBytes: number | null
}

export interface WorkerStatus {
  readonly id: string
  readonly host: string
  readonly pid: number
  readonly slots: number
  /** Embedded since it started. */
  readonly tokens: number
  /** Between its last two signs of life, which are 10 seconds apart; null before the second. */
  readonly tokensPerSecond: number | null
  readonly lastSeenSeconds: number
  readonly startedAt: string
}

export interface StatusDeps {
  readonly db: Db
  readonly engine: Pick<Engine, 'models' | 'state' | 'memory'>
  readonly queues: Pick<Queues, 'depths'>
}

export async function getStatus({ db, engine, queues }: StatusDeps): Promise<Status> {
  const depths = withinMs(QUEUE_MS, queues.depths()).catch(() => [])
  const [workers, left, ahead, failed, alarms, running, rows, domains, indexes] = await Promise.all([
    listWorkers(db),
    backlog(db),
    outlook(db),
    listFailed(db, { looked: FAILED_LOOKED_AT, limit: FAILED_GROUPS }),
    listAlarms(db),
    countRunning(db),
    listRunning(db, INGESTIONS_MAX),
    listDomains(db),
    indexStates(db),
  ])
  const domainIds = domains.map((domain) => domain.id)
  const [ingestions, counts, besides] = await Promise.all([
    withReasons(db, rows),
    countDocuments(db, domainIds),
    besidesOf(db, domainIds),
  ])
  return {
    workers: workers.map(({ startedAt, tokensPerSecond, lastSeenSeconds, ...worker }) => ({
      ...worker,
      tokensPerSecond: tokensPerSecond === null ? null : tenth(tokensPerSecond),
      lastSeenSeconds: tenth(Math.max(0, lastSeenSeconds)),
      startedAt: startedAt.toISOString(),
    })),
    backlog: {
      ...left,
      minutes: minutesLeft(left.tokens, ahead.unseenTokens, workers),
      oldestSeconds: ahead.oldestSeconds === null ? null : tenth(Math.max(0, ahead.oldestSeconds)),
    },
    queues: (await depths).map(({ oldestSeconds, ...queue }) => {
      return { ...queue, oldestSeconds: oldestSeconds === null ? null : tenth(oldestSeconds) }
    }),
    models: engine.models().map(({ id }) => {
      return { id, state: engine.state(id), memoryBytes: engine.memory(id) }
    }),
    memory: { rssBytes: process.memoryUsage.rss() },
    failed,
    alarms,
    running,
    ingestions,
    domains: domains.map(({ id, name, model, threshold }) => ({
      name,
      model,
      threshold,
      documents: counts.get(id) ?? NO_DOCUMENTS,
      index: indexes.get(id) ?? { state: 'none' },
      ...(besides.get(id) ?? NO_BESIDES),
    })),
  }
}

/** Null while documents have yet to be prepared that nothing is known of, and while no worker embeds. */
export function minutesLeft(
  tokens: number,
  unseen: Outlook['unseenTokens'],
  workers: readonly { readonly tokensPerSecond: number | null }[],
): number | null {
  if (unseen === null) return null
  const left = tokens + unseen
  if (left === 0) return 0
  const perSecond = workers.reduce((sum, worker) => sum + (worker.tokensPerSecond ?? 0), 0)
  return perSecond > 0 ? tenth(left / perSecond / 60) : null
}

const tenth = (value: number) => Math.round(value * 10) / 10
