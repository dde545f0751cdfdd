import { setImmediate } from 'node:timers/promises'
import {
  type ColbertVectors,
  colbertScore,
  type Engine,
  embedAll,
  type Priority,
  type RerankResult,
  signScorer,
} from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { type Db, readColbert } from '@millrace/store'
import { isExternal } from '../external.js'
import { requireSameModel } from '../models.js'
import type { Recipe } from '../recipe.js'
import type { ScoreKind, Scores } from './scores.js'

interface Deps {
  readonly db: Pick<Db, 'query'>
  readonly engine: Pick<Engine, 'embed' | 'rerank' | 'manifest'>
  /** Default: interactive. */
  readonly priority?: Priority | undefined
}

/** What reranking needs of a domain. */
export interface RerankDomain {
  readonly generationId: number
  readonly model: string
  readonly recipe: Pick<Recipe, 'model' | 'revision'>
  /** What is kept of a text: with `colbert` its token vectors are there, as signs. Default: none. */
  readonly outputs?: readonly string[]
}

/** The models that searches of a domain use: its own, and the one that reranks them unless they say otherwise. */
export function modelsOf(domain: {
  readonly model: string
  readonly search: { readonly rerank?: { readonly by: string } | null | undefined }
}): string[] {
  const by = domain.search.rerank?.by
  return [...(isExternal(domain) ? [] : [domain.model]), ...(by === undefined || by === COLBERT ? [] : [by])]
}

/** What reranking needs of a hit, and what it changes; all else of it passes through. */
export interface Rankable {
  /** What is shown: the chunk's own text, or its parent's. */
  readonly text: string
  /** What the model reads before it: title and headings, as they were embedded. */
  readonly context: string
  /** Of the (best) chunk. */
  readonly textHash: Buffer
  /** The chunk's own text, where a parent's is shown. Default: `text`. */
  readonly chunkText?: string
  readonly scores: Scores
  readonly rankedBy: ScoreKind
  readonly score: number
}

export interface RerankQuery {
  /** Cleaned, as it was embedded. */
  readonly text: string
  /** Its token vectors, if they were computed with the others. Default: computed here where they are needed. */
  readonly colbert?: ColbertVectors | undefined
}

export interface Rerank {
  /** `colbert`: late interaction, by the domain's own model; else the id of a model that reranks. */
  readonly by: string
  /** Of the hits, from the first one on. */
  readonly top: number
}

/** What each score counts; what is left out counts nothing. */
export interface FusionWeights {
  readonly dense: number
  readonly sparse: number
  readonly colbert?: number | undefined
}

export const COLBERT = 'colbert'
export const RERANK_TOP_DEFAULT = 50
export const RERANK_TOP_MAX = 200

/**
 * The first `top` hits in the order of another score, and the others behind them as they were, without one: the two
 * kinds of score do not compare. Hits with the same score stay in their order. One that cannot be scored (its text is
 * blank for the model) goes behind those that can.
 * @throws CodedError MISSING_OUTPUT when the domain's model has no colbert, MODEL_CHANGED, UNKNOWN_MODEL,
 * NOT_A_RERANKER, QUERY_TOO_LONG, and what the engine throws
 */
export async function rerankHits<T extends Rankable>(
  deps: Deps,
  domain: RerankDomain,
  query: RerankQuery,
  hits: readonly T[],
  { by, top }: Rerank,
): Promise<T[]> {
  if (by === COLBERT) {
    checkColbert(deps.engine, domain)
    const head = hits.slice(0, top)
    const scores = await colbertScores(deps, domain, query, head)
    return ranked(hits, scores, (hit, colbert) => ({
      ...hit,
      scores: { ...hit.scores, colbert },
      rankedBy: 'colbert',
      score: colbert,
    }))
  }
  const texts = hits.slice(0, top).map(({ context, text }) => context + text)
  const results = await deps.engine.rerank({ model: by, query: query.text, texts, priority: deps.priority })
  return ranked(hits, results.map(scoreOf), (hit, rerank) => ({
    ...hit,
    scores: { ...hit.scores, rerank },
    rankedBy: 'rerank',
    score: rerank,
  }))
}

/**
 * The first `top` hits in the order of their scores fused with the one by colbert, which is computed for them here; a
 * score that a hit does not have counts as 0. The others behind them as they were.
 * @throws as `rerankHits` by colbert, BAD_WEIGHTS
 */
export async function fuseHits<T extends Rankable>(
  deps: Deps,
  domain: RerankDomain,
  query: RerankQuery,
  hits: readonly T[],
  { weights, top }: { readonly weights: FusionWeights; readonly top: number },
): Promise<T[]> {
  checkColbert(deps.engine, domain)
  const scores = await colbertScores(deps, domain, query, hits.slice(0, top))
  return ranked(hits, scores, (hit, colbert) => {
    const all = { ...hit.scores, colbert }
    const hybrid = fuseScores(all, weights)
    return { ...hit, scores: { ...all, hybrid }, rankedBy: 'hybrid', score: hybrid }
  })
}

/**
 * The weighted sum over the sum of the weights, as FlagEmbedding's compute_score combines them (packages/embed,
 * scores.ts); a score that is not there counts as 0.
 * @throws CodedError BAD_WEIGHTS when one is negative or none is above 0
 */
export function fuseScores(scores: Scores, { dense, sparse, colbert = 0 }: FusionWeights): number {
  const weights = [dense, sparse, colbert]
  const whole = dense + sparse + colbert
  if (!weights.every((weight) => weight >= 0) || !(whole > 0) || !Number.isFinite(whole)) {
    throw new CodedError('BAD_WEIGHTS', `The weights ${weights.join(', ')} do not combine`, {
      hint: 'Each must be 0 or more, their sum above 0',
    })
  }
  const sum = dense * (scores.dense ?? 0) + sparse * (scores.sparse ?? 0) + colbert * (scores.colbert ?? 0)
  return sum / whole
}

/** What is wrong with one text alone, and no reason to fail the others. */
const UNREADABLE = new Set(['EMPTY_TEXT', 'INVALID_TEXT'])

function scoreOf(result: RerankResult): number | undefined {
  if (!('error' in result)) return result.score
  if (UNREADABLE.has(result.error.code)) return undefined
  throw result.error
}

/** The first hits with their scores and in their order; those without one as they were; then the others. */
function ranked<T extends Rankable>(
  hits: readonly T[],
  scores: readonly (number | undefined)[],
  withScore: (hit: T, score: number) => T,
): T[] {
  const head: T[] = []
  const unscored: T[] = []
  for (const [i, score] of scores.entries()) {
    const hit = hits[i]
    if (hit === undefined) break
    if (score === undefined) unscored.push(hit)
    else head.push(withScore(hit, score))
  }
  return [...head.sort((a, b) => b.score - a.score), ...unscored, ...hits.slice(scores.length)]
}

/**
 * Whether hits can be reranked by colbert.
 * @throws CodedError MISSING_OUTPUT, MODEL_CHANGED, UNKNOWN_MODEL
 */
export function checkColbert(engine: Pick<Engine, 'manifest'>, domain: RerankDomain): void {
  requireColbert(engine, domain.model)
  requireSameModel(engine, domain.recipe)
}

/** @throws CodedError MISSING_OUTPUT, UNKNOWN_MODEL */
export function requireColbert(engine: Pick<Engine, 'manifest'>, model: string): void {
  const outputs = isExternal({ model }) ? [] : engine.manifest(model).outputs
  if (outputs.includes(COLBERT)) return
  throw new CodedError('MISSING_OUTPUT', `${model} gives no vector a token (colbert)`, {
    hint: 'Rerank by a cross-encoder, or take a model with colbert, such as bge-m3',
    details: { model, outputs },
  })
}

/** Of each hit, against the signs that are stored of its text's tokens, else its text embedded anew. */
async function colbertScores(
  { db, engine, priority = 'interactive' }: Deps,
  domain: RerankDomain,
  query: RerankQuery,
  hits: readonly Rankable[],
): Promise<(number | undefined)[]> {
  if (hits.length === 0) return []
  const { model, generationId } = domain
  const hashes = hits.map(({ textHash }) => textHash)
  const stored = domain.outputs?.includes(COLBERT) ? await readColbert(db, generationId, hashes) : []
  const kept = new Map(stored.map((row) => [keyOf(row.hash), row]))
  const absent = hits.filter(({ textHash }) => !kept.has(keyOf(textHash)))
  const embed = (kind: 'query' | 'document', texts: readonly string[]) =>
    embedAll(engine, { model, texts, kind, outputs: [COLBERT], priority })
  const [asked, computed] = await Promise.all([
    query.colbert ?? embed('query', [query.text]).then(([first]) => first?.colbert),
    embed(
      'document',
      absent.map(({ context, text, chunkText = text }) => context + chunkText),
    ),
  ])
  if (asked === undefined) throw new CodedError('INTERNAL', 'The engine gave no token vectors')
  const fresh = new Map(absent.map(({ textHash }, i) => [keyOf(textHash), computed[i]?.colbert]))
  const scoreSigns = signScorer(asked)
  const scores: (number | undefined)[] = []
  let since = performance.now()
  for (const hash of hashes) {
    if (performance.now() - since > SLICE_MS) {
      await setImmediate()
      since = performance.now()
    }
    const [row, vectors] = [kept.get(keyOf(hash)), fresh.get(keyOf(hash))]
    scores.push(row === undefined ? vectors && colbertScore(asked, vectors) : scoreSigns(row))
  }
  return scores
}

/** How long scores are computed before others get their turn in this thread, in milliseconds. */
const SLICE_MS = 5

const keyOf = (hash: Buffer): string => hash.toString('hex')
