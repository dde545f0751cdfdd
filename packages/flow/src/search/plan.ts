import { type EmbedOutput, type Engine, type Level, type Output, requireReranker } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import type { SearchMode } from '@millrace/store'
import type { Domain } from '../verbs/domains.js'
import type { SearchRequest } from '../verbs/search.js'
import { bandOf, checkThreshold, type MadeWith, type StaleThreshold, staleOf } from './bands.js'
import { checkFilter } from './filter.js'
import { checkAsked, type Fusion, fusionOf, isTriple } from './fusion.js'
import { requireMode } from './modes.js'
import { outputsFor } from './query.js'
import { checkColbert, RERANK_TOP_DEFAULT, type Rerank } from './rerank.js'
import { identityOf, SCORE_KINDS, type ScoreKind } from './scores.js'

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
  /** By the kind of score that a hit was ranked by. */
  readonly levels: Partial<Readonly<Record<ScoreKind, readonly Level[]>>>
  /** Scores that a threshold is asked for and that are not computed: nothing reaches it. */
  readonly uncomputed: readonly ScoreKind[]
  readonly filter: Readonly<Record<string, unknown>>
  readonly outputs: readonly EmbedOutput[]
}

/** @throws CodedError those of `search` that need no query */
export function planOf(engine: Engine, domain: Domain, request: SearchRequest): Plan {
  const { filter = {}, thresholds = {} } = request
  checkFilter(filter)
  const mode = request.mode ?? domain.search.mode ?? 'dense'
  requireMode(domain.lexical, mode)
  checkAsked(request.fusion, mode, domain.lexical)
  const fusion =
    mode === 'hybrid' ? fusionOf(request.fusion ?? domain.search.fusion, domain.lexical ?? 'bm25') : undefined
  const triple = isTriple(fusion)
  const wished = request.rerank === undefined ? (domain.search.rerank ?? null) : request.rerank
  const rerank = wished === null ? null : { by: wished.by, top: wished.top ?? RERANK_TOP_DEFAULT }
  if (triple || rerank?.by === 'colbert') checkColbert(engine, domain)
  const reranker = rerank === null || rerank.by === 'colbert' ? undefined : engine.manifest(rerank.by)
  if (reranker !== undefined) requireReranker(reranker)
  const rankedBy = rerank === null ? mode : rerank.by === 'colbert' ? 'colbert' : 'rerank'
  if ('vector' in request && (rankedBy !== 'dense' || triple)) {
    throw new CodedError('MODE_NEEDS_TEXT', `A search ranked by ${rankedBy} reads the text of the query`, {
      hint: 'Send query instead of vector, or search with mode dense and rerank null',
      details: { mode, rankedBy },
    })
  }
  const made = { fusion, reranker: reranker === undefined ? undefined : identityOf(reranker) }
  const band = bandOf(domain, rankedBy, made)
  const asked = askedThreshold(domain, request, rankedBy, made)
  const wanted: Output[] = []
  if (mode !== 'sparse') wanted.push('dense')
  if (mode !== 'dense') wanted.push('sparse')
  if (triple || rankedBy === 'colbert') wanted.push('colbert')
  const computed: ScoreKind[] = [...wanted, mode, rankedBy]
  const levelsOf = (kind: ScoreKind) => {
    const own = bandOf(domain, kind, made)?.levels ?? (kind === 'rerank' ? reranker?.levels : undefined)
    return own == null ? {} : { [kind]: own }
  }
  return {
    request,
    mode,
    fusion,
    rerank: triple && rerank === null ? { by: 'fusion', top: RERANK_TOP_DEFAULT } : rerank,
    rankedBy,
    threshold: asked === undefined ? (band?.threshold ?? null) : asked,
    stale: asked === undefined ? staleOf(domain, rankedBy, made) : null,
    levels: Object.assign({}, ...SCORE_KINDS.map(levelsOf)),
    uncomputed: SCORE_KINDS.filter((kind) => thresholds[kind] != null && !computed.includes(kind)),
    filter,
    outputs: outputsFor(wanted, domain),
  }
}

/** Of the score that ranks, as the search says it, undefined where it does not; all that it says checked. */
function askedThreshold(
  domain: Domain,
  { threshold, thresholds = {} }: SearchRequest,
  rankedBy: ScoreKind,
  made: MadeWith,
): number | null | undefined {
  const own = thresholds[rankedBy]
  if (threshold !== undefined && own !== undefined) {
    throw new CodedError(
      'BAD_THRESHOLD',
      `The threshold of ${rankedBy} is said twice: by threshold and by thresholds.${rankedBy}`,
      {
        hint: 'Leave one of them out: threshold is that of the score which hits are ranked by',
        details: { score: rankedBy, threshold, thresholds },
      },
    )
  }
  checkThreshold(domain, rankedBy, threshold, made)
  for (const kind of SCORE_KINDS) checkThreshold(domain, kind, thresholds[kind], made)
  return threshold === undefined ? own : threshold
}
