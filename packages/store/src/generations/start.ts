import { createColbert } from '../colbert.js'
import { type Db, one, type Session, type Tx } from '../connect.js'
import type { IndexSettings } from '../domains.js'
import type { CountedWords, GenerationState, LevelRow, Lexical, StorageForm, TextOutput } from '../schema.js'
import { createTerms, termsTable } from '../terms.js'
import { createVectors, vectorsTable } from '../vectors.js'
import { type GenerationRow, getGeneration, type ThresholdPolicy } from './rows.js'

/** A generation that is to be built beside the live one. */
export interface NewGeneration {
  readonly domainId: number
  /** The live one when this was decided; whoever switched meanwhile decided for another. */
  readonly liveId: number
  readonly model: string
  readonly dims: number
  readonly recipe: Readonly<Record<string, unknown>>
  readonly recipeHash: string
  readonly storage: StorageForm
  readonly outputs: readonly TextOutput[]
  readonly lexical: Lexical | null
  /** Default terms. */
  readonly counted?: CountedWords
  /** Default pgvector's: 16 and 64. */
  readonly index?: IndexSettings
  /** The model's, for a recipe that has no levels in this domain yet. */
  readonly levels: readonly LevelRow[]
  /** A generation whose vectors are taken over. Default none. */
  readonly copiesFrom?: number | null
  /** Only those of documents published since. Default all. */
  readonly copiesSince?: Date | null
  /** Default 0.5. */
  readonly weight?: number | undefined
  /** Default false. */
  readonly switchWhenBuilt?: boolean | undefined
  /** Default a day. */
  readonly soakSeconds?: number | undefined
  /** Default false. */
  readonly keepUpToDate?: boolean | undefined
  /** Default confirm. */
  readonly thresholds?: ThresholdPolicy | undefined
  /** Default none. */
  readonly gate?: Readonly<Record<string, unknown>> | undefined
}

/**
 * Writes a generation that is built from here on, and its empty tables. It follows the live one from the moment it is
 * committed: whoever makes a document ready holds the live one's row, which is taken here.
 * `exists`: one is being built; `moved`: another one is live by now; undefined: the domain is gone.
 */
export function insertGeneration(
  db: Db,
  given: NewGeneration,
): Promise<GenerationRow | 'exists' | 'moved' | undefined> {
  return db.transact(async (tx) => {
    const held = await tx.query<{ id: number; state: GenerationState }>(
      `select id, state from millrace.generations where domain_id = $1 order by state <> 'live', id for update`,
      [given.domainId],
    )
    if (held.length === 0) return undefined
    if (held.some(({ state }) => state === 'building')) return 'exists'
    if (held.find(({ state }) => state === 'live')?.id !== given.liveId) return 'moved'
    const id = await insertRow(tx, given)
    // Begun by somebody since the rows above were looked at.
    if (id === undefined) return 'exists'
    await createTables(tx, id, given)
    await tx.query(
      `insert into millrace.bands (domain_id, score, recipe, threshold, levels, chosen)
       values ($1, 'dense', $2, null, $3, false) on conflict do nothing`,
      [given.domainId, given.recipeHash, JSON.stringify(given.levels)],
    )
    return getGeneration(tx, given.domainId, id)
  })
}

/** Undefined when one is being built already. */
async function insertRow(tx: Tx, given: NewGeneration): Promise<number | undefined> {
  const { index = { m: 16, efConstruction: 64 } } = given
  const inserted = await tx.query<{ id: number }>(
    `insert into millrace.generations
       (domain_id, model, dims, recipe, recipe_hash, state, storage, outputs, lexical, counted, index_m,
        index_ef_construction, follows, started_at, copies_from, copies_since, weight, switch_when_built, soak_seconds,
        keep_up_to_date, thresholds, gate)
     values ($1, $2, $3, $4, $5, 'building', $6, $7, $8, $9, $10, $11, true, now(), $12, $13, $14, $15, $16, $17, $18, $19)
     on conflict (domain_id, state) where state in ('live', 'building', 'retired') do nothing
     returning id`,
    [
      given.domainId,
      given.model,
      given.dims,
      JSON.stringify(given.recipe),
      given.recipeHash,
      given.storage,
      given.outputs,
      given.lexical,
      given.counted ?? 'terms',
      index.m,
      index.efConstruction,
      given.copiesFrom ?? null,
      given.copiesSince ?? null,
      given.weight ?? 0.5,
      given.switchWhenBuilt ?? false,
      given.soakSeconds ?? 86_400,
      given.keepUpToDate ?? false,
      given.thresholds ?? 'confirm',
      JSON.stringify(given.gate ?? {}),
    ],
  )
  return inserted[0]?.id
}

async function createTables(
  tx: Tx,
  id: number,
  { storage, dims, outputs }: Pick<NewGeneration, 'storage' | 'dims' | 'outputs'>,
): Promise<void> {
  await createVectors(tx, id, { storage, dims })
  const shown = [vectorsTable(id)]
  if (outputs.includes('sparse')) {
    await createTerms(tx, id)
    shown.push(termsTable(id))
  }
  if (outputs.includes('colbert')) await createColbert(tx, id)
  await tx.query('select millrace.show_to_readers(name::regclass) from unnest($1::text[]) as u (name)', [
    shown,
  ])
}

/** What is undefined stays. */
export interface GenerationChange {
  readonly weight?: number | undefined
  readonly paused?: boolean | undefined
  readonly switchWhenBuilt?: boolean | undefined
  /** Of one being built, of the one that it will replace; of a retired one, its own. */
  readonly soakSeconds?: number | undefined
  /** As `soakSeconds`. A retired one that follows again is filled again first. */
  readonly keepUpToDate?: boolean | undefined
  readonly thresholds?: ThresholdPolicy | undefined
  readonly gate?: Readonly<Record<string, unknown>> | undefined
}

/** The shortest time that a retired generation stays: a search that began before the switch ends within it. */
export const SOAK_SECONDS_MIN = 60

/** Undefined when the domain has no such generation in one of these states. */
export async function patchGeneration(
  on: Session,
  {
    domainId,
    id,
    states,
  }: { readonly domainId: number; readonly id: number; readonly states: readonly GenerationState[] },
  change: GenerationChange,
): Promise<GenerationRow | undefined> {
  const changed = await on.query<{ id: number }>(
    `update millrace.generations g set
       weight = coalesce($4, weight),
       paused = coalesce($5, paused),
       waits_for = case when $5::boolean is null then waits_for end,
       switch_when_built = coalesce($6, switch_when_built),
       thresholds = coalesce($7, thresholds),
       gate = coalesce($8, gate),
       soak_seconds = coalesce($9, soak_seconds),
       drop_at = case when state = 'retired' and $9::int is not null
         then retired_at + make_interval(secs => greatest($9, $11::int)) else drop_at end,
       keep_up_to_date = coalesce($10, keep_up_to_date),
       follows = case when state = 'retired' then coalesce($10, follows) else follows end,
       filled_after = case when state = 'retired' and $10 and not follows then 0 else filled_after end,
       filled_at = case when state = 'retired' and $10 and not follows then null else filled_at end
     where domain_id = $1 and id = $2 and state = any($3) returning id`,
    [
      domainId,
      id,
      states,
      change.weight ?? null,
      change.paused ?? null,
      change.switchWhenBuilt ?? null,
      change.thresholds ?? null,
      change.gate === undefined ? null : JSON.stringify(change.gate),
      change.soakSeconds ?? null,
      change.keepUpToDate ?? null,
      SOAK_SECONDS_MIN,
    ],
  )
  if (changed.length === 0) return undefined
  return getGeneration(on, domainId, one(changed, 'the generation').id)
}
