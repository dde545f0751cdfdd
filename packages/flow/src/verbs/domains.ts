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
  readonly model?: string | undefined
  readonly threshold?: number | null | undefined
  readonly levels?: readonly Level[] | undefined
}

interface Deps {
  readonly db: Db
  readonly engine: Engine
  readonly defaultModel: string
}

/** Only what recipeOf wrote is ever stored, so what comes out is one. */
const asDomain = (row: DomainRow): Domain => ({ ...row, recipe: row.recipe as unknown as Recipe })

/**
 * Creates a domain and starts the load of its model; its first requests wait for that.
 * @throws CodedError DOMAIN_EXISTS, UNKNOWN_MODEL, BAD_CHUNKING
 */
export async function createDomain(deps: Deps, wishes: DomainWishes): Promise<Domain> {
  const manifest = deps.engine.manifest(wishes.model ?? deps.defaultModel)
  const recipe = recipeOf(manifest, wishes)
  const row = await insertDomain(deps.db, {
    name: wishes.name,
    threshold: wishes.threshold ?? null,
    levels: wishes.levels ?? manifest.levels,
    model: manifest.id,
    dims: manifest.dims,
    recipe: { ...recipe },
    recipeHash: recipeHash(recipe),
  })
  if (row === undefined) {
    throw new CodedError('DOMAIN_EXISTS', `There is a domain "${wishes.name}" already`, {
      hint: 'Choose another name, or change that one with PATCH',
      details: { name: wishes.name },
    })
  }
  // A failed load is kept as the model's state and tried again by whoever needs it next.
  deps.engine.load(manifest.id).catch(() => undefined)
  return asDomain(row)
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
 * @throws CodedError UNKNOWN_DOMAIN; NEEDS_GENERATION for a change of the recipe, which would need every
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
  const { recipe } = domain
  const manifest = deps.engine.manifest(model ?? recipe.model)
  const wanted = { ...changedRecipe(recipe, manifest, { cleaning, chunking }), model: manifest.id }
  const fields = (['model', 'cleaning', 'chunking'] as const).filter(
    (field) => canonicalJson(wanted[field]) !== canonicalJson(recipe[field]),
  )
  if (fields.length === 0) return
  throw new CodedError(
    'NEEDS_GENERATION',
    `A change of ${fields.join(', ')} needs every vector of "${domain.name}" anew`,
    {
      hint: 'Create another domain with it and submit the documents there',
      details: { fields },
    },
  )
}

/** @throws CodedError UNKNOWN_DOMAIN */
export async function deleteDomain({ db }: Pick<Deps, 'db'>, name: string): Promise<void> {
  if (!(await removeDomain(db, name))) throw unknownDomain(name)
}

export const unknownDomain = (name: string): CodedError =>
  new CodedError('UNKNOWN_DOMAIN', `There is no domain "${name}"`, {
    hint: 'POST /v1/domains creates one, GET /v1/domains lists them',
    details: { name },
  })
