import { type Db, one } from './connect.js'

export interface WorkerRow {
  readonly id: string
  readonly host: string
  readonly pid: number
  /** Leases it works on at once. */
  readonly slots: number
  /** Embedded since it started. */
  readonly tokens: number
}

/** Without a sign of life for this long a worker is taken for dead. */
export const DEAD_SECONDS = 45

export async function reportWorker(db: Db, worker: WorkerRow): Promise<void> {
  await db.query(
    `insert into millrace.workers as w (id, host, pid, slots, tokens) values ($1, $2, $3, $4, $5)
     on conflict (id) do update set
       slots = excluded.slots, tokens = excluded.tokens, seen_at = now(),
       tokens_per_second = (excluded.tokens - w.tokens) / greatest(extract(epoch from now() - w.seen_at), 0.001)`,
    [worker.id, worker.host, worker.pid, worker.slots, worker.tokens],
  )
}

export async function removeWorker(db: Db, id: string): Promise<void> {
  await db.query('delete from millrace.workers where id = $1', [id])
}

export interface Workforce {
  readonly workers: number
  /** Leases that they can work on at once, together. */
  readonly slots: number
}

/** The living workers. */
export async function workforce(db: Db): Promise<Workforce> {
  return one(
    await db.query<Workforce>(
      `select count(*)::int as workers, coalesce(sum(slots), 0)::int as slots from millrace.workers
       where seen_at > now() - make_interval(secs => $1)`,
      [DEAD_SECONDS],
    ),
    'workers',
  )
}

export interface LivingWorker extends WorkerRow {
  /** Between its last two signs of life; null before the second. */
  readonly tokensPerSecond: number | null
  readonly startedAt: Date
  readonly lastSeenSeconds: number
}

/** Living workers; dead ones are forgotten after a day. */
export async function listWorkers(db: Db): Promise<LivingWorker[]> {
  await db.query(`delete from millrace.workers where seen_at < now() - interval '1 day'`)
  return db.query<LivingWorker>(
    `select id, host, pid, slots, tokens, tokens_per_second as "tokensPerSecond", started_at as "startedAt",
       extract(epoch from now() - seen_at)::float8 as "lastSeenSeconds"
     from millrace.workers
     where seen_at > now() - make_interval(secs => $1) order by started_at`,
    [DEAD_SECONDS],
  )
}
