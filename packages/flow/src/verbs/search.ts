import { dot, type Engine, embedAll, type Level, levelOf } from '@millrace/embed'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { type Db, type SearchHit, searchChunks } from '@millrace/store'
import { CLEANING_DEFAULTS } from '@millrace/text'
import { refuseEscapes } from '../accept.js'
import { isExternal, needsVectors, requireVector } from '../external.js'
import type { QueryCache } from '../search/cache.js'
import { cleanText, embedQueries } from '../search/query.js'
import type { Domain } from './domains.js'

interface Deps {
  readonly db: Db
  readonly engine: Engine
  readonly cache: QueryCache
}

/** What is looked for: the meaning of a text, or what is near a vector of the domain's dims, of any length. */
export type Sought = { readonly query: string } | { readonly vector: readonly unknown[] }

export type SearchRequest = Sought & {
  readonly k: number
  /** Undefined: the domain's; null: no cut. */
  readonly threshold?: number | null | undefined
  readonly filter?: Readonly<Record<string, unknown>> | undefined
}

export interface SearchResult {
  readonly hits: readonly SearchHit[]
  readonly model: string
  readonly threshold: number | null
  readonly tookMs: { readonly embed: number; readonly search: number }
}

const NO_CUT = -1

/**
 * The k chunks nearest to the query, best first, none below the threshold.
 * @throws CodedError MISSING_QUERY for a blank one, INVALID_FILTER, MODEL_CHANGED, DOMAIN_NEEDS_VECTORS for a text
 * where there is no model, VECTOR_DIMS, VECTOR_NOT_FINITE, VECTOR_ZERO, UNKNOWN_DOMAIN when it went meanwhile
 */
export async function search(deps: Deps, domain: Domain, request: SearchRequest): Promise<SearchResult> {
  const started = performance.now()
  refuseOperators(request.filter ?? {})
  const wrong = refuseEscapes('filter', JSON.stringify(request.filter ?? {}))
  if (wrong !== undefined) {
    throw new CodedError('INVALID_FILTER', wrong.message, { hint: 'No document has that in its metadata' })
  }
  const vector =
    'vector' in request
      ? requireVector(request.vector, domain.dims)
      : await vectorOf(deps, domain, request.query)
  const embedded = performance.now()
  const hits = await searchChunks(deps.db, {
    domain: domain.name,
    vector,
    k: request.k,
    threshold: request.threshold === null ? NO_CUT : (request.threshold ?? null),
    filter: request.filter ?? {},
  }).catch((error: unknown) => {
    throw refusal(error, domain.name)
  })
  return {
    hits,
    model: domain.model,
    threshold: request.threshold === undefined ? domain.threshold : request.threshold,
    tookMs: { embed: tenths(embedded - started), search: tenths(performance.now() - embedded) },
  }
}

/** Only equality so far; what is nested is refused before anything walks through it. */
function refuseOperators(filter: Readonly<Record<string, unknown>>): void {
  const nested = Object.entries(filter).find(([, value]) => value !== null && typeof value === 'object')
  if (nested === undefined) return
  throw new CodedError(
    'INVALID_FILTER',
    `The filter on "${nested[0].slice(0, 100).toWellFormed()}" is no text, number, boolean or null`,
    { hint: 'Only equality is known: {"field": value}' },
  )
}

async function vectorOf(deps: Deps, domain: Domain, query: string): Promise<Float32Array> {
  const [embedded] = await embedQueries(deps, domain, [query])
  if (embedded === undefined) throw new CodedError('INTERNAL', 'The engine returned no vector')
  if ('error' in embedded) throw embedded.error
  return embedded.vector
}

/** What the SQL function refuses is the caller's to mend. */
function refusal(error: unknown, domain: string): unknown {
  const code = codeOf(error)
  const hint =
    error instanceof Error && 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined
  const options = { ...(hint === undefined ? {} : { hint }), cause: error }
  if (code === '22023') return new CodedError('INVALID_FILTER', messageOf(error), options)
  // The function, its domain or the table of its vectors went while the query was embedded.
  if (code === 'P0002' || code === '42P01') {
    return new CodedError('UNKNOWN_DOMAIN', `There is no domain "${domain}"`, options)
  }
  return error
}

export interface Similarity {
  /** -1 to 1, four decimals. */
  readonly similarity: number
  readonly level: Level
  readonly model: string
  readonly tokens: { readonly a: number; readonly b: number }
  /** True where a text was longer than the model takes and its windows were pooled. */
  readonly pooled: { readonly a: boolean; readonly b: boolean }
}

/**
 * How near two texts are, with the domain's model, cleaning and levels, else those of `model`.
 * @throws CodedError MISSING_TEXT when one of them is blank, DOMAIN_NEEDS_VECTORS
 */
export async function similarity(
  { engine }: Pick<Deps, 'engine'>,
  texts: { readonly a: string; readonly b: string },
  by: { readonly domain: Domain } | { readonly model: string },
): Promise<Similarity> {
  if ('domain' in by && isExternal(by.domain)) {
    throw needsVectors(by.domain.name, 'Leave domain out, or name one with a model')
  }
  const model = 'domain' in by ? by.domain.model : by.model
  const cleaning = 'domain' in by ? by.domain.recipe.cleaning.steps : CLEANING_DEFAULTS
  const levels = 'domain' in by ? by.domain.levels : engine.manifest(model).levels
  const cleaned = [cleanText(texts.a, cleaning), cleanText(texts.b, cleaning)]
  if (cleaned.some((text) => text === '')) throw missingText()
  const [a, b] = await embedAll(engine, { model, texts: cleaned, kind: 'document', priority: 'interactive' })
  if (a === undefined || b === undefined) throw new CodedError('INTERNAL', 'The engine returned no vector')
  const cosine = dot(a.vector, b.vector)
  const rounded = Math.round(Math.max(-1, Math.min(1, cosine)) * 1e4) / 1e4
  return {
    similarity: rounded,
    level: levelOf(levels, rounded),
    model,
    tokens: { a: a.tokens, b: b.tokens },
    pooled: { a: a.windows > 1, b: b.windows > 1 },
  }
}

/** The seed's own words: callers match on them. */
export const missingText = () =>
  new CodedError('MISSING_TEXT', '缺少输入文本', { hint: 'Send text_a and text_b' })

const tenths = (ms: number): number => Math.round(ms * 10) / 10
