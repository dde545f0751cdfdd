export interface Ranked {
  readonly documentId: string
  readonly chunk: number
}

/** Where the other side has a hit; null: not among its hits. */
export type Moves = readonly (number | null)[]

export interface Moved {
  readonly a: Moves
  readonly b: Moves
  readonly both: number
  readonly onlyA: number
  readonly onlyB: number
  /** In both, at another place. */
  readonly moved: number
}

/**
 * Two rankings side by side. `byDocument`: chunks do not compare (two domains may cut a document in two ways), so a
 * hit is there when any hit of its document is.
 */
export function compareRankings(
  a: readonly Ranked[],
  b: readonly Ranked[],
  { byDocument }: { readonly byDocument: boolean },
): Moved {
  const keyOf = ({ documentId, chunk }: Ranked) =>
    JSON.stringify(byDocument ? [documentId] : [documentId, chunk])
  const ranksOf = (hits: readonly Ranked[]) => {
    const ranks = new Map<string, number>()
    hits.forEach((hit, i) => {
      if (!ranks.has(keyOf(hit))) ranks.set(keyOf(hit), i + 1)
    })
    return ranks
  }
  const [inA, inB] = [ranksOf(a), ranksOf(b)]
  const both = [...inA].filter(([key]) => inB.has(key))
  return {
    a: a.map((hit) => inB.get(keyOf(hit)) ?? null),
    b: b.map((hit) => inA.get(keyOf(hit)) ?? null),
    both: both.length,
    onlyA: inA.size - both.length,
    onlyB: inB.size - both.length,
    moved: both.filter(([key, rank]) => inB.get(key) !== rank).length,
  }
}
