/** What an ingestion would do: of several requests, added up. */
export interface Cost {
  readonly documents: {
    readonly added: number
    readonly changed: number
    readonly unchanged: number
    readonly rejected: number
    readonly unknown: number
  }
  readonly chunks: { readonly total: number; readonly embed: number }
  readonly tokens: { readonly total: number; readonly embed: number }
}

export const NO_COST: Cost = {
  documents: { added: 0, changed: 0, unchanged: 0, rejected: 0, unknown: 0 },
  chunks: { total: 0, embed: 0 },
  tokens: { total: 0, embed: 0 },
}

export function addCost(a: Cost, b: Cost): Cost {
  const { documents: x } = a
  const { documents: y } = b
  return {
    documents: {
      added: x.added + y.added,
      changed: x.changed + y.changed,
      unchanged: x.unchanged + y.unchanged,
      rejected: x.rejected + y.rejected,
      unknown: x.unknown + y.unknown,
    },
    chunks: { total: a.chunks.total + b.chunks.total, embed: a.chunks.embed + b.chunks.embed },
    tokens: { total: a.tokens.total + b.tokens.total, embed: a.tokens.embed + b.tokens.embed },
  }
}

interface Workers {
  readonly workers: readonly { readonly tokensPerSecond: number | null }[]
  readonly backlog: { readonly tokens?: number | null | undefined }
}

export interface Estimate {
  readonly seconds: number
  /** Of that, for what others wait for already. */
  readonly aheadSeconds: number
  readonly tokensPerSecond: number
}

/** How long it would take at the speed that the workers had last; undefined: none is known. */
export function estimateOf({ tokens }: Pick<Cost, 'tokens'>, status: Workers): Estimate | undefined {
  const speed = status.workers.reduce((sum, worker) => sum + (worker.tokensPerSecond ?? 0), 0)
  if (speed <= 0) return undefined
  const aheadSeconds = (status.backlog.tokens ?? 0) / speed
  return { seconds: tokens.embed / speed + aheadSeconds, aheadSeconds, tokensPerSecond: speed }
}
