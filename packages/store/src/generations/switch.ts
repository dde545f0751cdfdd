import type { Db, Session, Tx } from '../connect.js'
import { type BandChange, createView, setBands, viewOf } from '../domains.js'
import type { DocumentState } from '../schema.js'
import type { Form } from '../storage/form.js'
import { besidesOf } from '../terms.js'
import { vectorsTable } from '../vectors.js'
import { letGo, lockGenerations } from './hold.js'
import { type Completeness, completeness } from './progress.js'
import { SOAK_SECONDS_MIN } from './start.js'

/** What becomes live, and how. */
export interface SwitchTo {
  readonly domainId: number
  readonly generationId: number
  /** Although documents of it failed that the live one has, which fail with the switch, or although a gate refused it. */
  readonly force: { readonly reason: string; readonly gated: object | null } | null
  /** Thresholds and levels that come with it. */
  readonly bands: readonly BandChange[]
  /** Its documents brought their vectors: nobody can compute those again. */
  readonly isExternal: boolean
  readonly indexRowsMin: number
}

export interface Switched {
  readonly outcome: 'switched'
  /** The one whose place it took. */
  readonly retired: number
  /** The one that was retired before, which ends with it. */
  readonly replaced: number | null
  /** Documents that were on their way to the other one, and are prepared again for this. */
  readonly again: number
  /** Documents that came or changed while it was not live: they are received again, in an ingestion of their own. */
  readonly behind: number
  readonly ingestion: number | null
}

export type SwitchOutcome =
  | Switched
  /** It is live already. */
  | { readonly outcome: 'live' }
  /** It has ended, or the domain is gone. */
  | { readonly outcome: 'gone' }
  | { readonly outcome: 'incomplete'; readonly left: Completeness }
  /** A generation whose vectors nobody can compute again lacks some that are being copied. */
  | { readonly outcome: 'copying'; readonly behind: number }

/** The view is replaced when nobody reads it; whoever reads it for long is not waited for. */
const VIEW_MS = 400

interface Target extends Form {
  readonly id: number
  readonly domain: string
}

/**
 * Makes a generation the live one, in one transaction: one that was built, once it is complete, or the retired one, as it
 * is. Nothing is published in the domain meanwhile. What was on its way to the old one is prepared again for the new one.
 */
export function switchTo(db: Db, to: SwitchTo): Promise<SwitchOutcome> {
  return db.transact(async (tx): Promise<SwitchOutcome> => {
    // As PATCH takes them: the domain, its generations. Whoever publishes holds generations before documents.
    await tx.query('select 1 from millrace.domains where id = $1 for no key update', [to.domainId])
    const held = await lockGenerations(tx, to.domainId)
    const live = held.find(({ state }) => state === 'live')
    const next = held.find(({ id }) => id === to.generationId)
    if (live === undefined || next === undefined) return { outcome: 'gone' }
    if (next === live) return { outcome: 'live' }
    const target = await targetOf(tx, next.id)
    if (target === undefined) return { outcome: 'gone' }
    const isBuilt = next.state === 'building'
    let forced = isBuilt && to.force?.gated != null ? to.force : null
    if (isBuilt) {
      const left = await completeness(tx, next.id, to)
      if (left === undefined) return { outcome: 'gone' }
      if (!isEnough(left, to.force !== null)) return { outcome: 'incomplete', left }
      if (!left.complete) forced = to.force
    } else if (to.isExternal) {
      const behind = (await listBehind(tx, to.domainId, next.id)).length
      if (behind > 0) return { outcome: 'copying', behind }
    }
    const replaced = await flip(tx, { ...to, force: forced }, live.id, target)
    const again = await takeBack(tx, to.domainId)
    if (isBuilt) await failWith(tx, next.id)
    await recover(tx, to.domainId, next.id, isBuilt ? ['failed'] : ['failed', 'received'])
    const late = isBuilt ? NOT_BEHIND : await receiveAgain(tx, to.domainId, next.id)
    await setBands(tx, to.domainId, to.bands)
    await tx.query('update millrace.domains set updated_at = now() where id = $1', [to.domainId])
    await letGo(tx, live.id)
    await show(tx, target)
    return { outcome: 'switched', retired: live.id, replaced, again, ...late }
  })
}

/** Backends whose transactions hold the view of a domain: it is not replaced before they have ended. */
export async function viewHolders(on: Session, domain: string): Promise<number[]> {
  const held = await on.query<{ pid: number }>(
    `select distinct pid from pg_locks
     where locktype = 'relation' and relation = to_regclass($1) and granted and pid <> pg_backend_pid()
       and database = (select oid from pg_database where datname = current_database())
     order by pid limit 10`,
    [viewOf(domain)],
  )
  return held.map(({ pid }) => pid)
}

/** Nothing is left, or nothing but what failed, of which somebody said that it may. */
export const isEnough = (left: Completeness, isForced: boolean): boolean =>
  left.complete || (isForced && left.filled && left.open === 0 && !left.indexDue && !left.termCountsDue)

async function targetOf(tx: Tx, generationId: number): Promise<Target | undefined> {
  const found = await tx.query<Target>(
    `select g.id, g.storage, g.dims, d.name as domain
     from millrace.generations g join millrace.domains d on d.id = g.domain_id where g.id = $1`,
    [generationId],
  )
  return found[0]
}

/** One that was retired before ends, unless it is the next; the live one retires; the next is live. A domain has one of each. Returns the one that ends. */
async function flip(tx: Tx, to: SwitchTo, live: number, target: Target): Promise<number | null> {
  const ended = await tx.query<{ id: number }>(
    `update millrace.generations set state = 'ending', ended_at = now(), ended_by = 'replaced', follows = false, drop_at = null
     where domain_id = $1 and state = 'retired' returning id`,
    [to.domainId],
  )
  // How long the other one stays is said by the one of the two that was built beside it. Vectors that nobody can compute
  // again are copied all the time, so that the way back stays open.
  await tx.query(
    `update millrace.generations g set
       state = 'retired', retired_at = now(),
       drop_at = now() + make_interval(secs => greatest($3, built.soak_seconds)),
       follows = built.keep_up_to_date or $4, filled_at = now(), switch_when_built = false
     from millrace.generations built
     where g.id = $1 and built.id = greatest($1, $2)`,
    [live, target.id, SOAK_SECONDS_MIN, to.isExternal],
  )
  const { force } = to
  await tx.query(
    `update millrace.generations set
       state = 'live', live_since = now(), built_at = coalesce(built_at, now()), retired_at = null, drop_at = null,
       ended_at = null, ended_by = null, follows = false, paused = false, switch_when_built = false, error_code = null, error_message = null,
       -- From here on: how far the documents know what they are in this generation, see settle.
       filled_at = now(), filled_after = 0,
       forced = case when $2 then jsonb_build_object('at', now(), 'reason', $3::text, 'gated', $4::jsonb) else forced end
     where id = $1`,
    [
      target.id,
      force !== null,
      force?.reason ?? null,
      force?.gated == null ? null : JSON.stringify(force.gated),
    ],
  )
  return ended.find(({ id }) => id !== target.id)?.id ?? null
}

/** Documents that are being prepared or embedded for the old one; their ingestions no longer count what was made of them. */
async function takeBack(tx: Tx, domainId: number): Promise<number> {
  const counted = await tx.query<{ ingestion: number; documents: number; chunks: number; tokens: number }>(
    `with held as materialized (
       select id, ingestion_id, state, chunks, tokens from millrace.documents
       where domain_id = $1 and state in ('preparing', 'embedding') order by id for no key update
     ), back as (
       update millrace.documents d set
         state = 'received', leased_until = '-infinity', attempts = 0, chunks = null, tokens = null
       from held where d.id = held.id
     )
     select ingestion_id as ingestion, count(*)::int as documents,
       coalesce(sum(chunks) filter (where state = 'embedding'), 0)::int as chunks,
       coalesce(sum(tokens) filter (where state = 'embedding'), 0)::int8 as tokens
     from held group by 1 order by 1`,
    [domainId],
  )
  await tx.query(
    `update millrace.ingestions i set
       chunks = i.chunks - u.chunks, chunks_embedded = least(i.chunks_embedded, i.chunks - u.chunks),
       chunks_reused = least(i.chunks_reused, i.chunks - u.chunks - least(i.chunks_embedded, i.chunks - u.chunks)),
       tokens = i.tokens - u.tokens, tokens_embedded = least(i.tokens_embedded, i.tokens - u.tokens), rate_from = null
     from unnest($1::bigint[], $2::integer[], $3::bigint[]) as u (id, chunks, tokens)
     where i.id = u.id and u.chunks > 0`,
    [
      counted.map(({ ingestion }) => ingestion),
      counted.map(({ chunks }) => chunks),
      counted.map(({ tokens }) => tokens),
    ],
  )
  return counted.reduce((sum, { documents }) => sum + documents, 0)
}

/** What failed in the new one has failed, whatever it was in the old one. */
async function failWith(tx: Tx, generationId: number): Promise<void> {
  await tx.query(
    `update millrace.documents d set
       state = 'failed', leased_until = null, updated_at = now(), error_code = f.error_code, error_message = f.error_message
     from millrace.generation_documents f
     where f.generation_id = $1 and f.state = 'failed' and d.id = f.document_id and d.revision = f.revision
       and d.state = 'ready'`,
    [generationId],
  )
}

/**
 * And what failed in the old one alone is ready; so is what was on its way to it and has been in the new one when that was
 * live before.
 */
async function recover(
  tx: Tx,
  domainId: number,
  generationId: number,
  states: readonly DocumentState[],
): Promise<void> {
  await tx.query(
    `update millrace.documents d set
       state = 'ready', error_code = null, error_message = null, leased_until = null, updated_at = now(),
       (chunks, tokens) = (
         select count(*), coalesce(sum(c.tokens), 0) from millrace.chunks c
         where c.document_id = d.id and c.generation_id = $2 and c.revision = d.revision
       )
     where d.domain_id = $1 and d.state = any($3) and exists (
       select 1 from millrace.published p
       where p.generation_id = $2 and p.document_id = d.id and p.revision = d.revision
     )`,
    [domainId, generationId, states],
  )
}

const NOT_BEHIND = { behind: 0, ingestion: null }

const listBehind = (tx: Tx, domainId: number, generationId: number): Promise<{ id: number }[]> =>
  tx.query<{ id: number }>(
    `select d.id from millrace.documents d
     where d.domain_id = $1 and d.state = 'ready' and not exists (
       select 1 from millrace.published p
       where p.generation_id = $2 and p.document_id = d.id and p.revision = d.revision
     )
     order by d.id for no key update`,
    [domainId, generationId],
  )

/**
 * What a generation has missed while it was not live. The ingestions that brought it have ended, so it gets one of its
 * own; until it is ready, readers see what this generation has of it.
 */
async function receiveAgain(
  tx: Tx,
  domainId: number,
  generationId: number,
): Promise<Pick<Switched, 'behind' | 'ingestion'>> {
  const behind = await listBehind(tx, domainId, generationId)
  if (behind.length === 0) return NOT_BEHIND
  const made = await tx.query<{ id: number }>(
    'insert into millrace.ingestions (domain_id, sealed) values ($1, true) returning id',
    [domainId],
  )
  const ingestion = made[0]?.id ?? null
  await tx.query(
    `update millrace.documents set
       state = 'received', ingestion_id = $2, leased_until = '-infinity', attempts = 0, chunks = null, tokens = null,
       updated_at = now()
     where id = any($1)`,
    [behind.map(({ id }) => id), ingestion],
  )
  return { behind: behind.length, ingestion }
}

/** The view of the domain, and who may read it and what it reads. */
async function show(tx: Tx, { id, domain, storage, dims }: Target): Promise<void> {
  await tx.query(`set local lock_timeout = ${VIEW_MS}`)
  await createView(tx, domain, id, { storage, dims })
  const tables = [vectorsTable(id), ...(await besidesOf(tx, id))]
  await tx.query('select millrace.show_to_readers(name::regclass) from unnest($1::text[]) as u (name)', [
    [...tables.filter((name) => !name.includes('colbert')), viewOf(domain)],
  ])
}

/**
 * Documents that are ready in the live generation and unknown to one that is being built: the end of filling it and the
 * trigger leave none, should anything have gone by both, it is to come now. Returns how many.
 */
export async function reconcile(db: Db, domainId: number, generationId: number): Promise<number> {
  const rows = await db.query(
    `insert into millrace.generation_documents as f (generation_id, document_id, revision)
     select g.id, d.id, d.revision
     from millrace.generations g join millrace.documents d on d.domain_id = g.domain_id
     where g.id = $2 and g.domain_id = $1 and g.state = 'building' and g.filled_at is not null and d.state = 'ready'
       and not exists (
         select 1 from millrace.generation_documents k
         where k.generation_id = g.id and k.document_id = d.id and k.revision = d.revision
       )
     order by d.id for key share of d
     on conflict (generation_id, document_id) do update set
       revision = excluded.revision, state = 'waiting', leased_until = '-infinity', attempts = 0, error_code = null,
       error_message = null, chunks = null, tokens = null
     where f.revision < excluded.revision
     returning 1`,
    [domainId, generationId],
  )
  return rows.length
}
