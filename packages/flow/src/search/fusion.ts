import { CodedError } from '@millrace/errors'
import type { FusionRow, Lexical, SearchMode } from '@millrace/store'

/**
 * How the scores of one hit become one. `rrf`: the sum over the rankings of 1 / (k + rank), from 1; a ranking that a hit
 * is not in adds nothing. `weighted`: the weighted sum of the scores over the sum of the weights, as FlagEmbedding's
 * `compute_score` has it; a bm25 score is divided by the query's `bound` before, so that it is 0 to 1.
 */
export type Fusion = FusionRow

/**
 * Those with a name. m3-…: what the authors of bge-m3 take for it, in their repository
 * (https://github.com/FlagOpen/FlagEmbedding, at 7ed43d67).
 */
export const FUSIONS = {
  /** Cormack, Clarke, Büttcher: Reciprocal Rank Fusion outperforms Condorcet (SIGIR 2009), with the paper's k. */
  rrf: { method: 'rrf', k: 60 },
  /**
   * For texts of usual length: what bge-m3 was trained with (`dense + 0.3 * sparse`, research/BGE_M3/modeling.py) and
   * evaluated with where texts are passages (research/C_MTEB/MKQA/README.md, --dense_weight 1 --sparse_weight 0.3).
   */
  'm3-miracl': { method: 'weighted', dense: 1, sparse: 0.3 },
  /** For long texts, where exact words count more: research/C_MTEB/MLDR/README.md, "Hybrid Retrieval". */
  'm3-mldr': { method: 'weighted', dense: 0.2, sparse: 0.8 },
  /** The same with colbert, to rerank: research/C_MTEB/MLDR/README.md, "Multi-Vector and All Rerank". */
  'm3-mldr-all': { method: 'weighted', dense: 0.15, sparse: 0.5, colbert: 0.35 },
  /** All three for short texts: research/BGE_M3/README.md, "Compute score for text pairs". */
  'm3-pairs': { method: 'weighted', dense: 0.4, sparse: 0.2, colbert: 0.4 },
  /**
   * For models without weights of their own. Chosen on xquad-a (zh with bge-small-zh, en with all-minilm) alone, of
   * weights from 0.8 / 0.2 to 0.2 / 0.8 and rrf: `npm run bench -- search/quality` prints them.
   */
  bm25: { method: 'weighted', dense: 0.4, sparse: 0.6 },
} as const satisfies Readonly<Record<string, Fusion>>

export type FusionName = keyof typeof FUSIONS

/** What a domain does unless it or a search says otherwise. */
export const DEFAULT_FUSIONS: Readonly<Record<Lexical, FusionName>> = { learned: 'm3-miracl', bm25: 'bm25' }

const isName = (name: string): name is FusionName => Object.hasOwn(FUSIONS, name)

/** Ranks are counted to 1,000; beyond that k makes them all alike. */
const K_MAX = 1_000

/**
 * The fusion of that name, or the one that is given, checked; undefined: the usual one for such a domain.
 * @throws CodedError BAD_FUSION
 */
export function fusionOf(given: string | Fusion | undefined, lexical: Lexical): Fusion {
  if (given === undefined) return FUSIONS[DEFAULT_FUSIONS[lexical]]
  if (typeof given === 'string') {
    if (isName(given)) return FUSIONS[given]
    throw badFusion(`There is no fusion "${given}"`, given)
  }
  if (given.method === 'rrf') {
    if (Number.isInteger(given.k) && given.k >= 1 && given.k <= K_MAX) return given
    throw badFusion(`k of rrf is ${given.k}: it must be a whole number from 1 to ${K_MAX}`, given)
  }
  const weights = [given.dense, given.sparse, given.colbert ?? 0]
  const sum = weights.reduce((all, weight) => all + weight, 0)
  if (weights.every((weight) => weight >= 0) && sum > 0 && Number.isFinite(sum)) return given
  throw badFusion(`The weights ${weights.join(', ')} do not combine`, given)
}

/**
 * What was asked for is a fusion, and of a mode that fuses: what another one would ignore is refused, so that nobody
 * compares two runs that are the same.
 * @throws CodedError BAD_FUSION
 */
export function checkAsked(
  given: string | Fusion | undefined,
  mode: SearchMode,
  lexical: Lexical | null,
): void {
  if (given === undefined) return
  fusionOf(given, lexical ?? 'bm25')
  if (mode === 'hybrid') return
  throw new CodedError('BAD_FUSION', `Mode ${mode} has one kind of score: there is nothing to fuse`, {
    hint: 'Search with mode hybrid, or leave fusion out',
    details: { mode, fusion: given },
  })
}

/** Whether hits are put in order by colbert too. */
export const isTriple = (fusion: Fusion | undefined): boolean =>
  fusion?.method === 'weighted' && (fusion.colbert ?? 0) > 0

/** The same text for the same fusion; SQL reads it as jsonb (millrace.hybrid_band). */
export const fusionKey = (fusion: Fusion): string => {
  if (fusion.method === 'rrf') return JSON.stringify({ method: 'rrf', k: fusion.k })
  const { dense, sparse, colbert = 0 } = fusion
  return JSON.stringify({ method: 'weighted', dense, sparse, ...(colbert > 0 ? { colbert } : {}) })
}

const badFusion = (message: string, fusion: unknown): CodedError =>
  new CodedError('BAD_FUSION', message, {
    hint: `Take one of ${Object.keys(FUSIONS).join(', ')}, {"method": "rrf", "k": 60}, or {"method": "weighted"} with dense, sparse and colbert of 0 or more, not all 0`,
    details: { fusion },
  })
