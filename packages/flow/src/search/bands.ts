import type { Engine, Level } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import type { BandRow, DomainRow, LevelRow } from '@millrace/store'
import { type Fusion, fusionKey, fusionOf } from './fusion.js'
import { COLBERT } from './rerank.js'
import { identityOf, rangeOf, SCORE_KINDS, type ScoreKind } from './scores.js'

/** A threshold that was set for another recipe, reranker or fusion: what it meant there, it does not mean here. */
export interface StaleThreshold {
  readonly score: ScoreKind
  readonly threshold: number
  /** What it was set for. */
  readonly recipe: string
}

type Banded = Pick<DomainRow, 'bands' | 'recipeHash' | 'lexical'>

/** What scores of some kinds are made with, beside the recipe. */
export interface MadeWith {
  /** model@revision. */
  readonly reranker?: string | undefined
  readonly fusion?: Fusion | undefined
}

/** What those of a domain are made with, unless a search says otherwise. A reranker whose files are gone is none. */
export function madeWith(
  engine: Pick<Engine, 'models' | 'manifest'>,
  { search, lexical }: Pick<DomainRow, 'search' | 'lexical'>,
): MadeWith {
  const by = search.rerank?.by
  const isThere = by !== undefined && by !== COLBERT && engine.models().some(({ id }) => id === by)
  return {
    reranker: isThere ? identityOf(engine.manifest(by)) : undefined,
    fusion: fusionOf(search.fusion, lexical ?? 'bm25'),
  }
}

/** What a kind of score belongs to: the live recipe; of hybrid, with the fusion; of a reranker, itself. */
export function ownerOf(
  { recipeHash }: Pick<Banded, 'recipeHash'>,
  kind: ScoreKind,
  { reranker, fusion }: MadeWith,
): string | undefined {
  if (kind === 'rerank') return reranker
  if (kind !== 'hybrid') return recipeHash
  return fusion === undefined ? undefined : `${recipeHash} ${fusionKey(fusion)}`
}

/** The threshold and levels of a kind of score. */
export function bandOf(domain: Banded, kind: ScoreKind, made: MadeWith = {}): BandRow | undefined {
  const owner = ownerOf(domain, kind, made)
  return domain.bands.find(({ score, recipe }) => score === kind && recipe === owner)
}

/** The threshold last chosen for something else, where none was chosen for what is live. */
export function staleOf(domain: Banded, kind: ScoreKind, made: MadeWith = {}): StaleThreshold | null {
  const owner = ownerOf(domain, kind, made)
  if (bandOf(domain, kind, made)?.chosen === true) return null
  const old = domain.bands.findLast(
    ({ score, recipe, threshold, chosen }) =>
      score === kind && recipe !== owner && chosen && threshold !== null,
  )
  return old?.threshold == null ? null : { score: kind, threshold: old.threshold, recipe: old.recipe }
}

/** All that are stale. @param made what the scores of the domain are made with */
export const staleBands = (domain: Banded, made: MadeWith): StaleThreshold[] =>
  SCORE_KINDS.flatMap((kind) => staleOf(domain, kind, made) ?? [])

/** @throws CodedError BAD_THRESHOLD where no score of the kind lies */
export function checkThreshold(
  domain: Pick<Banded, 'lexical'>,
  kind: ScoreKind,
  threshold: number | null | undefined,
  { fusion }: MadeWith = {},
): void {
  if (threshold == null) return
  const { least, most } = rangeOf(kind, { lexical: domain.lexical, fusion })
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
  domain: Pick<Banded, 'lexical'>,
  kind: ScoreKind,
  band: {
    readonly threshold?: number | null | undefined
    readonly levels?: readonly (Level | LevelRow)[] | null | undefined
  },
  made: MadeWith = {},
): void {
  checkThreshold(domain, kind, band.threshold, made)
  for (const { above } of band.levels ?? []) checkThreshold(domain, kind, above, made)
}
