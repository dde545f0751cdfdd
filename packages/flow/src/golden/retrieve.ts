import type { Engine } from '@millrace/embed'
import { CodedError, codeOf } from '@millrace/errors'
import { type Db, rankBatch } from '@millrace/store'
import { clean } from '@millrace/text'
import { requireSameModel } from '../models.js'
import type { Domain } from '../verbs/domains.js'
import type { RankedHit } from './grade.js'

export interface Asked {
  readonly question: string
  readonly filter: Readonly<Record<string, unknown>>
}

/** The hits of a question, or why it cannot be asked; its neighbours have theirs. */
export type Retrieved = { readonly hits: readonly RankedHit[] } | { readonly error: CodedError }

export interface Retrieval {
  /** One a question, in order. */
  readonly results: readonly Retrieved[]
  readonly tookMs: { readonly embed: number; readonly search: number }
}

/** The first `depth` of each question, without a threshold, all of them in one go. */
export type Retrieve = (questions: readonly Asked[], depth: number) => Promise<Retrieval>

interface Deps {
  readonly db: Db
  readonly engine: Engine
}

/**
 * Searches of a domain, a batch of questions at a time: one call of the engine, one statement.
 * @throws CodedError MODEL_CHANGED, UNKNOWN_DOMAIN, and what says that nothing can be asked at the moment
 */
export function retrieverOf(deps: Deps, domain: Domain): Retrieve {
  requireSameModel(deps.engine, domain.recipe)
  return async (questions, depth) => {
    const started = performance.now()
    const texts = questions.map(
      ({ question }) =>
        clean(question, { ...domain.recipe.cleaning.steps, frontMatter: false, pageHeaders: false }).text,
    )
    // Behind what people ask meanwhile.
    const embedded = await deps.engine.embed({ model: domain.model, texts, kind: 'query', priority: 'bulk' })
    const searched = performance.now()
    const sought = embedded.flatMap((one, n) =>
      'error' in one ? [] : [{ n, vector: one.vector, filter: questions[n]?.filter ?? {} }],
    )
    const found = new Map((await rank(deps.db, domain.name, sought, depth)).map((one) => [one.n, one.result]))
    const results = embedded.map((one, n) => ('error' in one ? one : (found.get(n) ?? { hits: [] })))
    return {
      results,
      tookMs: { embed: searched - started, search: performance.now() - searched },
    }
  }
}

interface Sought extends Pick<Asked, 'filter'> {
  readonly n: number
  readonly vector: Float32Array
}

/** A filter that the database refuses ends the whole statement: halves find the questions that are at fault. */
async function rank(
  db: Db,
  domain: string,
  sought: readonly Sought[],
  depth: number,
): Promise<readonly { readonly n: number; readonly result: Retrieved }[]> {
  if (sought.length === 0) return []
  try {
    const ranked = await rankBatch(db, { domain, k: depth, queries: sought })
    return sought.map(({ n }, i) => ({ n, result: { hits: ranked[i] ?? [] } }))
  } catch (error) {
    const code = codeOf(error)
    if (code === 'P0002' || code === '42P01') {
      throw new CodedError('UNKNOWN_DOMAIN', `There is no domain "${domain}"`, { cause: error })
    }
    if (code !== '22023') throw error
    if (sought.length === 1) {
      const message = error instanceof Error ? error.message : 'The filter is not valid'
      return sought.map(({ n }) => ({ n, result: { error: new CodedError('INVALID_FILTER', message) } }))
    }
    const half = Math.ceil(sought.length / 2)
    const first = await rank(db, domain, sought.slice(0, half), depth)
    return [...first, ...(await rank(db, domain, sought.slice(half), depth))]
  }
}
