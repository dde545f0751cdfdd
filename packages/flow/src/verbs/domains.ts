import type { Engine, Level } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  type BandChange,
  type Db,
  type DomainRow,
  type GenerationRow,
  getDomain,
  getDomainAt,
  getGeneration,
  type IndexSettings,
  insertDomain,
  isImporting,
  type Lexical,
  listDomains as listRows,
  deleteDomain as removeDomain,
  type ScoreKind,
  type SearchSettings,
  type StorageForm,
  type TextOutput,
  updateDomain as updateRow,
} from '@millrace/store'
import { numberOf } from '../cursor.js'
import { DIMS_MAX, EXTERNAL, EXTERNAL_LEVELS, externalRecipe, isExternal, storedRecipe } from '../external.js'
import {
  canonicalJson,
  changedRecipe,
  type Recipe,
  type RecipeWishes,
  recipeHash,
  recipeOf,
} from '../recipe.js'
import { checkBand, madeWith, ownerOf } from '../search/bands.js'
import { modelsOf } from '../search/rerank.js'
import { requireSearch, searchOf } from '../search/settings.js'

export interface Domain extends Omit<DomainRow, 'recipe'> {
  readonly recipe: Recipe
}

/** Of one kind of score; what is undefined stays. */
export interface BandWishes {
  /** Least score of a hit; null: no cut. */
  readonly threshold?: number | null | undefined
  /** Null: none. */
  readonly levels?: readonly Level[] | null | undefined
}

/** Of every kind of score but dense, whose threshold and levels are the domain's own. */
export type ScoreWishes = { readonly [K in Exclude<ScoreKind, 'dense'>]?: BandWishes | undefined }

type Wished<T> = { readonly [K in keyof T]?: T[K] | undefined }

export interface SearchWishes extends Omit<SearchSettings, 'fusion' | 'rerank' | 'efSearch' | 'candidates'> {
  /** Null: the usual one. */
  readonly fusion?: SearchSettings['fusion'] | null
  /** Null: none. */
  readonly rerank?: { readonly by: string; readonly top?: number | undefined } | null | undefined
}

export interface DomainWishes extends RecipeWishes {
  readonly name: string
  /** `external`: documents bring their vectors, of `dims` numbers. */
  readonly model?: string | undefined
  /** Of an external domain, and of no other. */
  readonly dims?: number | undefined
  readonly threshold?: number | null | undefined
  readonly levels?: readonly Level[] | undefined
  /** Default full. */
  readonly storage?: StorageForm | undefined
  /** Default dense and sparse; of an external domain dense alone. */
  readonly outputs?: readonly TextOutput[] | undefined
  readonly index?: IndexWishes | undefined
  readonly search?: SearchWishes | undefined
  readonly scores?: ScoreWishes | undefined
}

export interface IndexWishes extends Wished<IndexSettings> {
  /** Vectors that a search looks at, 1 to 1,000. Default 200. */
  readonly efSearch?: number | undefined
  /** By meaning, how many are looked at closely, 1 to 10,000; null: what the form of storage needs. */
  readonly candidates?: number | null | undefined
}

interface Deps {
  readonly db: Db
  readonly engine: Engine
  readonly defaultModel: string
}

/** Only what recipeOf wrote is ever stored, so what comes out is one. */
const asDomain = (row: DomainRow): Domain => ({
  ...row,
  recipe: isExternal(row) ? externalRecipe() : (row.recipe as unknown as Recipe),
})

/**
 * Creates a domain and starts the load of its models, if it has any; its first requests wait for that.
 * @throws CodedError DOMAIN_EXISTS, DOMAIN_IMPORTING, UNKNOWN_MODEL, BAD_CHUNKING, BAD_DIMS, NOT_FOR_EXTERNAL, MISSING_OUTPUT, BAD_INDEX,
 * BAD_FUSION, and those of a reranker
 */
export async function createDomain(deps: Deps, wishes: DomainWishes): Promise<Domain> {
  const made = wishes.model === EXTERNAL ? externalOf(wishes) : modelOf(deps, wishes)
  const hash = recipeHash(made.recipe)
  const kept = outputsOf(deps.engine, made.model, wishes.outputs)
  const search = searchOf({}, wishes)
  requireSearch(deps.engine, { ...made, ...kept }, search, wishes.search)
  const row = await insertDomain(deps.db, {
    name: wishes.name,
    threshold: wishes.threshold ?? null,
    ...made,
    levels: wishes.levels ?? made.levels,
    chosen: wishes.threshold !== undefined || wishes.levels !== undefined,
    recipeHash: hash,
    storage: wishes.storage ?? 'full',
    ...kept,
    index: indexOf(INDEX_DEFAULTS, wishes.index),
    search,
    bands: bandsOf(deps, { recipeHash: hash, search, bands: [], ...kept }, { scores: wishes.scores }).map(
      ({ threshold = null, levels = null, ...band }) => ({ ...band, threshold, levels }),
    ),
  })
  if (row === undefined) {
    throw (await isImporting(deps.db, wishes.name)) ? domainImporting(wishes.name) : domainExists(wishes.name)
  }
  // A failed load is kept as the model's state and tried again by whoever needs it next.
  for (const id of modelsOf(row)) deps.engine.load(id).catch(() => undefined)
  return asDomain(row)
}

export const domainExists = (name: string): CodedError =>
  new CodedError('DOMAIN_EXISTS', `There is a domain "${name}" already`, {
    hint: 'Choose another name, or change that one with PATCH',
    details: { name },
  })

export const domainImporting = (name: string): CodedError =>
  new CodedError('DOMAIN_IMPORTING', `A domain "${name}" is being imported`, {
    hint: 'Wait until it is there; DELETE of that domain ends the import',
    details: { name },
  })

/**
 * Vectors that a search looks at unless it or its domain says otherwise; as in millrace.find_hits. With 100, recall@10
 * at 100,000 vectors of 1,024 dims was .964, with 200 it is 1, for a third more time (bench search/filtered).
 */
export const EF_SEARCH_DEFAULT = 200

/** pgvector's: README, "HNSW", Index Options. */
const INDEX_DEFAULTS: IndexSettings = { m: 16, efConstruction: 64 }

/** @throws CodedError BAD_INDEX */
export function indexOf(standing: IndexSettings, { m, efConstruction }: IndexWishes = {}): IndexSettings {
  const index = {
    m: m ?? standing.m,
    efConstruction: efConstruction ?? Math.max(standing.efConstruction, 2 * (m ?? 0)),
  }
  if (index.efConstruction < 2 * index.m) {
    throw new CodedError('BAD_INDEX', `efConstruction is ${index.efConstruction}, m is ${index.m}`, {
      hint: 'efConstruction must be twice m or more',
      details: index,
    })
  }
  return index
}

/** What is kept of a text. @throws CodedError MISSING_OUTPUT */
export function outputsOf(
  engine: Pick<Engine, 'manifest'>,
  model: string,
  outputs: readonly TextOutput[] | undefined,
): { readonly outputs: TextOutput[]; readonly lexical: Lexical | null } {
  if (model === EXTERNAL) {
    const other = outputs?.find((output) => output !== 'dense')
    if (other !== undefined) throw missingOutput(EXTERNAL, other)
    return { outputs: ['dense'], lexical: null }
  }
  const manifest = engine.manifest(model)
  const wanted = new Set<TextOutput>(['dense', ...(outputs ?? (['sparse'] as const))])
  if (wanted.has('colbert') && !manifest.outputs.includes('colbert'))
    throw missingOutput(manifest.id, 'colbert')
  const lexical = manifest.outputs.includes('sparse') ? 'learned' : 'bm25'
  return { outputs: [...wanted], lexical: wanted.has('sparse') ? lexical : null }
}

const missingOutput = (model: string, output: string) =>
  new CodedError('MISSING_OUTPUT', `${model} gives no ${output} vectors`, {
    hint: 'Leave it out of outputs, or choose a model that has it',
    details: { model, output },
  })

/** Thresholds and levels as rows, each under what it belongs to. */
function bandsOf(
  { engine }: Pick<Deps, 'engine'>,
  domain: Pick<Domain, 'recipeHash' | 'search' | 'lexical' | 'bands'>,
  wishes: BandWishes & { readonly scores?: ScoreWishes | undefined },
): BandChange[] {
  const { threshold, levels, scores = {} } = wishes
  const dense = threshold === undefined && levels === undefined ? {} : { dense: { threshold, levels } }
  const made = madeWith(engine, domain)
  return Object.entries({ ...scores, ...dense }).flatMap(([kind, wish]) => {
    if (wish === undefined) return []
    const score = kind as ScoreKind
    checkBand(domain, score, wish, made)
    const recipe = ownerOf(domain, score, made)
    if (recipe !== undefined) return [{ score, ...wish, recipe, chosen: true }]
    // Without a reranker there is nothing to set, but what was set for others can go.
    if (wish.threshold != null || wish.levels != null) throw noReranker()
    return domain.bands
      .filter((band) => band.score === score)
      .map((band) => ({ score, ...wish, recipe: band.recipe, chosen: true }))
  })
}

const noReranker = () =>
  new CodedError('NO_RERANKER', 'A threshold of rerank belongs to a reranker, and the domain has none', {
    hint: 'Set search.rerank.by to the model that reranks',
  })

function modelOf({ engine, defaultModel }: Deps, wishes: DomainWishes) {
  const { id, dims, levels, ...manifest } = engine.manifest(wishes.model ?? defaultModel)
  if (wishes.dims !== undefined) {
    throw new CodedError('BAD_DIMS', `The vectors of ${id} have ${dims} dimensions: dims cannot be chosen`, {
      hint: `Leave dims out, or bring your own vectors with "model": "${EXTERNAL}"`,
      details: { model: id, dims },
    })
  }
  const recipe = recipeOf({ id, dims, levels, ...manifest }, wishes)
  return { model: id, dims, levels, recipe: { ...recipe } }
}

function externalOf(wishes: DomainWishes) {
  refuseRecipe(wishes)
  const { dims } = wishes
  if (dims === undefined || !Number.isInteger(dims) || dims < 1 || dims > DIMS_MAX) {
    throw new CodedError('BAD_DIMS', `An external domain needs dims, a whole number from 1 to ${DIMS_MAX}`, {
      hint: 'Say how many numbers each of your vectors has',
      details: { dims },
    })
  }
  return { model: EXTERNAL, dims, levels: EXTERNAL_LEVELS, recipe: storedRecipe(dims) }
}

/** What decides how a text becomes vectors, where no text does. */
export function refuseRecipe({ cleaning, chunking }: RecipeWishes): void {
  if (cleaning === undefined && chunking === undefined) return
  throw new CodedError(
    'NOT_FOR_EXTERNAL',
    'An external domain has no chunking or cleaning: its documents bring chunks',
    { hint: 'Leave both out' },
  )
}

export const listDomains = async ({ db }: Pick<Deps, 'db'>): Promise<Domain[]> =>
  (await listRows(db)).map(asDomain)

/** @throws CodedError UNKNOWN_DOMAIN */
export async function findDomain({ db }: Pick<Deps, 'db'>, name: string): Promise<Domain> {
  const row = await getDomain(db, name)
  if (row === undefined) throw unknownDomain(name)
  return asDomain(row)
}

/**
 * A domain with another of its generations: whatever is asked of what is returned is asked of that one.
 * @throws CodedError UNKNOWN_DOMAIN, UNKNOWN_GENERATION, also of one that has ended
 */
export async function findDomainAt(
  { db }: Pick<Deps, 'db'>,
  name: string,
  generation: string,
): Promise<Domain> {
  const id = /^[1-9]\d{0,14}$/.test(generation) ? Number(generation) : 0
  const row = await getDomainAt(db, name, id)
  if (row !== undefined) return asDomain(row)
  throw unknownGeneration(await findDomain({ db }, name), generation)
}

/** Whatever its state. @throws CodedError UNKNOWN_GENERATION */
export async function requireGeneration(
  { db }: Pick<Deps, 'db'>,
  domain: Pick<Domain, 'id' | 'name'>,
  id: string,
): Promise<GenerationRow> {
  const number = numberOf(id)
  const row = number === undefined ? undefined : await getGeneration(db, domain.id, number)
  if (row === undefined) throw unknownGeneration(domain, id)
  return row
}

export const unknownGeneration = (domain: Pick<Domain, 'name'>, id: string): CodedError =>
  new CodedError(
    'UNKNOWN_GENERATION',
    `Domain "${domain.name}" has no generation ${id.slice(0, 40).toWellFormed()}`,
    {
      hint: `GET /v1/domains/${domain.name}/generations lists them; one that has ended has nothing to read`,
      details: { domain: domain.name, id: id.slice(0, 40).toWellFormed() },
    },
  )

/** The name by which the SQL functions find a domain with this very generation, also when another is live by then. */
export const nameAt = ({ name, generationId }: Pick<Domain, 'name' | 'generationId'>): string =>
  `${name}@${generationId}`

export interface DomainChange extends RecipeWishes, BandWishes {
  readonly model?: string | undefined
  readonly levels?: readonly Level[] | undefined
  readonly storage?: StorageForm | undefined
  readonly outputs?: readonly TextOutput[] | undefined
  readonly index?: IndexWishes | undefined
  readonly search?: SearchWishes | undefined
  readonly scores?: ScoreWishes | undefined
}

/**
 * Changes thresholds, levels, what searches do and how the index is built.
 * @throws CodedError UNKNOWN_DOMAIN; NOT_FOR_EXTERNAL; NEEDS_GENERATION for a change of the recipe or of what is stored,
 * which would need every vector anew; those of `createDomain`
 */
export async function changeDomain(deps: Deps, name: string, change: DomainChange): Promise<Domain> {
  const domain = await findDomain(deps, name)
  refuseNewRecipe(deps, domain, change)
  refuseNewStorage(domain, change)
  const { m, efConstruction } = change.index ?? {}
  const search = searchOf(domain.search, change)
  requireSearch(deps.engine, domain, search, change.search)
  const row = await updateRow(deps.db, name, {
    bands: bandsOf(deps, { ...domain, search }, change),
    search,
    ...(m === undefined && efConstruction === undefined
      ? {}
      : { index: indexOf(domain.index, change.index) }),
  })
  if (row === undefined) throw unknownDomain(name)
  if (change.search !== undefined) for (const id of modelsOf(row)) deps.engine.load(id).catch(() => undefined)
  return asDomain(row)
}

function refuseNewStorage(domain: Domain, { storage, outputs }: DomainChange): void {
  const fields: string[] = []
  if (storage !== undefined && storage !== domain.storage) fields.push('storage')
  if (outputs !== undefined) {
    const wanted = new Set<TextOutput>(['dense', ...outputs])
    const same = wanted.size === domain.outputs.length && domain.outputs.every((output) => wanted.has(output))
    if (!same) fields.push('outputs')
  }
  if (fields.length > 0) throw needsGeneration(domain, fields)
}

function refuseNewRecipe(deps: Deps, domain: Domain, change: DomainChange): void {
  const { model, cleaning, chunking } = change
  if (model === undefined && cleaning === undefined && chunking === undefined) return
  if (isExternal(domain)) refuseRecipe(change)
  const { recipe } = domain
  if (isExternal(domain) || model === EXTERNAL) {
    if (model === undefined || model === recipe.model) return
    throw needsDomain(domain)
  }
  const manifest = deps.engine.manifest(model ?? recipe.model)
  const wanted = { ...changedRecipe(recipe, manifest, { cleaning, chunking }), model: manifest.id }
  const fields = (['model', 'cleaning', 'chunking'] as const).filter(
    (field) => canonicalJson(wanted[field]) !== canonicalJson(recipe[field]),
  )
  if (fields.length > 0) throw needsGeneration(domain, fields)
}

const needsGeneration = ({ name }: Domain, fields: readonly string[]) =>
  new CodedError(
    'NEEDS_GENERATION',
    `A change of ${fields.join(', ')} needs another generation of "${name}"`,
    {
      hint: `POST /v1/domains/${name}/generations builds one beside the live one: millrace generations start ${name}`,
      details: { fields },
    },
  )

const needsDomain = ({ name }: Domain) =>
  new CodedError(
    'NEEDS_GENERATION',
    `Vectors that are brought and those of a model do not go into one domain`,
    {
      hint: `Create another domain beside "${name}" and submit the documents there`,
      details: { fields: ['model'] },
    },
  )

/** @throws CodedError UNKNOWN_DOMAIN */
export async function deleteDomain({ db }: Pick<Deps, 'db'>, name: string): Promise<void> {
  if (!(await removeDomain(db, name))) throw unknownDomain(name)
}

export const unknownDomain = (name: string): CodedError =>
  new CodedError('UNKNOWN_DOMAIN', `There is no domain "${name}"`, {
    hint: 'POST /v1/domains creates one, GET /v1/domains lists them',
    details: { name },
  })
