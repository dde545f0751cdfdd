import type { Engine } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  type BandChange,
  type CarriedDecision,
  type CarriedRow,
  type Db,
  decideCarried,
  type GenerationRow,
  listCarried,
} from '@millrace/store'
import { bandUnder, numberIn } from '../generations/bands.js'
import { generationEnded } from '../generations/switch.js'
import { checkBand, madeWith, ownerOf } from '../search/bands.js'
import { SCORE_KINDS, type ScoreKind } from '../search/scores.js'
import { bandFor, type CarriedThresholds, type CarryOptions, carryThresholds, showCarried } from './carry.js'
import { type BandWishes, type Domain, findDomainAt, requireGeneration } from './domains.js'

interface Deps {
  readonly db: Db
  readonly engine: Engine
}

/** What a person wants of thresholds that were carried; what is said itself goes before what is accepted. */
export interface CarryDecision {
  /** True: all that have a number; or those of some kinds of score. */
  readonly accept?: true | readonly ScoreKind[] | undefined
  readonly thresholds?: Partial<Readonly<Record<ScoreKind, BandWishes | undefined>>> | undefined
}

/**
 * Thresholds and levels that hold from the moment on in which the generation takes over.
 * @param domain live
 * @throws CodedError UNKNOWN_GENERATION, GENERATION_ENDED, THRESHOLDS_SETTLED where nothing is to be decided any more,
 * NOT_CARRIED for a kind of score that is accepted and has no number, BAD_THRESHOLD
 */
export async function decideThresholds(
  deps: Deps,
  domain: Domain,
  id: string,
  decision: CarryDecision,
  options: Pick<CarryOptions, 'alone'> = {},
): Promise<CarriedThresholds> {
  const row = await requireGeneration(deps, domain, id)
  if (row.state === 'ending' || row.state === 'ended') throw generationEnded(row)
  if (row.state !== 'building' || row.recipeHash === domain.recipeHash) throw settled(domain, row)
  await carryThresholds(deps, domain, id, options)
  const items = await listCarried(deps.db, row.id)
  const next = await findDomainAt(deps, domain.name, id)
  const accepted = acceptedBands(deps, domain, items, decision.accept)
  const said = saidBands(deps, next, decision.thresholds ?? {})
  const bands = mergeBands(accepted, said)
  const which = { domainId: domain.id, generationId: row.id }
  if (!(await decideCarried(deps.db, which, bands, decisionsOf(items, accepted, said)))) {
    throw settled(domain, await requireGeneration(deps, domain, id))
  }
  return showCarried(deps, domain, row, await listCarried(deps.db, row.id))
}

const settled = ({ name, recipeHash }: Domain, row: GenerationRow) =>
  new CodedError(
    'THRESHOLDS_SETTLED',
    row.state === 'building' && row.recipeHash === recipeHash
      ? `Generation ${row.id} of "${name}" has the recipe of the live one: its thresholds stay`
      : `Generation ${row.id} of "${name}" is ${row.state}: its thresholds are decided`,
    {
      hint: `PATCH /v1/domains/${name} changes those of the live generation: millrace domains set ${name} --threshold dense=0.4`,
      details: { id: String(row.id) },
    },
  )

function acceptedBands(
  { engine }: Pick<Deps, 'engine'>,
  domain: Domain,
  items: readonly CarriedRow[],
  accept: CarryDecision['accept'],
): BandChange[] {
  if (accept === undefined) return []
  const kinds = accept === true ? SCORE_KINDS : accept
  return kinds.flatMap((score) => {
    const band = bandUnder(score, items, bandFor(engine, domain, score), () => true)
    if (band !== undefined) return [band]
    if (accept === true) return []
    throw new CodedError('NOT_CARRIED', `No threshold or level of ${score} has a number to accept`, {
      hint: 'Say one in thresholds, or leave it out: then the model’s own levels hold',
      details: { score },
    })
  })
}

/** @throws CodedError BAD_THRESHOLD, NO_RERANKER */
function saidBands(
  { engine }: Pick<Deps, 'engine'>,
  next: Domain,
  thresholds: NonNullable<CarryDecision['thresholds']>,
): BandChange[] {
  const made = madeWith(engine, next)
  return SCORE_KINDS.flatMap((score) => {
    const wish = thresholds[score]
    if (wish === undefined) return []
    checkBand(next, score, wish, made)
    const recipe = ownerOf(next, score, made)
    if (recipe !== undefined) return [{ score, ...wish, recipe, chosen: true }]
    throw new CodedError('NO_RERANKER', `Generation ${next.generationId} makes no scores of ${score}`, {
      hint: 'Leave them out',
    })
  })
}

/** What is said itself goes before what is accepted. */
function mergeBands(accepted: readonly BandChange[], said: readonly BandChange[]): BandChange[] {
  const merged = new Map(accepted.map((band) => [band.score, band]))
  for (const band of said) {
    const given = Object.fromEntries(Object.entries(band).filter(([, value]) => value !== undefined))
    merged.set(band.score, { ...(merged.get(band.score) ?? band), ...given })
  }
  return [...merged.values()]
}

function decisionsOf(
  items: readonly CarriedRow[],
  accepted: readonly BandChange[],
  said: readonly BandChange[],
): CarriedDecision[] {
  return items.flatMap(({ score, item }): CarriedDecision[] => {
    const valueIn = (bands: readonly BandChange[]) => {
      const band = bands.find((one) => one.score === score)
      return band === undefined ? undefined : numberIn(band, item)
    }
    const own = valueIn(said)
    if (own !== undefined) return [{ score, item, state: 'replaced', decided: own }]
    const taken = valueIn(accepted)
    return taken == null ? [] : [{ score, item, state: 'confirmed', decided: taken }]
  })
}
