/** How one side of a search is set up; what is '' or undefined is as the domain has it. */
export interface SearchConfig {
  /** '' of side b: the domain of side a. */
  readonly domain: string
  readonly mode: '' | SearchMode
  readonly fusion: string
  /** `none`, `colbert` or the id of a model that reranks. */
  readonly rerank: string
  readonly top: number | undefined
  /** Null: no cut. */
  readonly threshold: number | null | undefined
}

export const MODES = ['dense', 'sparse', 'hybrid'] as const
export type SearchMode = (typeof MODES)[number]
export const K_DEFAULT = 10
export const K_MAX = 1_000
export const TOP_MAX = 200
export const NO_RERANK = 'none'

/** All that a search is, as its address has it: a search is a link. */
export interface SearchLink {
  readonly q: string
  readonly k: number
  /** JSON as docs/filters.md has it; '': none. */
  readonly filter: string
  readonly a: SearchConfig
  /** The configuration beside it, where two are compared. */
  readonly b: SearchConfig | undefined
}

export const EMPTY_CONFIG: SearchConfig = {
  domain: '',
  mode: '',
  fusion: '',
  rerank: '',
  top: undefined,
  threshold: undefined,
}

type Query = Readonly<Record<string, unknown>>

/** Anybody may write anything into an address: what makes no sense is as if it were not there. */
export function readLink(query: Query): SearchLink {
  return {
    q: textOf(query, 'q'),
    k: wholeOf(query, 'k', K_MAX) ?? K_DEFAULT,
    filter: textOf(query, 'filter'),
    a: readConfig(query, ''),
    b: textOf(query, 'compare') === '' ? undefined : readConfig(query, 'b.'),
  }
}

export function writeLink({ q, k, filter, a, b }: SearchLink): Record<string, string> {
  return {
    ...(q === '' ? {} : { q }),
    ...writeConfig(a, ''),
    ...(k === K_DEFAULT ? {} : { k: String(k) }),
    ...(filter === '' ? {} : { filter }),
    ...(b === undefined ? {} : { compare: '1', ...writeConfig(b, 'b.') }),
  }
}

function readConfig(query: Query, prefix: string): SearchConfig {
  const text = (key: string) => textOf(query, `${prefix}${key}`)
  return {
    domain: text('domain'),
    mode: MODES.find((mode) => mode === text('mode')) ?? '',
    fusion: text('fusion'),
    rerank: text('rerank'),
    top: wholeOf(query, `${prefix}top`, TOP_MAX),
    threshold: readThreshold(text('threshold')),
  }
}

function writeConfig(config: SearchConfig, prefix: string): Record<string, string> {
  const { domain, mode, fusion, rerank, top, threshold } = config
  const all = {
    domain,
    mode,
    fusion,
    rerank,
    top: top === undefined ? '' : String(top),
    threshold: threshold === undefined ? '' : (threshold ?? 'none').toString(),
  }
  return Object.fromEntries(
    Object.entries(all).flatMap(([key, value]) => (value === '' ? [] : [[`${prefix}${key}`, value]])),
  )
}

function readThreshold(text: string): number | null | undefined {
  if (text === 'none') return null
  const value = Number(text)
  return text === '' || !Number.isFinite(value) ? undefined : value
}

function textOf(query: Query, key: string): string {
  const value = query[key]
  const first = Array.isArray(value) ? value[0] : value
  return typeof first === 'string' ? first : ''
}

function wholeOf(query: Query, key: string, most: number): number | undefined {
  const value = Number(textOf(query, key))
  return Number.isInteger(value) && value >= 1 ? Math.min(value, most) : undefined
}
