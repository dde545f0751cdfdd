import type { Engine, Level } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  type BandRow,
  type CarriedRow,
  type Db,
  type GenerationRow,
  keepCarried,
  listCarried,
  type NewCarried,
  type ThresholdPolicy,
} from '@millrace/store'
import type { SampledKind, Sides } from '../generations/asker.js'
import { bandUnder, type Item, itemsOf, numberIn, rowOf } from '../generations/bands.js'
import { type Carried, carryOver } from '../generations/carry.js'
import { openSampler, type Sampler } from '../generations/samples.js'
import { generationEnded } from '../generations/switch.js'
import { bandOf, type MadeWith, madeWith, ownerOf } from '../search/bands.js'
import { checkColbert } from '../search/rerank.js'
import { rangeOf, SCORE_KINDS, type ScoreKind } from '../search/scores.js'
import { type Domain, findDomainAt, requireGeneration } from './domains.js'
import type { CarryBands } from './switch.js'

interface Deps {
  readonly db: Db
  readonly engine: Engine
}

/** `applied`: by the generation's policy, when it took over. */
export interface CarriedItem extends Omit<CarriedRow, 'state'> {
  readonly state: CarriedRow['state'] | 'applied'
}

/** What the thresholds and levels of the live generation are under another one. */
export interface CarriedThresholds {
  readonly generation: string
  /** The one that was live when it was measured; null: nothing was. */
  readonly from: string | null
  readonly policy: ThresholdPolicy
  /** Both have one recipe: thresholds and levels stay what they are. */
  readonly isSame: boolean
  readonly items: readonly CarriedItem[]
  /** Kinds of score that have something, and what there is to say of them. */
  readonly notes: readonly string[]
}

export interface CarryOptions {
  /** Measure anew, also where nothing has changed. Default false. */
  readonly fresh?: boolean | undefined
  /** Around what is measured, which reads and embeds for a minute. Default: as it is. */
  readonly alone?: (<T>(work: () => Promise<T>) => Promise<T>) | undefined
}

const SAMPLED = SCORE_KINDS.filter((kind): kind is SampledKind => kind !== 'rerank')

/**
 * What was chosen for the live generation, beside what means the same under the one that is built: measured now where it
 * was not, where something else was chosen since, or where the generation was not complete then. Of one that is not being
 * built, what was measured when it was.
 * @param domain live
 * @throws CodedError UNKNOWN_GENERATION, and those of searching it
 */
export async function carryThresholds(
  deps: Deps,
  domain: Domain,
  id: string,
  { fresh = false, alone = (work) => work() }: CarryOptions = {},
): Promise<CarriedThresholds> {
  const row = await requireGeneration(deps, domain, id)
  const kept = await listCarried(deps.db, row.id)
  if (row.state !== 'building' || domain.recipeHash === row.recipeHash)
    return showCarried(deps, domain, row, kept)
  const wanted = wantedOf(deps, domain)
  if (!fresh && isStill(domain, row, kept, wanted)) return showCarried(deps, domain, row, kept)
  const { rows, notes } = await alone(() => measure(deps, domain, id, wanted))
  const which = { domainId: domain.id, generationId: row.id }
  if (!(await keepCarried(deps.db, which, rows)))
    throw generationEnded(await requireGeneration(deps, domain, id))
  const all = await showCarried(deps, domain, row, await listCarried(deps.db, row.id))
  return { ...all, notes: [...all.notes, ...notes] }
}

export async function showCarried(
  deps: Deps,
  domain: Domain,
  row: GenerationRow,
  items: readonly CarriedRow[],
): Promise<CarriedThresholds> {
  const isSame = row.id !== domain.generationId && domain.recipeHash === row.recipeHash
  const isReranked = bandOf(domain, 'rerank', madeWith(deps.engine, domain))?.chosen === true
  return {
    generation: String(row.id),
    from: items[0] === undefined ? null : String(items[0].fromGeneration),
    policy: row.thresholds,
    isSame,
    items: items.map((one) => ({ ...one, state: stateOf(domain, row, one) })),
    notes: [
      ...(isSame ? ['Both generations have one recipe: thresholds and levels mean what they meant.'] : []),
      ...(items.length === 0 && !isSame ? [whyEmpty(domain, row, isReranked)] : []),
      ...(isReranked ? ['Those of rerank belong to the reranker, which stays.'] : []),
    ],
  }
}

/** Why there is nothing to carry. */
function whyEmpty({ generationId }: Domain, { id, state }: GenerationRow, isReranked: boolean): string {
  if (id === generationId) return 'This is the live generation: its thresholds and levels are its own.'
  if (state !== 'building') return 'Nothing was measured of it while it was being built.'
  if (isReranked) return 'No other threshold or level of the live generation was chosen by a person.'
  return 'No threshold or level of the live generation was chosen by a person: those of the new model hold.'
}

function stateOf(domain: Domain, { liveSince }: GenerationRow, one: CarriedRow): CarriedItem['state'] {
  if (one.state !== 'proposed' || liveSince === null || one.new === null) return one.state
  const band = domain.bands.find(({ score, recipe }) => score === one.score && recipe === one.recipe)
  const value = band?.chosen === true ? numberIn(band, one.item) : undefined
  return value != null && Math.abs(value - one.new) < APPLIED ? 'applied' : one.state
}

/** Levels that fell together are kept apart by less. */
const APPLIED = 2e-3

interface Wanted {
  readonly score: SampledKind
  readonly items: readonly Item[]
}

/** What a person chose, of each kind. */
function wantedOf({ engine }: Pick<Deps, 'engine'>, domain: Domain): Wanted[] {
  const made = madeWith(engine, domain)
  return SAMPLED.flatMap((score) => {
    const band = bandOf(domain, score, made)
    if (band?.chosen !== true) return []
    const items = itemsOf(band, score === 'dense' ? ownLevels(engine, domain.model) : undefined)
    return items.length === 0 ? [] : [{ score, items }]
  })
}

/** Undefined of a model that is gone: then nobody can tell. */
function ownLevels(engine: Pick<Engine, 'models'>, model: string): readonly Level[] | undefined {
  return engine.models().find(({ id }) => id === model)?.levels
}

function isStill(
  domain: Domain,
  row: GenerationRow,
  kept: readonly CarriedRow[],
  wanted: readonly Wanted[],
): boolean {
  const items = wanted.flatMap(({ score, items }) => items.map((one) => ({ score, ...one })))
  const isKept = items.every(({ score, item, value }) =>
    kept.some((one) => one.score === score && one.item === item && Math.abs(one.old - value) < 1e-6),
  )
  const isChosen = (one: CarriedRow) =>
    items.some(({ score, item }) => score === one.score && item === one.item)
  return (
    isKept &&
    kept.every(
      (one) =>
        (one.state !== 'proposed' || isChosen(one)) &&
        one.fromGeneration === domain.generationId &&
        (row.builtAt === null || one.madeAt >= row.builtAt),
    )
  )
}

async function measure(deps: Deps, domain: Domain, id: string, wanted: readonly Wanted[]) {
  const sides: Sides = { old: domain, new: await findDomainAt(deps, domain.name, id) }
  const sampler = openSampler(deps, sides)
  const rows: NewCarried[] = []
  const notes: string[] = []
  for (const { score, items } of wanted) {
    const found = await carryKind(deps, sides, sampler, score, items)
    const recipe = ownerOf(sides.new, score, madeWith(deps.engine, sides.new)) ?? sides.new.recipeHash
    const of = { score, recipe, fromGeneration: domain.generationId }
    items.forEach(({ item }, i) => {
      const carried = found.carried[i]
      if (carried !== undefined) rows.push(rowOf({ ...of, item }, carried))
    })
    notes.push(...found.notes.map((note) => `${score}: ${note}.`))
  }
  return { rows, notes }
}

interface Found {
  readonly carried: readonly Carried[]
  readonly notes: readonly string[]
}

async function carryKind(
  deps: Deps,
  sides: Sides,
  sampler: Sampler,
  score: SampledKind,
  items: readonly Item[],
): Promise<Found> {
  const olds = items.map(({ value }) => value)
  const made = { old: madeWith(deps.engine, sides.old), new: madeWith(deps.engine, sides.new) }
  const none = whyNone(deps, sides, score)
  if (none !== undefined) return { carried: olds.map((old) => without(old, none)), notes: [] }
  if (score === 'hybrid' && isByPlace(made.old) && isByPlace(made.new)) {
    return { carried: olds.map(unchanged), notes: [] }
  }
  const range = rangeOf(score, { lexical: sides.new.lexical, fusion: made.new.fusion })
  const golden = await sampler.golden(score)
  const by = await carryOver({ golden: golden.samples, unrelated: [], from: [], range }, olds)
  if (by.every(({ pairs }) => pairs.golden > 0)) return { carried: by, notes: golden.notes }
  const { samples, from, notes } = await sampler.unrelated(score)
  return {
    carried: await carryOver({ golden: [], unrelated: samples, from, range }, olds),
    notes: [...new Set([...golden.notes, ...notes])],
  }
}

/** Fused by places, scores are the same share of the best place under every model. */
const isByPlace = ({ fusion }: MadeWith): boolean => fusion?.method === 'rrf'

/** Why the new generation has no such score; undefined: it has. */
function whyNone({ engine }: Pick<Deps, 'engine'>, sides: Sides, score: SampledKind): string | undefined {
  if ((score === 'sparse' || score === 'hybrid') && sides.new.lexical === null) {
    return 'The new generation keeps no terms of its texts, so it has no such score.'
  }
  if (score !== 'colbert') return undefined
  try {
    checkColbert(engine, sides.new)
    return undefined
  } catch (error) {
    if (!(error instanceof CodedError)) throw error
    return `The new generation has no such score: ${error.message}.`
  }
}

const plain = { pairs: { unrelated: 0, golden: 0, from: [] }, above: null } as const

const without = (old: number, why: string): Carried => ({
  ...plain,
  old,
  new: null,
  low: null,
  high: null,
  method: 'none',
  separates: false,
  sureness: 'low',
  why,
})

const unchanged = (old: number): Carried => ({
  ...plain,
  old,
  new: old,
  low: old,
  high: old,
  method: 'unchanged',
  separates: true,
  sureness: 'high',
  why: 'Fused by places, a score says where a hit stands in both rankings, whatever the model.',
})

/**
 * What comes with a switch by itself, as the generation's policy has it. `carry`: what was carried and is not of low
 * sureness, but for kinds that a person decided. `confirm` and `defaults`: nothing; what a person confirmed stands
 * with the new recipe already, and without that its model's levels do. Kinds that could not be measured are left out.
 */
export const carryBandsOf =
  (deps: Deps): CarryBands =>
  async (live, next, generation) => {
    if (generation.thresholds !== 'carry' || live.recipeHash === next.recipeHash) return []
    const { items } = await carryThresholds(deps, live, String(generation.id))
    const made = madeWith(deps.engine, next)
    return SAMPLED.flatMap((score) => {
      if (bandOf(next, score, made)?.chosen === true) return []
      const band = bandUnder(score, items, bandFor(deps.engine, live, score), isSure)
      return band === undefined ? [] : [band]
    })
  }

/** Sure enough to be taken over by a policy. */
export const isSure = ({ sureness }: Pick<CarriedRow, 'sureness'>): boolean => sureness !== 'low'

export const bandFor = (engine: Engine, domain: Domain, score: ScoreKind): BandRow | undefined =>
  bandOf(domain, score, madeWith(engine, domain))
