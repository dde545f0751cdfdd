import type { Level } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import type { BandRow, DomainRow, LevelRow } from '@millrace/store'
import { SCORE_RANGES, type ScoreKind } from './scores.js'

/** A threshold that was set for another recipe or reranker: what it meant there, it does not mean here. */
export interface StaleThreshold {
  readonly score: ScoreKind
  readonly threshold: number
  /** What it was set for. */
  readonly recipe: string
}

type Banded = Pick<DomainRow, 'bands' | 'recipeHash'>

/** What a kind of score belongs to: the live recipe; of a reranker, itself. */
const ownerOf = (domain: Banded, kind: ScoreKind, reranker?: string): string | undefined =>
  kind === 'rerank' ? reranker : domain.recipeHash

/** The threshold and levels of a kind of score. @param reranker model@revision, for `rerank` */
export function bandOf(domain: Banded, kind: ScoreKind, reranker?: string): BandRow | undefined {
  const owner = ownerOf(domain, kind, reranker)
  return domain.bands.find(({ score, recipe }) => score === kind && recipe === owner)
}

/** The threshold last chosen for something else, where none was chosen for what is live. */
export function staleOf(domain: Banded, kind: ScoreKind, reranker?: string): StaleThreshold | null {
  const owner = ownerOf(domain, kind, reranker)
  if (bandOf(domain, kind, reranker)?.chosen === true) return null
  const old = domain.bands.findLast(
    ({ score, recipe, threshold, chosen }) =>
      score === kind && recipe !== owner && chosen && threshold !== null,
  )
  return old?.threshold == null ? null : { score: kind, threshold: old.threshold, recipe: old.recipe }
}

/** All that are stale, of kinds that belong to the recipe. */
export const staleBands = (domain: Banded): StaleThreshold[] =>
  (['dense', 'sparse', 'hybrid', 'colbert'] as const).flatMap((kind) => staleOf(domain, kind) ?? [])

/** @throws CodedError BAD_THRESHOLD where no score of the kind lies */
export function checkThreshold(kind: ScoreKind, threshold: number | null | undefined): void {
  if (threshold == null) return
  const { least, most } = SCORE_RANGES[kind]
  if (threshold >= least && threshold <= (most ?? Number.MAX_VALUE)) return
  throw new CodedError('BAD_THRESHOLD', `The threshold of ${kind} is ${threshold}`, {
    hint:
      most === null
        ? `Scores of ${kind} begin at ${least}`
        : `Scores of ${kind} lie between ${least} and ${most}`,
    details: { score: kind, threshold, least, most },
  })
}

/** @throws CodedError BAD_THRESHOLD, also for a level that begins where no score of the kind lies */
export function checkBand(
  kind: ScoreKind,
  band: {
    readonly threshold?: number | null | undefined
    readonly levels?: readonly (Level | LevelRow)[] | null | undefined
  },
): void {
  checkThreshold(kind, band.threshold)
  for (const { above } of band.levels ?? []) checkThreshold(kind, above)
}
