import { setTimeout as sleep } from 'node:timers/promises'
import type { Engine } from '@millrace/embed'
import { type CodedError, codeOf, messageOf } from '@millrace/errors'
import {
  type BandChange,
  completeness,
  type Db,
  dropIdle,
  type GenerationRow,
  generationErrors,
  getGeneration,
  holdBack,
  isEnough,
  letGo,
  listGenerations,
  reclaimDocuments,
  reconcile,
  type SwitchOutcome,
  switchTo,
  viewHolders,
} from '@millrace/store'
import { isExternal } from '../external.js'
import {
  gateRefused,
  generationEnded,
  isFar,
  mayPass,
  notComplete,
  nothingToRollBack,
  rolledBackAlready,
  stillCopying,
  viewIsRead,
} from '../generations/switch.js'
import type { Log } from '../log.js'
import { requireSameModel } from '../models.js'
import type { Queues } from '../queue.js'
import type { Settings } from '../settings.js'
import { type Domain, findDomain, findDomainAt, requireGeneration, unknownDomain } from './domains.js'

/** Whether a generation finds as well as the live one. What came of it is kept with the generation by whoever measured it. */
export interface GateVerdict {
  readonly passed: boolean
  readonly report: object
  /** Why it is refused, where the report can say it. */
  readonly refusal?: CodedError | undefined
}
/** Null of a forced switch: no verdict stands, and nothing is measured for it. */
export type Gate = (
  domain: Domain,
  generation: GenerationRow,
  how: { readonly isForced: boolean },
) => Promise<GateVerdict | null>

/** Thresholds and levels that the next generation takes over from the live one, as its policy wants it. */
export type CarryBands = (
  live: Domain,
  next: Domain,
  generation: GenerationRow,
) => Promise<readonly BandChange[]>

export interface SwitchDeps {
  readonly db: Db
  readonly engine: Pick<Engine, 'load' | 'manifest'>
  readonly queues: Pick<Queues, 'addPrepare'>
  readonly log: Log
  readonly settings: Pick<Settings, 'ownedSeconds' | 'indexRowsMin'>
  /** Absent: nothing is measured. */
  readonly gate?: Gate | undefined
  /** Absent: none. The model's levels stand with the new recipe since its build began. */
  readonly carryBands?: CarryBands | undefined
}

export interface SwitchWishes {
  /** Although documents failed, or the gate refuses. It is kept. */
  readonly force?: { readonly reason: string } | undefined
}

export interface Switch {
  readonly domain: string
  /** The one that readers see now. */
  readonly live: string
  /** The one that they saw before, which stays for its soak time; null: nothing changed. */
  readonly retired: string | null
  /** The one that was retired until now, which goes because of it; null: there was none. */
  readonly replaced: string | null
  /** Documents that were on their way and are prepared again. */
  readonly again: number
  /** Documents that came or changed while it was not live: received again, in `ingestion`. */
  readonly behind: number
  readonly ingestion: string | null
}

/** How long it waits until nothing is on its way to the next one, or nobody reads the view. */
const WAIT_MS = 15_000
const PAUSE_MS = 100
/** After so long it is looked at whether it will be enough. */
const LOOK_MS = 5_000
const VIEW_PAUSE_MS = 500
/** Longer than between two tries: should this process die, it is over soon. */
const HOLD_SECONDS = 5
/** With more than so many documents still to come, none is soon enough, unless it was complete before. */
const OPEN_FEW = 100
const LOCK_NOT_AVAILABLE = '55P03'

/**
 * Makes a generation the live one: one that is built, when it is complete and its gate lets it, or again the retired one.
 * One that is live already stays so.
 * @throws CodedError UNKNOWN_DOMAIN, UNKNOWN_GENERATION, GENERATION_ENDED, GENERATION_NOT_COMPLETE, GATE_FAILED,
 * MODEL_CHANGED, UNKNOWN_MODEL, those of loading the model, UNAVAILABLE while its view is read for long
 */
export async function switchGeneration(
  deps: SwitchDeps,
  name: string,
  id: string,
  { force }: SwitchWishes = {},
): Promise<Switch> {
  const domain = await findDomain(deps, name)
  const row = await requireGeneration(deps, domain, id)
  if (row.state === 'live') return unchanged(row)
  if (row.state === 'ending' || row.state === 'ended') throw generationEnded(row)
  const next = await findDomainAt(deps, name, id)
  await requireModel(deps, next)
  if (row.state === 'retired') return takeOver(deps, row, { live: domain, next }, { force: null, bands: [] })
  await requireComplete(deps, row, force !== undefined)
  const gated = await passGate(deps, domain, row, force !== undefined)
  const bands = (await deps.carryBands?.(domain, next, row)) ?? []
  const forced = force === undefined ? null : { reason: force.reason, gated }
  return takeOver(deps, row, { live: domain, next }, { force: forced, bands })
}

/**
 * Makes the retired generation the live one again, where that is the older one: asked twice, it does not go forward. What
 * it has missed is received again, and prepared for it.
 * @throws CodedError UNKNOWN_DOMAIN, NOTHING_TO_ROLL_BACK, and those of `switchGeneration`
 */
export async function rollbackGeneration(deps: SwitchDeps, name: string): Promise<Switch> {
  const domain = await findDomain(deps, name)
  const row = (await listGenerations(deps.db, domain.id)).find(({ state }) => state === 'retired')
  if (row === undefined) throw nothingToRollBack(name)
  if (row.id > domain.generationId) throw rolledBackAlready(name, String(row.id))
  const next = await findDomainAt(deps, name, String(row.id)).catch((error: unknown) => {
    throw codeOf(error) === 'UNKNOWN_GENERATION' ? nothingToRollBack(name) : error
  })
  await requireModel(deps, next)
  return takeOver(deps, row, { live: domain, next }, { force: null, bands: [] })
}

const unchanged = ({ domain, id }: Pick<GenerationRow, 'domain' | 'id'>): Switch => ({
  domain,
  live: String(id),
  retired: null,
  replaced: null,
  again: 0,
  behind: 0,
  ingestion: null,
})

/** In memory before the first search needs it. @throws CodedError MODEL_CHANGED, UNKNOWN_MODEL, those of loading it */
async function requireModel({ engine }: Pick<SwitchDeps, 'engine'>, next: Domain): Promise<void> {
  if (isExternal(next)) return
  requireSameModel(engine, next.recipe)
  await engine.load(next.model)
}

/** Or so near to it that waiting a little will do: documents keep coming. */
async function requireComplete(
  { db, settings }: SwitchDeps,
  row: GenerationRow,
  isForced: boolean,
): Promise<void> {
  await reconcile(db, row.domainId, row.id)
  const left = await completeness(db, row.id, settings)
  if (left === undefined) throw generationEnded({ ...row, state: 'ended' })
  const isNear = !row.paused && (row.builtAt !== null || left.open <= OPEN_FEW)
  if (isEnough(left, isForced) || (isNear && mayPass(left, isForced))) return
  throw notComplete(row, left, await generationErrors(db, row.id))
}

/** Kept where a forced switch did not wait for a verdict. */
const UNASKED = {
  state: 'unasked',
  sentence: { en: 'Its gate was not asked.', zh: '未经门槛检验。' },
}

/** What stands of a gate that was overruled; null: it passed, or there is none. @throws CodedError GATE_FAILED */
async function passGate(
  { gate }: Pick<SwitchDeps, 'gate'>,
  domain: Domain,
  row: GenerationRow,
  isForced: boolean,
): Promise<object | null> {
  if (gate === undefined) return null
  const verdict = await gate(domain, row, { isForced }).catch((error: unknown): GateVerdict => {
    if (!isForced) throw error
    return { passed: false, report: { error: { code: codeOf(error), message: messageOf(error) } } }
  })
  if (verdict === null) return UNASKED
  if (verdict.passed) return null
  if (!isForced) throw verdict.refusal ?? gateRefused(row, verdict.report)
  return verdict.report
}

interface Sides {
  readonly live: Domain
  readonly next: Domain
}
type How = Pick<Parameters<typeof switchTo>[1], 'force' | 'bands'>

async function takeOver(
  deps: SwitchDeps,
  row: GenerationRow,
  { live, next }: Sides,
  how: How,
): Promise<Switch> {
  const outcome = await tryFor(deps, row, { live, next }, how).finally(() =>
    letGo(deps.db, live.generationId).catch(() => undefined),
  )
  if (outcome.outcome === 'live') return unchanged(row)
  if (outcome.outcome === 'gone') throw await whyGone(deps, row)
  if (outcome.outcome === 'copying') throw stillCopying(row, outcome.behind)
  if (outcome.outcome === 'incomplete') {
    throw notComplete(row, outcome.left, await generationErrors(deps.db, row.id))
  }
  const { retired, replaced, again, behind, ingestion } = outcome
  deps.log.info(
    { domain: row.domain, live: row.id, retired, replaced, again, behind },
    'another generation is live',
  )
  // Behind it: what dies here is done by the sweep.
  await prepareAgain(deps, again + behind).catch((error: unknown) =>
    deps.log.warn({ err: error }, 'not enqueued, the sweep will do it'),
  )
  await dropIdle(deps.db).catch(() => undefined)
  return {
    domain: row.domain,
    live: String(row.id),
    retired: String(retired),
    replaced: replaced === null ? null : String(replaced),
    again,
    behind,
    ingestion: ingestion === null ? null : String(ingestion),
  }
}

/** Again and again for a while where only a moment is in the way; nothing new becomes ready meanwhile. */
async function tryFor(
  deps: SwitchDeps,
  row: GenerationRow,
  { live, next }: Sides,
  how: How,
): Promise<SwitchOutcome> {
  const begun = performance.now()
  const end = begun + WAIT_MS
  let first: number | undefined
  for (;;) {
    const outcome = await once(deps, row, next, how)
    const isOver = performance.now() > end
    if (outcome === 'read') {
      if (isOver) throw viewIsRead(row.domain, await viewHolders(deps.db, row.domain).catch(() => []))
      // Whoever publishes waits while it tries.
      await sleep(VIEW_PAUSE_MS)
    } else {
      if (isOver || !isMoment(outcome, how)) return outcome
      if (outcome.outcome === 'incomplete') {
        first ??= outcome.left.open
        if (performance.now() - begun > LOOK_MS && isFar(first, outcome.left.open)) return outcome
      }
      await holdBack(deps.db, live.generationId, HOLD_SECONDS)
    }
    await sleep(PAUSE_MS)
  }
}

const isMoment = (outcome: SwitchOutcome, { force }: How): boolean =>
  outcome.outcome === 'copying' || (outcome.outcome === 'incomplete' && mayPass(outcome.left, force !== null))

async function once(
  { db, settings }: SwitchDeps,
  row: GenerationRow,
  next: Domain,
  how: How,
): Promise<SwitchOutcome | 'read'> {
  try {
    const { domainId, id } = row
    const { indexRowsMin } = settings
    const external = isExternal(next)
    return await switchTo(db, { domainId, generationId: id, isExternal: external, indexRowsMin, ...how })
  } catch (error) {
    if (codeOf(error) === LOCK_NOT_AVAILABLE) return 'read'
    throw error
  }
}

async function whyGone(deps: SwitchDeps, row: GenerationRow): Promise<CodedError> {
  const now = await getGeneration(deps.db, row.domainId, row.id)
  return now === undefined ? unknownDomain(row.domain) : generationEnded(now)
}

/** Of so many documents that are free again, the first few thousand at once; the sweep goes on. */
const PASSES_MAX = 5

async function prepareAgain({ db, queues, settings }: SwitchDeps, documents: number): Promise<void> {
  for (let pass = 0, more = documents > 0; more && pass < PASSES_MAX; pass++) {
    const reclaimed = await reclaimDocuments(db, settings.ownedSeconds)
    await queues.addPrepare(reclaimed.ranges)
    more = reclaimed.more
  }
}
