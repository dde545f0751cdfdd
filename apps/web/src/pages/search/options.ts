import type { Answer, Domain, Level } from '../../api/client.ts'
import { presetsOf } from '../../lib/fusion.ts'
import { MODES, NO_RERANK, type SearchConfig, type SearchMode } from './link.ts'

export type SearchResult = Extract<
  Answer<'/v1/domains/{name}/search', 'post'>,
  { readonly hits: readonly unknown[] }
>
export type Hit = SearchResult['hits'][number]
export type ScoreKind = Hit['rankedBy']
export const SCORE_KINDS = ['dense', 'sparse', 'hybrid', 'colbert', 'rerank'] as const satisfies ScoreKind[]

type Served = Pick<Domain, 'lexical' | 'outputs' | 'search'>
type Judged = Pick<Domain, 'levels' | 'scores' | 'threshold'>

/** What a domain keeps decides what it can be searched by. */
export const modesOf = ({ lexical }: Pick<Domain, 'lexical'>): readonly SearchMode[] =>
  lexical === null ? ['dense'] : MODES

/** The presets that make sense for a domain; `chosen` is among them, whatever it is: an address may have it. */
export function fusionsOf({ lexical }: Pick<Domain, 'lexical'>, hasColbert: boolean, chosen = ''): string[] {
  const known = presetsOf(lexical, hasColbert)
  return chosen === '' || known.includes(chosen) ? known : [...known, chosen]
}

/** The mode that a search will have. */
export const modeOf = (config: Pick<SearchConfig, 'mode'>, { search }: Pick<Domain, 'search'>): SearchMode =>
  config.mode !== '' ? config.mode : (MODES.find((mode) => mode === search.mode) ?? 'dense')

/** What will rerank a search; undefined: nothing. */
export function rerankerOf(
  config: Pick<SearchConfig, 'rerank'>,
  { search }: Pick<Domain, 'search'>,
): string | undefined {
  if (config.rerank === NO_RERANK) return undefined
  return config.rerank === '' ? search.rerank?.by : config.rerank
}

/** The score that hits will be ranked by. */
export function rankingOf(config: SearchConfig, domain: Pick<Served, 'search'>): ScoreKind {
  const by = rerankerOf(config, domain)
  if (by === undefined) return modeOf(config, domain)
  return by === 'colbert' ? 'colbert' : 'rerank'
}

/** Where the threshold of a ranking begins: the domain's for that kind of score. Null: it has none. */
export function thresholdOf(
  kind: ScoreKind,
  domain: Judged & Pick<Served, 'search'>,
  by?: string,
): number | null {
  if (kind === 'dense') return domain.threshold
  // A domain keeps that of its own reranker; what it means for another one nobody knows.
  if (kind === 'rerank' && by !== domain.search.rerank?.by) return null
  return domain.scores[kind]?.threshold ?? null
}

/** The levels that a score of that kind has; none where nobody has said what they are. */
export function levelsOf(kind: ScoreKind, { levels, scores }: Judged): readonly Level[] {
  return kind === 'dense' ? levels : (scores[kind]?.levels ?? [])
}

/** Those that the level of a hit is one of: of its ranking, else of its similarity. */
export function levelsOfHit(kind: ScoreKind, domain: Judged): readonly Level[] {
  const own = levelsOf(kind, domain)
  return own.length > 0 ? own : domain.levels
}

/** Whether the threshold would cut a hit; one without that score cannot reach any. */
export const isBelow = (hit: Pick<Hit, 'scores'>, kind: ScoreKind, threshold: number | null): boolean =>
  threshold !== null && (hit.scores[kind] ?? Number.NEGATIVE_INFINITY) < threshold
