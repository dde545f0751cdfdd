import { type EmbedOutput, type Engine, type Level, type Output, requireReranker } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import type { SearchMode } from '@millrace/store'
import type { Domain } from '../verbs/domains.js'
import type { SearchRequest } from '../verbs/search.js'
import { bandOf, checkThreshold, type StaleThreshold, staleOf } from './bands.js'
import { checkFilter } from './filter.js'
import { type Fusion, fusionOf } from './fusion.js'
import { requireMode } from './modes.js'
import { outputsFor } from './query.js'
import { checkColbert, RERANK_TOP_DEFAULT, type Rerank } from './rerank.js'
import { identityOf, type ScoreKind } from './scores.js'

/** A request with everything decided that needs no query. */
export interface Plan {
  readonly request: SearchRequest
  readonly mode: SearchMode
  readonly fusion: Fusion | undefined
  /** `colbert` in a fusion: the hits are reranked by all three. */
  readonly rerank: Rerank | null
  readonly rankedBy: ScoreKind
  readonly threshold: number | null
  readonly stale: StaleThreshold | null
  readonly levels: { readonly by: ScoreKind; readonly levels: readonly Level[] } | null
  readonly filter: Readonly<Record<string, unknown>>
  readonly outputs: readonly EmbedOutput[]
}

/** @throws CodedError those of `search` that need no query */
export function planOf(engine: Engine, domain: Domain, request: SearchRequest): Plan {
  const { filter = {}, thresholds = {} } = request
  checkFilter(filter)
  const mode = request.mode ?? domain.search.mode ?? 'dense'
  requireMode(domain.lexical, mode)
  const fusion =
    mode === 'hybrid' ? fusionOf(request.fusion ?? domain.search.fusion, domain.lexical ?? 'bm25') : undefined
  const isTriple = fusion?.method === 'weighted' && (fusion.colbert ?? 0) > 0
  const wished = request.rerank === undefined ? (domain.search.rerank ?? null) : request.rerank
  const rerank = wished === null ? null : { by: wished.by, top: wished.top ?? RERANK_TOP_DEFAULT }
  if (isTriple || rerank?.by === 'colbert') checkColbert(engine, domain)
  const reranker = rerank === null || rerank.by === 'colbert' ? undefined : engine.manifest(rerank.by)
  if (reranker !== undefined) requireReranker(reranker)
  const rankedBy = rerank === null ? mode : rerank.by === 'colbert' ? 'colbert' : 'rerank'
  if ('vector' in request && (rankedBy !== 'dense' || isTriple)) {
    throw new CodedError('MODE_NEEDS_TEXT', `A search ranked by ${rankedBy} reads the text of the query`, {
      hint: 'Send query instead of vector, or search with mode dense and rerank null',
      details: { mode, rankedBy },
    })
  }
  const identity = reranker === undefined ? undefined : identityOf(reranker)
  const band = bandOf(domain, rankedBy, identity)
  const asked = request.threshold === undefined ? thresholds[rankedBy] : request.threshold
  checkThreshold(rankedBy, asked)
  for (const [kind, value] of Object.entries(thresholds)) checkThreshold(kind as ScoreKind, value)
  const wanted: Output[] = []
  if (mode !== 'sparse') wanted.push('dense')
  if (mode !== 'dense') wanted.push('sparse')
  if (isTriple || rankedBy === 'colbert') wanted.push('colbert')
  const own = band?.levels ?? reranker?.levels
  const dense = bandOf(domain, 'dense')?.levels
  return {
    request,
    mode,
    fusion,
    rerank: isTriple && rerank === null ? { by: 'fusion', top: RERANK_TOP_DEFAULT } : rerank,
    rankedBy,
    threshold: asked === undefined ? (band?.threshold ?? null) : asked,
    stale: asked === undefined ? staleOf(domain, rankedBy, identity) : null,
    levels:
      own != null ? { by: rankedBy, levels: own } : dense != null ? { by: 'dense', levels: dense } : null,
    filter,
    outputs: outputsFor(wanted, domain),
  }
}
