import type { Db, Session, Tx } from '../connect.js'

/**
 * Takes back leases of a generation that no worker has begun, so that what is paused stops; those that were begun, or are
 * just being opened, are embedded to their end. Whoever calls holds the dispatch, so none is handed out meanwhile.
 */
async function releaseLeases(tx: Tx, generationId: number): Promise<void> {
  await tx.query(
    `with free as (
       select lease_id from millrace.pending
       where generation_id = $1 and lease_id is not null and attempts = 0 order by seq for update skip locked
     ), whole as (
       select lease_id, count(*) as texts from free group by lease_id
     )
     delete from millrace.leases l using whole w
     where l.id = w.lease_id and w.texts = (select count(*) from millrace.pending p where p.lease_id = l.id)`,
    [generationId],
  )
}

/** The same for a generation that has been paused. A dispatcher that saw it before is done by then. */
export function takeBackLeases(db: Db, generationId: number): Promise<void> {
  return db.transact(async (tx) => {
    await holdDispatch(tx)
    await releaseLeases(tx, generationId)
  })
}

/** Nobody hands out leases until the transaction ends. */
const holdDispatch = (tx: Tx) => tx.query(`select 1 from millrace.roles where name = 'dispatch' for update`)

/** Pauses the building of a generation until a schedule goes on with it; false when it is not being built, or is paused. */
export function pauseBuilding(
  db: Db,
  { generationId, scheduleId }: { readonly generationId: number; readonly scheduleId: number },
): Promise<boolean> {
  return db.transact(async (tx) => {
    await holdDispatch(tx)
    const paused = await tx.query(
      `update millrace.generations set paused = true, waits_for = $2, lease_tokens = null
       where id = $1 and state = 'building' and not paused returning 1`,
      [generationId, scheduleId],
    )
    await releaseLeases(tx, generationId)
    return paused.length > 0
  })
}

/** Goes on with one that this schedule paused, and nobody since. */
export async function resumeBuilding(
  on: Session,
  { generationId, scheduleId }: { readonly generationId: number; readonly scheduleId: number },
): Promise<void> {
  await on.query(
    `update millrace.generations set paused = false, waits_for = null
     where id = $1 and state = 'building' and waits_for = $2`,
    [generationId, scheduleId],
  )
}

/**
 * Lets no more than `left` tokens of a generation be embedded from when it had `embedded`; null: any number. What is
 * leased already is of them, so that nothing is handed out above.
 */
export function allowTokens(
  db: Db,
  generationId: number,
  allowed: { readonly left: number; readonly embedded: number } | null,
): Promise<void> {
  return db.transact(async (tx) => {
    await holdDispatch(tx)
    await tx.query(
      `update millrace.generations g set lease_tokens = case when $2::bigint is not null then
         greatest(0, $2::bigint - (g.tokens_embedded - $3::bigint) - (
           select coalesce(sum(tokens), 0) from millrace.pending where generation_id = g.id and lease_id is not null
         ))
       end
       where id = $1 and state = 'building'`,
      [generationId, allowed?.left ?? null, allowed?.embedded ?? null],
    )
  })
}

/** Whether workers still have texts of it. */
export async function isLeased(on: Session, generationId: number): Promise<boolean> {
  return (
    (await on.query('select 1 from millrace.leases where generation_id = $1 limit 1', [generationId]))
      .length > 0
  )
}

export interface LeftPaused {
  readonly domain: string
  readonly generation: number
}

/** What a schedule that is being deleted leaves behind: generations that it began and that are not built, paused. */
export async function leavePaused(tx: Tx, scheduleId: number): Promise<LeftPaused[]> {
  await holdDispatch(tx)
  await tx.query(
    `update millrace.generations g set paused = true, waits_for = $1, lease_tokens = null
     from millrace.schedule_runs r
     where r.schedule_id = $1 and r.outcome is null and g.id = (r.progress #>> '{state,generation}')::bigint
       and g.state = 'building' and not g.paused`,
    [scheduleId],
  )
  const left = await tx.query<LeftPaused>(
    `select d.name as domain, g.id as generation
     from millrace.generations g join millrace.domains d on d.id = g.domain_id
     where g.waits_for = $1 and g.state = 'building' order by d.name`,
    [scheduleId],
  )
  for (const { generation } of left) await releaseLeases(tx, generation)
  return left
}
