import { deleteUnwanted } from './cancel.js'
import { type Db, one, type Tx } from './connect.js'

export interface Lease {
  readonly id: number
  readonly generationId: number
}

export interface DispatchPolicy {
  /** Leases that may be out at a time. */
  readonly leasesMax: number
  /** Living workers. */
  readonly workers: number
  /** Tokens a lease is filled to; one longer text is a lease of its own. */
  readonly leaseTokens: number
  /** Texts in a lease at most. */
  readonly leaseTexts: number
  /** How long a lease is good for without a sign of life, in seconds. */
  readonly leaseSeconds: number
}

/**
 * Hands out free texts as leases until `leasesMax` are out; returns the new ones, whose jobs the caller
 * enqueues. Generations take turns by tokens (start-time fair queueing), so that one domain's million
 * documents do not delay another's ten; one of weight 0.5 gets half as many. One dispatcher at a time: the role's row is
 * the lock.
 */
export function dispatch(db: Db, policy: DispatchPolicy): Promise<Lease[]> {
  return db.transact(async (tx) => {
    await tx.query(`select 1 from millrace.roles where name = 'dispatch' for update`)
    await tx.query('delete from millrace.leases where leased_until < now()')
    const out = one(
      await tx.query<{ count: number }>('select count(*)::int as count from millrace.leases'),
      'leases out',
    )
    const leases: Lease[] = []
    const size = { ...policy, leaseTokens: await shareOf(tx, policy) }
    while (out.count + leases.length < policy.leasesMax) {
      const lease = await leaseNext(tx, size)
      if (lease === undefined) break
      leases.push(lease)
    }
    return leases
  })
}

/** A generation `g` whose texts may be embedded now. A schedule says how many tokens of one being built. */
const IS_SERVED = `(g.state in ('live', 'building') or g.state = 'retired' and g.follows) and not g.paused
  and g.error_code is null and (g.state <> 'building' or g.lease_tokens is null or g.lease_tokens > 0)`

/** A lease is not filled to less: what it costs to hand out would show. */
const LEASE_TOKENS_MIN = 2_048
/** More free texts than this are much. */
const SAMPLE_TEXTS = 10_000

/**
 * Tokens to fill leases to: while much is free or more is being prepared, as many as the policy says; of the last of it
 * each lease gets an equal share, so that at the end no worker sits on four full leases while the others have nothing to
 * do.
 */
async function shareOf(tx: Tx, { leasesMax, leaseTokens, workers }: DispatchPolicy): Promise<number> {
  if (workers < 2 || leasesMax === 0) return leaseTokens
  const free = one(
    await tx.query<{ texts: number; tokens: number; more: boolean }>(
      `select count(*)::int as texts, coalesce(sum(tokens), 0)::int as tokens,
         exists (
           select 1 from millrace.ingestions where state = 'running' and (not sealed or received + preparing > 0)
         ) or exists (
           select 1 from millrace.generations g
           where ${IS_SERVED} and g.state <> 'live' and exists (
             select 1 from millrace.generation_documents f
             where f.generation_id = g.id and f.state in ('waiting', 'preparing')
           )
         ) as more
       from (
         select p.tokens from millrace.pending p join millrace.generations g on g.id = p.generation_id
         where p.lease_id is null and ${IS_SERVED} limit $1
       ) free`,
      [SAMPLE_TEXTS],
    ),
    'free texts',
  )
  if (free.more || free.texts === SAMPLE_TEXTS) return leaseTokens
  return Math.min(leaseTokens, Math.max(LEASE_TOKENS_MIN, Math.ceil(free.tokens / leasesMax)))
}

/**
 * Of a generation that is not live, a lease is filled to less: nobody waits for the last of it, and what a worker that
 * dies has in hand is embedded again. With leases of 16,384 tokens four slots had 65,000 (bench generations/killed).
 */
const BESIDE_TOKENS = 2_048

/** A lease for the generation whose turn it is; undefined when no text is free. */
async function leaseNext(tx: Tx, policy: DispatchPolicy): Promise<Lease | undefined> {
  const turn = await tx.query<{
    id: number
    start: number
    weight: number
    most: number
    allowed: number | null
  }>(
    `select g.id, greatest(coalesce(t.served, 0), r.clock) as start,
       case g.state when 'live' then 1 else g.weight end as weight,
       case g.state when 'live' then $1::int else least($1::int, $2::int) end as most,
       case g.state when 'building' then g.lease_tokens end as allowed
     from millrace.generations g
     join millrace.roles r on r.name = 'dispatch'
     left join millrace.turns t on t.generation_id = g.id
     where ${IS_SERVED}
       and exists (select 1 from millrace.pending p where p.generation_id = g.id and p.lease_id is null)
     order by start, g.id
     limit 1`,
    [policy.leaseTokens, BESIDE_TOKENS],
  )
  const next = turn[0]
  if (next === undefined) return undefined
  const leased = await tx.query<{ id: number; tokens: number }>(
    `with free as (
       select text_hash, tokens, sum(tokens) over (order by seq) - tokens as before, seq
       from (
         select text_hash, tokens, seq from millrace.pending
         where generation_id = $1 and lease_id is null
         order by seq limit $3
       ) first_come
     ), taken as (
       select text_hash, tokens from free where before = 0 or before + tokens <= $2
     ), lease as (
       insert into millrace.leases (generation_id, texts, tokens, leased_until)
       select $1, count(*), sum(tokens), now() + make_interval(secs => $4) from taken
       having count(*) > 0
       returning id, tokens
     ), marked as (
       update millrace.pending p set lease_id = lease.id from taken, lease
       where p.generation_id = $1 and p.text_hash = taken.text_hash
     )
     select id, tokens from lease`,
    [
      next.id,
      Math.min(next.most, next.allowed ?? Number.POSITIVE_INFINITY),
      policy.leaseTexts,
      policy.leaseSeconds,
    ],
  )
  const lease = leased[0]
  // Whoever cancelled them was quicker: this generation has no free text now, and another may have.
  if (lease === undefined) return leaseNext(tx, policy)
  if (next.allowed !== null) {
    await tx.query(
      'update millrace.generations set lease_tokens = greatest(0, lease_tokens - $2) where id = $1',
      [next.id, lease.tokens],
    )
  }
  await tx.query(
    `insert into millrace.turns as t (generation_id, served) values ($1, $2)
     on conflict (generation_id) do update set served = excluded.served`,
    [next.id, next.start + Math.ceil(lease.tokens / next.weight)],
  )
  await tx.query(`update millrace.roles set clock = $1 where name = 'dispatch'`, [next.start])
  return { id: lease.id, generationId: next.id }
}

/** Leases that are out since before `olderThanSeconds` ago: their jobs may have been lost. */
export const listLeases = (db: Db, olderThanSeconds: number): Promise<Lease[]> =>
  db.query<Lease>(
    `select id, generation_id as "generationId" from millrace.leases
     where created_at < now() - make_interval(secs => $1) order by id`,
    [olderThanSeconds],
  )

/** False when the lease is no longer ours. */
export async function renewLease(db: Db, lease: Lease, leaseSeconds: number): Promise<boolean> {
  const rows = await db.query(
    `update millrace.leases set leased_until = now() + make_interval(secs => $2) where id = $1 returning 1`,
    [lease.id, leaseSeconds],
  )
  return rows.length > 0
}

export interface LeasedText {
  readonly hash: Buffer
  readonly context: string
  readonly text: string
  readonly tokens: number
  /** Every shared attempt at it broke off: it is to be embedded alone, after `countAttempt`. */
  readonly isSuspect: boolean
}

/**
 * The texts of a lease. An attempt is counted for those that have had fewer than `sharedAttemptsMax`; the others
 * are suspects. Texts that no document waits for any more are dropped.
 */
export function openLease(db: Db, lease: Lease, sharedAttemptsMax: number): Promise<LeasedText[]> {
  return db.transact(async (tx) => {
    // Locked first, judged then: a document that is just being prepared may want one of them.
    const held = await tx.query<{ text_hash: Buffer; ingestion: number | null }>(
      `select text_hash, ingestion_id as ingestion from millrace.pending where lease_id = $1 order by seq for update`,
      [lease.id],
    )
    await deleteUnwanted(
      tx,
      held.map(() => lease.generationId),
      held.map((row) => row.text_hash),
    )
    const ingestions = new Set(held.map((row) => row.ingestion))
    ingestions.delete(null)
    if (ingestions.size > 0) await startWork(tx, [...ingestions])
    const texts = await tx.query<LeasedText>(
      `select p.text_hash as hash, c.context, c.text, p.tokens, p.attempts >= $2 as "isSuspect"
       from millrace.pending p
       cross join lateral (
         select context, text from millrace.chunks
         where generation_id = p.generation_id and text_hash = p.text_hash limit 1
       ) c
       where p.lease_id = $1
       order by p.seq`,
      [lease.id, sharedAttemptsMax],
    )
    await tx.query(
      'update millrace.pending set attempts = attempts + 1 where lease_id = $1 and attempts < $2',
      [lease.id, sharedAttemptsMax],
    )
    return texts
  })
}

/** The first of its texts is about to be embedded: from here on its rate is counted. */
async function startWork(tx: Tx, ingestionIds: readonly (number | null)[]): Promise<void> {
  await tx.query(
    `update millrace.ingestions set
       work_started_at = coalesce(work_started_at, clock_timestamp()),
       rate_from = clock_timestamp(), rate_from_tokens = tokens_embedded, rate_last = null,
       rate_next = clock_timestamp(), rate_next_tokens = tokens_embedded
     where id in (
       select id from millrace.ingestions where id = any($1) and rate_from is null order by id for no key update
     )`,
    [ingestionIds],
  )
}

/** False when none of the lease's texts is wanted any more, or they are no longer this lease's. */
export async function isWanted(db: Db, lease: Lease): Promise<boolean> {
  const rows = await db.query('select 1 from millrace.pending where lease_id = $1 limit 1', [lease.id])
  return rows.length > 0
}

/** Keeps, for whoever asks what is waited for, why an attempt at the texts of a lease broke off. */
export async function noteBreak(
  db: Db,
  lease: Lease,
  error: { readonly code: string; readonly message: string },
): Promise<void> {
  await db.query('update millrace.pending set error_code = $2, error_message = $3 where lease_id = $1', [
    lease.id,
    error.code,
    error.message,
  ])
}

/** Counts an attempt at one text before it is made, and returns how many it has had; 0 when it is not ours. */
export async function countAttempt(db: Db, lease: Lease, hash: Buffer): Promise<number> {
  const rows = await db.query<{ attempts: number }>(
    `update millrace.pending set attempts = attempts + 1
     where lease_id = $1 and generation_id = $2 and text_hash = $3 returning attempts`,
    [lease.id, lease.generationId, hash],
  )
  return rows[0]?.attempts ?? 0
}

/** Takes back an attempt that broke off for a reason that is none of these texts' own. */
export async function uncountAttempt(db: Db, lease: Lease, hashes: readonly Buffer[]): Promise<void> {
  await db.query(
    `update millrace.pending set attempts = attempts - 1
     where lease_id = $1 and generation_id = $2 and text_hash = any($3) and attempts > 0`,
    [lease.id, lease.generationId, hashes],
  )
}
