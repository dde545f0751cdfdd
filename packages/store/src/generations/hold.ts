import type { Session, Tx } from '../connect.js'
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
