import type { Db, Session, Tx } from '../connect.js'
import type { GenerationState } from '../schema.js'

/** A generation that has rows to read. */
export interface HeldGeneration {
  readonly id: number
  readonly state: GenerationState
}

/** Those of a domain that others may still write to: the live one first, as everybody who holds several takes them. */
const OF_DOMAIN = `select id, state from millrace.generations
  where domain_id = $1 and state in ('live', 'building', 'retired') order by state <> 'live', id`

/**
 * Keeps the generations of a domain as they are until the transaction ends: none takes another's place, none of their
 * tables goes. Before any of the domain's documents is locked, as everywhere.
 */
export const keepGenerations = (tx: Tx, domainId: number): Promise<HeldGeneration[]> =>
  tx.query<HeldGeneration>(`${OF_DOMAIN} for key share`, [domainId])

/** The same for whoever changes them: nobody publishes anything in the domain meanwhile. */
export const lockGenerations = (tx: Tx, domainId: number): Promise<HeldGeneration[]> =>
  tx.query<HeldGeneration>(`${OF_DOMAIN} for update`, [domainId])

/** Tries to find the live one: each fails when another took its place at that moment. */
const TRIES = 3

/** The live generation of a domain, which stays live until the transaction ends; undefined when the domain is gone. */
export async function keepLive(tx: Tx, domainId: number): Promise<number | undefined> {
  for (let n = 0; n < TRIES; n++) {
    const found = await tx.query<{ id: number }>(
      `select id from millrace.generations where domain_id = $1 and state = 'live' for key share`,
      [domainId],
    )
    if (found[0] !== undefined) return found[0].id
  }
  return undefined
}

/** False when it is not the live one any more; if it is, it stays so until the transaction ends. */
export async function isLive(tx: Tx, generationId: number): Promise<boolean> {
  const found = await tx.query(
    `select 1 from millrace.generations where id = $1 and state = 'live' for key share`,
    [generationId],
  )
  return found.length > 0
}

/** The model of every generation that is searched, or is to be. */
export const modelsInUse = async (on: Session): Promise<string[]> =>
  (
    await on.query<{ model: string }>(
      `select distinct model from millrace.generations where state in ('live', 'building') order by model`,
    )
  ).map(({ model }) => model)

/** What says that nothing becomes ready in a live generation for a moment: see `holdBack`. */
const backRole = (generationId: number): string => `hold ${Number(generationId)}`
/** Of generation `id`, an SQL expression. */
export const isHeldBack = (id: string): string =>
  `exists (select 1 from millrace.roles r where r.name = 'hold ' || ${id} and r.until > now())`

/**
 * For so long nothing becomes ready in a live generation, so that one that follows it catches up although documents keep
 * coming: what is complete stays embedding, and whoever brings vectors waits. It ends by itself, should whoever asked for
 * it die; what was held back is made ready by the sweep.
 */
export async function holdBack(db: Db, generationId: number, seconds: number): Promise<void> {
  await db.query(
    `insert into millrace.roles as r (name, until) values ($1, now() + make_interval(secs => $2))
     on conflict (name) do update set until = greatest(r.until, excluded.until)`,
    [backRole(generationId), seconds],
  )
}

export async function letGo(on: Session, generationId: number): Promise<void> {
  await on.query('delete from millrace.roles where name = $1', [backRole(generationId)])
}

/** Whether the live generation of a domain is held back just now. */
export async function isDomainHeldBack(on: Session, domainId: number): Promise<boolean> {
  const held = await on.query(
    `select 1 from millrace.generations g where g.domain_id = $1 and g.state = 'live' and ${isHeldBack('g.id')}`,
    [domainId],
  )
  return held.length > 0
}
