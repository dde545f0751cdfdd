import { CodedError } from '@millrace/errors'
import type { DocumentRange, Lease } from '@millrace/store'
import {
  createPostgresBackend,
  type JobsOptions,
  type PostgresConnectionOptions,
  Queue,
  runMigrations,
  Worker,
  withBackend,
} from 'bullmq'
import { Redis } from 'ioredis'
import pg from 'pg'
import type { Log } from './log.js'
import { openTicks, type Repeating, type Ticks } from './ticks.js'

/** Where jobs travel. `postgres`: BullMQ's Postgres backend, in the schema `bullmq`. */
export type QueueTarget =
  | { readonly kind: 'redis'; readonly url: string; readonly prefix: string }
  | { readonly kind: 'postgres'; readonly url: string; readonly prefix: string }

/** Jobs hold ids, never text: whatever the queue loses, the sweep puts back from the rows. */
export interface Handlers {
  readonly prepare: (range: DocumentRange) => Promise<void>
  readonly embed: (lease: Lease) => Promise<void>
  /** A schedule may be due: the rows say whether it is. */
  readonly tick: (schedule: { readonly schedule: number }) => Promise<void>
}

export interface ConsumeOptions {
  readonly slots: number
  readonly stalledSeconds: number
}

export interface Consumers {
  /** Takes no more jobs and waits for the running ones; `force` does not wait. */
  close(force?: boolean): Promise<void>
}

/** How much waits in a queue, and since when. */
export interface QueueDepth {
  readonly name: 'prepare' | 'embed'
  readonly waiting: number
  readonly active: number
  /** To be tried again after a while. */
  readonly delayed: number
  /** Jobs that were given up and are kept: none, the rows say what failed. */
  readonly failed: number
  /** Since the oldest of the waiting jobs that were looked at was added; null when none waits. */
  readonly oldestSeconds: number | null
}

export interface Queues {
  /** Adding what is already there changes nothing: a job's id says what it is about. */
  /**
   * `position`: documents of the same ingestion before these. The first ones of any ingestion go before the later ones of
   * every other, so that ten documents do not wait for somebody else's million. Left out: as if many were before them.
   */
  addPrepare(ranges: readonly DocumentRange[], position?: number): Promise<void>
  addEmbed(leases: readonly Lease[]): Promise<void>
  /** Says when schedules are due. */
  readonly ticks: Ticks
  consume(handlers: Handlers, options: ConsumeOptions): Consumers
  /** Removes every job, running ones too: for whoever knows that nobody works on them. */
  clear(): Promise<void>
  depths(): Promise<readonly QueueDepth[]>
  /** Resolves when the queue answers, else rejects. */
  ping(): Promise<void>
  close(): Promise<void>
}

interface Closable {
  close(): Promise<void>
}
interface JobQueue<Data> extends Closable, Repeating {
  addBulk(jobs: { name: string; data: Data; opts: JobsOptions }[]): Promise<unknown>
  getJobCountByTypes(...types: 'waiting'[]): Promise<number>
  getJobCounts(...types: JobState[]): Promise<{ [state: string]: number }>
  getJobs(states: JobState[], from: number, to: number, isAscending: boolean): Promise<Added[]>
  obliterate(options: { force: boolean }): Promise<void>
}
type JobState = 'waiting' | 'prioritized' | 'active' | 'delayed' | 'failed'
/** A job, or a gap where it has just gone. */
type Added = { readonly timestamp: number } | undefined
interface JobWorker {
  close(force?: boolean): Promise<void>
}
interface Transport {
  readonly queue: <Data>(name: string) => JobQueue<Data>
  readonly worker: <Data>(
    name: string,
    work: (data: Data) => Promise<void>,
    options: WorkerSettings,
  ) => JobWorker
  readonly ready: () => Promise<void>
  readonly close: () => Promise<void>
}
interface WorkerSettings {
  readonly concurrency: number
  readonly stalledSeconds: number
}

/** Ranges that one worker prepares at once: enough to overlap reading, chunking and writing. */
const PREPARE_CONCURRENCY = 2
/** Documents that one job prepares, about. */
export const RANGE_DOCUMENTS = 32
/** Of what the sweep puts back nobody knows what was before it. */
const LATE = 100_000
/** The largest that BullMQ takes, the last to be done: https://docs.bullmq.io/guide/jobs/prioritized */
const PRIORITY_MAX = 2_097_152
const PRIORITY_DOCUMENTS = 512

const priorityOf = (position: number): number =>
  Math.min(PRIORITY_MAX, 1 + Math.floor(position / PRIORITY_DOCUMENTS))

const JOB: JobsOptions = {
  attempts: 5,
  backoff: { type: 'exponential', delay: 500 },
  // The rows say what is done and what is not; a finished job has nothing to add.
  removeOnComplete: true,
  removeOnFail: true,
}

export async function openQueues(target: QueueTarget, log: Log): Promise<Queues> {
  const transport = target.kind === 'redis' ? redis(target, log) : postgres(target, log)
  await transport.ready()
  const prepare = transport.queue<DocumentRange>('prepare')
  const embed = transport.queue<Lease>('embed')
  const schedule = transport.queue<{ schedule: number }>('schedule')
  return {
    ticks: openTicks(schedule),
    addPrepare: async (ranges, position = LATE) => {
      if (ranges.length === 0) return
      await prepare.addBulk(
        ranges.map((range, index) => ({
          name: 'prepare',
          data: range,
          opts: {
            ...JOB,
            jobId: `prepare-${range.ingestionId}-${range.from}-${range.to}`,
            priority: priorityOf(position + index * RANGE_DOCUMENTS),
          },
        })),
      )
    },
    addEmbed: async (leases) => {
      if (leases.length === 0) return
      await embed.addBulk(
        leases.map((lease) => ({ name: 'embed', data: lease, opts: { ...JOB, jobId: `embed-${lease.id}` } })),
      )
    },
    consume: (handlers, { slots, stalledSeconds }) => {
      const workers = [
        transport.worker<DocumentRange>('prepare', handlers.prepare, {
          concurrency: PREPARE_CONCURRENCY,
          stalledSeconds,
        }),
        transport.worker<Lease>('embed', handlers.embed, { concurrency: slots, stalledSeconds }),
        transport.worker<{ schedule: number }>('schedule', handlers.tick, { concurrency: 1, stalledSeconds }),
      ]
      return {
        close: async (force) => {
          await Promise.all(workers.map((worker) => worker.close(force)))
        },
      }
    },
    clear: async () => {
      await prepare.obliterate({ force: true })
      await embed.obliterate({ force: true })
      await schedule.obliterate({ force: true })
    },
    depths: () => Promise.all([depthOf('prepare', prepare), depthOf('embed', embed)]),
    ping: async () => {
      await embed.getJobCountByTypes('waiting')
    },
    close: async () => {
      await Promise.all([prepare.close(), embed.close(), schedule.close()])
      await transport.close()
    },
  }
}

/** Jobs with a priority that are looked at for the oldest one: the first may be younger than many behind it. */
const LOOKED_AT = 8

async function depthOf(name: QueueDepth['name'], queue: JobQueue<unknown>): Promise<QueueDepth> {
  const counts = await queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed')
  const { waiting = 0, prioritized = 0, active = 0, delayed = 0, failed = 0 } = counts
  const some = await Promise.all([
    // Newest first, whatever the backend; jobs may be taken from the other end meanwhile.
    waiting === 0 ? [] : queue.getJobs(['waiting'], Math.max(0, waiting - LOOKED_AT), waiting - 1, false),
    ...spread(prioritized, LOOKED_AT).map((place) => queue.getJobs(['prioritized'], place, place, true)),
  ])
  const added = some.flat().flatMap((job) => (job === undefined ? [] : [job.timestamp]))
  const oldestSeconds = added.length === 0 ? null : Math.max(0, Date.now() - Math.min(...added)) / 1_000
  return { name, waiting: waiting + prioritized, active, delayed, failed, oldestSeconds }
}

/** At most `most` of `count` places, the first and evenly spread ones behind it. */
const spread = (count: number, most: number): number[] =>
  Array.from({ length: Math.min(count, most) }, (_, i) => Math.floor((i * count) / Math.min(count, most)))

function redis(target: QueueTarget, log: Log): Transport {
  const connections: Redis[] = []
  const connect = (options: { enableOfflineQueue: boolean; maxRetriesPerRequest: number | null }): Redis => {
    const client = new Redis(target.url, {
      ...options,
      retryStrategy: (times: number) => Math.min(50 * times, 2_000),
    })
    client.on('error', (error: Error) => log.warn({ err: error }, 'redis connection'))
    connections.push(client)
    return client
  }
  // A producer says at once that Redis is gone; the rows are written, the sweep enqueues them later.
  const producer = connect({ enableOfflineQueue: false, maxRetriesPerRequest: 1 })
  const { prefix } = target
  return {
    queue: (name) => {
      const queue = new Queue(name, { connection: producer, prefix })
      queue.on('error', (error) => log.warn({ err: error, queue: name }, 'queue'))
      return queue
    },
    worker: (name, work, options) => {
      const worker = new Worker(name, (job) => work(job.data), {
        connection: connect({ enableOfflineQueue: true, maxRetriesPerRequest: null }),
        prefix,
        ...workerOptions(options),
      })
      watch(worker, name, log)
      return worker
    },
    ready: () => ready(producer),
    close: async () => {
      for (const client of connections) client.disconnect()
    },
  }
}

const ready = (client: Redis): Promise<void> =>
  new Promise((resolve, reject) => {
    if (client.status === 'ready') return resolve()
    let last = 'it does not answer'
    client.on('error', (error: Error) => {
      last = error.message
    })
    const timer = setTimeout(() => {
      client.off('ready', done)
      client.disconnect()
      reject(
        new CodedError('REDIS_UNREACHABLE', `Redis at REDIS_URL was not there within 10 seconds: ${last}`, {
          hint: 'Check REDIS_URL and that the server runs, or unset it: the queue is in Postgres then',
          retryable: true,
        }),
      )
    }, 10_000)
    const done = () => {
      clearTimeout(timer)
      resolve()
    }
    client.once('ready', done)
  })

/** BullMQ's own name for its schema; a pool that is handed in cannot choose another. */
const QUEUE_SCHEMA = 'bullmq'
/** A LISTEN for each of the three consumers, the rest for statements. */
const QUEUE_CONNECTIONS = 7

/**
 * BullMQ is handed a pool of ours rather than an address: it puts no listener on the clients it checks out, and a
 * connection lost at that moment would end the process.
 */
function postgres(target: QueueTarget, log: Log): Transport {
  const bound = withBackend(createPostgresBackend)
  const pool = new pg.Pool({
    connectionString: target.url,
    options: `-c search_path=${QUEUE_SCHEMA}`,
    max: QUEUE_CONNECTIONS,
    keepAlive: true,
    application_name: 'millrace queue',
  })
  pool.on('error', (error) => log.warn({ err: error }, 'an idle connection of the queue broke'))
  pool.on('connect', (client) => client.on('error', () => undefined))
  // It takes a pool as well; its type of one is narrower than pg's own.
  const connection = pool as unknown as PostgresConnectionOptions
  const { prefix } = target
  return {
    queue: (name) => {
      const queue = new bound.Queue(name, { connection, prefix })
      queue.on('error', (error) => log.warn({ err: error, queue: name }, 'queue'))
      return queue
    },
    worker: (name, work, options) => {
      const worker = new bound.Worker(name, (job) => work(job.data), {
        connection,
        prefix,
        ...workerOptions(options),
      })
      watch(worker, name, log)
      return worker
    },
    ready: async () => {
      const client = await pool.connect()
      try {
        await runMigrations(client, QUEUE_SCHEMA)
      } finally {
        client.release()
      }
    },
    close: () => pool.end(),
  }
}

const workerOptions = ({ concurrency, stalledSeconds }: WorkerSettings) => ({
  concurrency,
  lockDuration: stalledSeconds * 1_000,
  stalledInterval: stalledSeconds * 1_000,
  // A job that broke off is put back however often: the rows count the attempts, not the queue.
  maxStalledCount: 1_000,
  // How soon a worker asks again after its connection broke; BullMQ's default is 15 s.
  runRetryDelay: 1_000,
})

interface Watchable {
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'failed', listener: (job: { id?: string | undefined } | undefined, error: Error) => void): unknown
}

function watch(worker: Watchable, queue: string, log: Log): void {
  worker.on('error', (error) => log.warn({ err: error, queue }, 'worker'))
  worker.on('failed', (job, error) => log.warn({ err: error, queue, job: job?.id }, 'a job failed'))
}
