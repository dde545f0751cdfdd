import type { Engine, Level } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  type Db,
  type DomainRow,
  getDomain,
  insertDomain,
  listDomains as listRows,
  deleteDomain as removeDomain,
  updateDomain as updateRow,
} from '@millrace/store'
import { DIMS_MAX, EXTERNAL, EXTERNAL_LEVELS, externalRecipe, isExternal, storedRecipe } from '../external.js'
import {
  canonicalJson,
  changedRecipe,
  type Recipe,
  type RecipeWishes,
  recipeHash,
  recipeOf,
} from '../recipe.js'

export interface Domain extends Omit<DomainRow, 'recipe'> {
  readonly recipe: Recipe
}

export interface DomainWishes extends RecipeWishes {
  readonly name: string
  /** `external`: documents bring their vectors, of `dims` numbers. */
  readonly model?: string | undefined
  /** Of an external domain, and of no other. */
  readonly dims?: number | undefined
  readonly threshold?: number | null | undefined
  readonly levels?: readonly Level[] | undefined
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
 * Creates a domain and starts the load of its model, if it has one; its first requests wait for that.
 * @throws CodedError DOMAIN_EXISTS, UNKNOWN_MODEL, BAD_CHUNKING, BAD_DIMS, NOT_FOR_EXTERNAL
 */
export async function createDomain(deps: Deps, wishes: DomainWishes): Promise<Domain> {
  const made = wishes.model === EXTERNAL ? externalOf(wishes) : modelOf(deps, wishes)
  const row = await insertDomain(deps.db, {
    name: wishes.name,
    threshold: wishes.threshold ?? null,
    ...made,
    levels: wishes.levels ?? made.levels,
    recipeHash: recipeHash(made.recipe),
  })
  if (row === undefined) {
    throw new CodedError('DOMAIN_EXISTS', `There is a domain "${wishes.name}" already`, {
      hint: 'Choose another name, or change that one with PATCH',
      details: { name: wishes.name },
    })
  }
  // A failed load is kept as the model's state and tried again by whoever needs it next.
  if (!isExternal(row)) deps.engine.load(row.model).catch(() => undefined)
  return asDomain(row)
}

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
function refuseRecipe({ cleaning, chunking }: RecipeWishes): void {
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

export interface DomainChange extends RecipeWishes {
  readonly threshold?: number | null | undefined
  readonly levels?: readonly Level[] | undefined
  readonly model?: string | undefined
}

/**
 * Changes threshold and levels at once.
 * @throws CodedError UNKNOWN_DOMAIN; NOT_FOR_EXTERNAL; NEEDS_GENERATION for a change of the recipe, which would need every
 * vector anew.
 */
export async function changeDomain(deps: Deps, name: string, change: DomainChange): Promise<Domain> {
  const domain = await findDomain(deps, name)
  refuseNewRecipe(deps, domain, change)
  const row = await updateRow(deps.db, name, { threshold: change.threshold, levels: change.levels })
  if (row === undefined) throw unknownDomain(name)
  return asDomain(row)
}

function refuseNewRecipe(deps: Deps, domain: Domain, change: DomainChange): void {
  const { model, cleaning, chunking } = change
  if (model === undefined && cleaning === undefined && chunking === undefined) return
  if (isExternal(domain)) refuseRecipe(change)
  const { recipe } = domain
  if (isExternal(domain) || model === EXTERNAL) {
    if (model === undefined || model === recipe.model) return
    throw needsGeneration(domain, ['model'])
  }
  const manifest = deps.engine.manifest(model ?? recipe.model)
  const wanted = { ...changedRecipe(recipe, manifest, { cleaning, chunking }), model: manifest.id }
  const fields = (['model', 'cleaning', 'chunking'] as const).filter(
    (field) => canonicalJson(wanted[field]) !== canonicalJson(recipe[field]),
  )
  if (fields.length > 0) throw needsGeneration(domain, fields)
}

const needsGeneration = (domain: Domain, fields: readonly string[]) =>
  new CodedError(
    'NEEDS_GENERATION',
    `A change of ${fields.join(', ')} needs every vector of "${domain.name}" anew`,
    {
      hint: 'Create another domain with it and submit the documents there',
      details: { fields },
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
