import {
  type Backlog,
  backlog,
  countDocuments,
  countRunning,
  type Db,
  type DocumentCounts,
  type IndexState,
  indexStates,
  listDomains,
  listRunning,
  listWorkers,
  NO_DOCUMENTS,
} from '@millrace/store'
import { type Ingestion, withReasons } from './ingestions.js'

/** Running ingestions that are described; the oldest, since they are worked on first. */
const INGESTIONS_MAX = 20

/** What goes on in all of Millrace. */
export interface Status {
  readonly workers: readonly WorkerStatus[]
  readonly backlog: Backlog
  /** How many run; `ingestions` has the oldest INGESTIONS_MAX. */
  readonly running: number
  readonly ingestions: readonly Ingestion[]
  readonly domains: readonly {
    readonly name: string
    readonly model: string
    readonly threshold: number | null
    readonly documents: DocumentCounts
    readonly index: IndexState
  }[]
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

export async function getStatus({ db }: { readonly db: Db }): Promise<Status> {
  const [workers, left, running, rows, domains, indexes] = await Promise.all([
    listWorkers(db),
    backlog(db),
    countRunning(db),
    listRunning(db, INGESTIONS_MAX),
    listDomains(db),
    indexStates(db),
  ])
  const [ingestions, counts] = await Promise.all([
    withReasons(db, rows),
    countDocuments(
      db,
      domains.map((domain) => domain.id),
    ),
  ])
  return {
    workers: workers.map(({ startedAt, tokensPerSecond, lastSeenSeconds, ...worker }) => ({
      ...worker,
      tokensPerSecond: tokensPerSecond === null ? null : tenth(tokensPerSecond),
      lastSeenSeconds: tenth(Math.max(0, lastSeenSeconds)),
      startedAt: startedAt.toISOString(),
    })),
    backlog: left,
    running,
    ingestions,
    domains: domains.map(({ id, name, model, threshold }) => ({
      name,
      model,
      threshold,
      documents: counts.get(id) ?? NO_DOCUMENTS,
      index: indexes.get(id) ?? { state: 'none' },
    })),
  }
}

const tenth = (value: number) => Math.round(value * 10) / 10
