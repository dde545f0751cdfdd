import type { ColbertVectors, EmbedOutput, Engine } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import type { Terms } from '@millrace/store'
import { requireVector } from '../external.js'
import type { Domain } from '../verbs/domains.js'
import type { SearchRequest } from '../verbs/search.js'
import { type Plan, planOf } from './plan.js'
import { type EmbedDeps, type EmbeddedQuery, embedQueries } from './query.js'

/** A result, or why there is none. */
export type Attempt<T> = T | { readonly error: CodedError }

export function attempt<T>(work: () => T): Attempt<T> {
  try {
    return work()
  } catch (error) {
    if (error instanceof CodedError) return { error }
    throw error
  }
}

/** A query as it was read. */
export interface Asked {
  readonly text: string | null
  readonly vector: Float32Array | null
  readonly terms: Terms | null
  readonly colbert: ColbertVectors | undefined
  readonly query: { readonly tokens: number; readonly windows: number } | null
}

/** Searches of a domain, their queries on the way. */
export interface Reading {
  readonly domain: Domain
  readonly plans: readonly Attempt<Plan>[]
  readonly asked: Promise<{ readonly asked: readonly Attempt<Asked>[]; readonly embedMs: number }>
}

/** Whoever awaits `asked` hears what went wrong; it may be left alone. */
export function beginReading(
  deps: EmbedDeps & { readonly engine: Engine },
  domain: Domain,
  requests: readonly SearchRequest[],
): Reading {
  const plans = requests.map((request) => attempt(() => planOf(deps.engine, domain, request)))
  const started = performance.now()
  const asked = readQueries(deps, domain, plans).then((asked) => ({
    asked,
    embedMs: performance.now() - started,
  }))
  asked.catch(() => undefined)
  return { domain, plans, asked }
}

/** The searches of a domain as it is, which may have been begun with what it was: queries that it reads alike need not be read again. */
export function goOnReading(
  deps: EmbedDeps & { readonly engine: Engine },
  domain: Domain,
  requests: readonly SearchRequest[],
  begun: Reading,
): Reading {
  const plans = requests.map((request) => attempt(() => planOf(deps.engine, domain, request)))
  const { model, dims, recipe, recipeHash } = begun.domain
  const isAlike =
    model === domain.model &&
    dims === domain.dims &&
    recipeHash === domain.recipeHash &&
    recipe.revision === domain.recipe.revision &&
    plans.every((plan, i) => outputsOf(plan) === outputsOf(begun.plans[i]))
  return isAlike ? { domain, plans, asked: begun.asked } : beginReading(deps, domain, requests)
}

const outputsOf = (plan: Attempt<Plan> | undefined): string =>
  plan !== undefined && 'outputs' in plan ? plan.outputs.join() : ''

/** All texts in one batch for each set of outputs that is asked for: as a rule one. */
async function readQueries(
  deps: EmbedDeps,
  domain: Domain,
  plans: readonly Attempt<Plan>[],
): Promise<Attempt<Asked>[]> {
  const asked = new Array<Attempt<Asked>>(plans.length)
  const batches = new Map<string, { readonly outputs: readonly EmbedOutput[]; readonly places: number[] }>()
  plans.forEach((plan, place) => {
    if ('error' in plan) asked[place] = plan
    else if ('vector' in plan.request) {
      const { vector } = plan.request
      asked[place] = attempt(() => ({
        text: null,
        vector: requireVector(vector, domain.dims),
        terms: null,
        colbert: undefined,
        query: null,
      }))
    } else {
      const key = plan.outputs.join()
      const batch = batches.get(key) ?? { outputs: plan.outputs, places: [] }
      batch.places.push(place)
      batches.set(key, batch)
    }
  })
  for (const { outputs, places } of batches.values()) {
    const texts = places.map((place) => textOf(plans[place]))
    const results = await embedQueries(deps, domain, texts, { outputs })
    places.forEach((place, i) => {
      const result = results[i]
      if (result === undefined) throw new CodedError('INTERNAL', 'A query was not embedded')
      asked[place] = 'error' in result ? result : read(result, outputs)
    })
  }
  return asked
}

const textOf = (plan: Attempt<Plan> | undefined): string =>
  plan !== undefined && 'request' in plan && 'query' in plan.request ? plan.request.query : ''

function read(result: EmbeddedQuery, outputs: readonly EmbedOutput[]): Asked {
  const { text, tokens, windows } = result
  return {
    text,
    vector: outputs.includes('dense') ? result.vector : null,
    terms: result.terms ?? null,
    colbert: result.colbert,
    query: { tokens, windows },
  }
}
