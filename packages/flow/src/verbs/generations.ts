import type { Engine } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  completeness,
  countDocuments,
  countPublished,
  type Db,
  formsBehind,
  type GenerationChange,
  type GenerationRow,
  type GenerationState,
  generationErrors,
  insertGeneration,
  listRefusals,
  listGenerations as listRows,
  lookAgain,
  NO_DOCUMENTS,
  NO_PROGRESS,
  patchGeneration,
  progressOf,
  readyVolume,
  type ThresholdPolicy,
  takeBackLeases,
} from '@millrace/store'
import { isExternal } from '../external.js'
import { type Copies, copiesOf } from '../generations/copies.js'
import { checkGate } from '../generations/gate.js'
import { type GenerationPlan, type PlanDeps, planGeneration } from '../generations/plan.js'
import type { Rates } from '../generations/rate.js'
import { describeGeneration, type Generation } from '../generations/report.js'
import { type Change, changesOf, type MakingWishes, type Wanted, wantedOf } from '../generations/wanted.js'
import type { Settings } from '../settings.js'
import { type Domain, findDomain, requireGeneration, unknownDomain, unknownGeneration } from './domains.js'

/** How a generation is built and takes over. */
export interface RunWishes {
  /** Its share of embedding beside a generation of weight 1, above 0 to 10. Default 0.5. */
  readonly weight?: number | undefined
  /** Default manual. */
  readonly switch?: 'manual' | 'built' | undefined
  /** How long the one that it replaces stays. Default a day. */
  readonly soakSeconds?: number | undefined
  readonly keepUpToDate?: boolean | undefined
  readonly thresholds?: ThresholdPolicy | undefined
  readonly gate?: Readonly<Record<string, unknown>> | undefined
}

export interface GenerationWishes extends MakingWishes, RunWishes {}

export interface GenerationPatch extends RunWishes {
  readonly paused?: boolean | undefined
}

interface Deps {
  readonly db: Db
  readonly engine: Engine
  /** Absent: rates are those since a build began. */
  readonly rates?: Rates | undefined
  readonly settings: Pick<Settings, 'indexRowsMin'>
}

/** What is decided before anything is written. */
interface Decided {
  readonly live: Domain
  readonly wanted: Wanted
  readonly changes: readonly Change[]
  readonly copies: Copies | undefined
}

/**
 * Begins a generation beside the live one and starts the load of its model; workers build it from here on.
 * @throws CodedError UNKNOWN_DOMAIN, GENERATION_EXISTS, NOTHING_CHANGES, and those of `wantedOf`
 */
export async function startGeneration(
  deps: Deps,
  name: string,
  wishes: GenerationWishes,
): Promise<Generation> {
  for (;;) {
    const { live, wanted, copies } = await decide(deps, name, wishes)
    const made = await insertGeneration(deps.db, {
      domainId: live.id,
      liveId: live.generationId,
      ...wanted,
      recipe: wanted.stored,
      copiesFrom: copies === undefined ? null : live.generationId,
      copiesSince: wishes.copySince ?? null,
      ...rowOf(wishes),
    })
    if (made === undefined) throw unknownDomain(name)
    if (made === 'exists') throw await exists(deps.db, live)
    // Somebody switched meanwhile: the wishes are about the one that is live now.
    if (made === 'moved') continue
    // A failed load is kept as the model's state and tried again by whoever needs it next.
    if (!isExternal(made)) deps.engine.load(made.model).catch(() => undefined)
    return describe(deps, live, made)
  }
}

/**
 * What starting it would cost; nothing is written.
 * @throws CodedError those of `startGeneration`
 */
export async function planNext(
  deps: Deps & PlanDeps,
  name: string,
  wishes: GenerationWishes,
): Promise<GenerationPlan> {
  const { live, wanted, changes, copies } = await decide(deps, name, wishes)
  const rows = await listRows(deps.db, live.id)
  if (rows.some(({ state }) => state === 'building')) throw await exists(deps.db, live)
  return planGeneration(deps, live, { wanted, changes, copies, copySince: wishes.copySince ?? null })
}

async function decide(deps: Deps, name: string, wishes: GenerationWishes): Promise<Decided> {
  const live = await findDomain(deps, name)
  const wanted = wantedOf(deps, live, wishes)
  const changes = changesOf(live, wanted, wishes)
  if (changes.length === 0) {
    throw new CodedError('NOTHING_CHANGES', `"${name}" has all of that already`, {
      hint: 'Change a field, or send "copy": false to compute every vector anew',
      details: { domain: name, generation: String(live.generationId) },
    })
  }
  return { live, wanted, changes, copies: wishes.copy === false ? undefined : copiesOf(live, wanted) }
}

async function exists(db: Db, { id, name }: Pick<Domain, 'id' | 'name'>): Promise<CodedError> {
  const building = (await listRows(db, id)).find(({ state }) => state === 'building')
  const which = building === undefined ? 'One' : `Generation ${building.id}`
  return new CodedError('GENERATION_EXISTS', `${which} of "${name}" is being built already`, {
    hint: `Wait for it, switch to it, or cancel it: millrace generations cancel ${name} ${building?.id ?? 'ID'}`,
    details: { domain: name, id: building === undefined ? null : String(building.id) },
  })
}

/** @throws CodedError UNKNOWN_DOMAIN */
export async function listGenerations(deps: Deps, name: string): Promise<Generation[]> {
  const domain = await findDomain(deps, name)
  return describeAll(deps, domain, await listRows(deps.db, domain.id))
}

/** @throws CodedError UNKNOWN_DOMAIN, UNKNOWN_GENERATION */
export async function getGeneration(deps: Deps, name: string, id: string): Promise<Generation> {
  const domain = await findDomain(deps, name)
  return describe(deps, domain, await requireGeneration(deps, domain, id))
}

/**
 * Changes how a generation is built, takes over and stays.
 * @throws CodedError UNKNOWN_DOMAIN, UNKNOWN_GENERATION, GENERATION_ENDED where a field means nothing any more
 */
export async function changeGeneration(
  deps: Deps,
  name: string,
  id: string,
  patch: GenerationPatch,
): Promise<Generation> {
  const domain = await findDomain(deps, name)
  for (;;) {
    const row = await requireGeneration(deps, domain, id)
    requireChangeable(row, patch)
    const { id: number, domainId, state } = row
    const changed = await patchGeneration(deps.db, { id: number, domainId, states: [state] }, rowOf(patch))
    // Undefined: it is in another state by now, in which other fields mean something.
    if (changed === undefined) continue
    if (patch.gate !== undefined || patch.switch !== undefined) await lookAgain(deps.db, number)
    if (patch.paused === true) await takeBackLeases(deps.db, number)
    return describe(deps, domain, changed)
  }
}

/** Fields that mean something in a state; in those that are left out nothing does. */
const CHANGEABLE: Partial<Readonly<Record<GenerationState, readonly (keyof GenerationPatch)[]>>> = {
  building: ['weight', 'paused', 'switch', 'soakSeconds', 'keepUpToDate', 'thresholds', 'gate'],
  retired: ['weight', 'paused', 'soakSeconds', 'keepUpToDate'],
}

/** @throws CodedError GENERATION_ENDED */
export function requireChangeable(
  { id, state, domain }: Pick<GenerationRow, 'id' | 'state' | 'domain'>,
  patch: GenerationPatch,
): void {
  const allowed: readonly string[] = CHANGEABLE[state] ?? []
  const wished = Object.entries(patch).flatMap(([field, value]) => (value === undefined ? [] : [field]))
  const fields = wished.filter((field) => !allowed.includes(field))
  if (fields.length === 0 && allowed.length > 0) return
  const hint =
    state === 'live'
      ? `The build of the live one is over; PATCH /v1/domains/${domain} changes thresholds and searches: millrace domains set ${domain} --threshold dense=0.4`
      : state === 'retired'
        ? `Of a retired one only ${allowed.join(', ')} can be changed`
        : 'Nothing is left of it but its history'
  throw new CodedError(
    'GENERATION_ENDED',
    `Generation ${id} of "${domain}" is ${state}: ${fields.join(', ') || 'nothing'} can be changed no more`,
    { hint, details: { domain, id: String(id), state, fields } },
  )
}

/** Only of what is wished: the rest has its defaults, or stays. */
const rowOf = ({ switch: when, ...wishes }: GenerationPatch & MakingWishes): GenerationChange => {
  const { weight, paused, soakSeconds, keepUpToDate, thresholds } = wishes
  const gate = wishes.gate === undefined ? undefined : { ...checkGate(wishes.gate) }
  const wished = { weight, paused, soakSeconds, keepUpToDate, thresholds, gate }
  return Object.fromEntries(
    Object.entries({ ...wished, switchWhenBuilt: when === undefined ? undefined : when === 'built' }).filter(
      ([, value]) => value !== undefined,
    ),
  )
}

async function describe(deps: Deps, domain: Domain, row: GenerationRow): Promise<Generation> {
  const [generation] = await describeAll(deps, domain, [row])
  if (generation === undefined) throw unknownGeneration(domain, String(row.id))
  return generation
}

/** A fixed number of statements, however many they are: at most two of a domain's generations are worked on. */
async function describeAll(
  { db, rates, settings }: Deps,
  domain: Pick<Domain, 'id'>,
  rows: readonly GenerationRow[],
): Promise<Generation[]> {
  const idsOf = (...states: GenerationState[]) =>
    rows.filter(({ state }) => states.includes(state)).map(({ id }) => id)
  const awaited = rows.filter(({ state, switchWhenBuilt }) => state === 'building' && switchWhenBuilt)
  const [behind, progress, published, live, refusals] = await Promise.all([
    formsBehind(
      db,
      rows.map(({ id }) => id),
    ),
    progressOf(db, idsOf('building', 'retired')),
    countPublished(db, idsOf('retired')),
    idsOf('live').length === 0 ? undefined : liveFacts(db, domain),
    awaited.length === 0
      ? undefined
      : listRefusals(
          db,
          awaited.map(({ id }) => id),
        ),
  ])
  const now = new Date()
  const found: Generation[] = []
  for (const row of rows) {
    const isOpen = row.state === 'building' || row.state === 'retired'
    const own = progress.get(row.id) ?? NO_PROGRESS
    found.push(
      describeGeneration(row, {
        progress: own,
        completeness: row.state === 'building' ? await completeness(db, row.id, settings) : undefined,
        errors: isOpen && own.failed > 0 ? await generationErrors(db, row.id) : [],
        behind: behind.get(row.id),
        live: row.state === 'live' ? live : undefined,
        published: published.get(row.id),
        switchAgainAt: refusals?.get(row.id),
        rate: isOpen ? rates?.of(row.id, { at: now.getTime(), tokens: row.tokensEmbedded }) : undefined,
        now,
      }),
    )
  }
  return found
}

async function liveFacts(db: Db, { id }: Pick<Domain, 'id'>) {
  const [counts, volume] = await Promise.all([countDocuments(db, [id]), readyVolume(db, id)])
  return { counts: counts.get(id) ?? NO_DOCUMENTS, ...volume }
}
