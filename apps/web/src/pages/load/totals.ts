/** Of an ingestion, what is added up over the ingestions of one drop. */
export interface Counted {
  readonly id: string
  readonly domain: string
  readonly state: 'running' | 'cancelled' | 'finished'
  readonly receiving: boolean
  readonly documents: {
    readonly total: number
    readonly received: number
    readonly preparing: number
    readonly embedding: number
    readonly ready: number
    readonly failed: number
    readonly cancelled: number
    readonly unchanged: number
  }
  readonly chunks: { readonly total: number; readonly embedded: number; readonly reused: number }
  readonly tokens: { readonly total: number; readonly embedded: number }
  readonly tokensPerSecond: number | null
  readonly etaSeconds: number | null
  readonly rejected: { readonly total: number }
  readonly index: { readonly state: string; readonly percent?: number | undefined }
  readonly report: {
    readonly textCut: { readonly characters: number }
    readonly empty: number
  } | null
  readonly startedAt: string
  readonly finishedAt: string | null
}

export const STATES = ['ready', 'embedding', 'preparing', 'received', 'failed', 'cancelled'] as const
export type State = (typeof STATES)[number]

export interface Total {
  readonly domain: string
  /** receiving: documents are still being sent. */
  readonly state: 'receiving' | 'running' | 'cancelled' | 'finished'
  readonly documents: Counted['documents']
  readonly chunks: Counted['chunks']
  readonly tokens: Counted['tokens']
  readonly tokensPerSecond: number | null
  readonly etaSeconds: number | null
  readonly rejected: number
  /** Of the index that is being built after the load. */
  readonly indexPercent: number | null
  readonly empty: number
  readonly charactersCut: number
  readonly startedAt: string
  readonly finishedAt: string | null
}

const COUNTS = [
  'total',
  'received',
  'preparing',
  'embedding',
  'ready',
  'failed',
  'cancelled',
  'unchanged',
] as const

/** Nothing of it changes any more: of a cancelled one the documents follow in steps. */
export const isOver = ({ state, documents }: Pick<Counted, 'state' | 'documents'>): boolean =>
  state !== 'running' && documents.received + documents.preparing + documents.embedding === 0

/**
 * Several ingestions as one. Of those that run the rates add up. undefined: there are none.
 */
export function totalOf(ingestions: readonly Counted[]): Total | undefined {
  const [first] = ingestions
  if (first === undefined) return undefined
  const sum = (of: (ingestion: Counted) => number) => ingestions.reduce((all, one) => all + of(one), 0)
  const running = ingestions.filter(({ state }) => state === 'running')
  const rated = (running.length > 0 ? running : ingestions).flatMap((one) => one.tokensPerSecond ?? [])
  const starts = ingestions.map(({ startedAt }) => startedAt).sort()
  const ends = ingestions.map(({ finishedAt }) => finishedAt ?? '').sort()
  const building = ingestions.find(({ index }) => index.state === 'building')?.index
  const counts = {
    documents: Object.fromEntries(
      COUNTS.map((name) => [name, sum(({ documents }) => documents[name])]),
    ) as unknown as Counted['documents'],
    chunks: {
      total: sum(({ chunks }) => chunks.total),
      embedded: sum(({ chunks }) => chunks.embedded),
      reused: sum(({ chunks }) => chunks.reused),
    },
    tokens: { total: sum(({ tokens }) => tokens.total), embedded: sum(({ tokens }) => tokens.embedded) },
    tokensPerSecond: rateOf(rated, running.length > 0),
  }
  return {
    ...counts,
    domain: first.domain,
    state: stateOf(ingestions),
    etaSeconds: leftOf(running, counts),
    rejected: sum(({ rejected }) => rejected.total),
    indexPercent: building === undefined ? null : (building.percent ?? 0),
    empty: sum(({ report }) => report?.empty ?? 0),
    charactersCut: sum(({ report }) => report?.textCut.characters ?? 0),
    startedAt: starts[0] ?? first.startedAt,
    finishedAt: running.length > 0 ? null : (ends.at(-1) ?? null),
  }
}

/**
 * The longest of those that run, since they share the workers. Those that have not been begun say nothing of it: then
 * documents that are not prepared yet are taken to be like the prepared ones.
 */
function leftOf(
  running: readonly Counted[],
  {
    documents,
    chunks,
    tokens,
    tokensPerSecond,
  }: Pick<Total, 'documents' | 'chunks' | 'tokens' | 'tokensPerSecond'>,
): number | null {
  const known = running.flatMap(({ etaSeconds }) => etaSeconds ?? [])
  if (known.length === running.length) return known.length === 0 ? null : Math.max(...known)
  const waiting = documents.received + documents.preparing
  const prepared = documents.total - waiting
  const isTold = prepared > 0 && chunks.total > 0 && tokensPerSecond !== null && tokensPerSecond > 0
  if (!isTold || running.some(({ receiving }) => receiving)) return null
  const open = chunks.total - chunks.embedded - chunks.reused
  const toCome = (waiting * (chunks.total - chunks.reused)) / prepared
  return ((Math.max(0, open) + toCome) * tokens.total) / chunks.total / tokensPerSecond
}

/** Of those that run at once the rates add up; of those that ran one after the other they do not. */
function rateOf(rates: readonly number[], isRunning: boolean): number | null {
  if (rates.length === 0) return null
  const sum = rates.reduce((all, one) => all + one, 0)
  return isRunning ? sum : sum / rates.length
}

function stateOf(ingestions: readonly Counted[]): Total['state'] {
  if (ingestions.some(({ receiving, state }) => receiving && state === 'running')) return 'receiving'
  if (ingestions.some((one) => one.state === 'running')) return 'running'
  return ingestions.some(({ state }) => state === 'cancelled') ? 'cancelled' : 'finished'
}

export interface Part {
  readonly name: string
  readonly count: number
  /** 0..100 of the whole. */
  readonly percent: number
}

/** What a bar is made of; what is not there has no part. */
export function partsOf(counts: readonly (readonly [name: string, count: number])[], whole: number): Part[] {
  return counts
    .filter(([, count]) => count > 0)
    .map(([name, count]) => ({ name, count, percent: whole === 0 ? 0 : (100 * count) / whole }))
}

/** Tokens of a load that has ended whose vectors were there already; undefined: it has not, or some are missing. */
export function reusedTokens({
  state,
  chunks,
  tokens,
}: Pick<Total, 'state' | 'chunks' | 'tokens'>): number | undefined {
  const isWhole = state === 'finished' && chunks.embedded + chunks.reused >= chunks.total
  return isWhole ? Math.max(0, tokens.total - tokens.embedded) : undefined
}

/** Those that came to an end of their own. */
export const doneOf = ({ ready, failed }: Counted['documents']): number => ready + failed
