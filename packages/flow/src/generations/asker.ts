import { COLBERT } from '../search/rerank.js'
import type { ScoreKind } from '../search/scores.js'
import type { Domain } from '../verbs/domains.js'
import { type SearchHit, type SearchRequest, searchMany } from '../verbs/search.js'

/** What a search needs. */
export type Reader = Parameters<typeof searchMany>[0]

/** A domain with its live generation, and with the one that is to take over. */
export interface Sides {
  readonly old: Domain
  readonly new: Domain
}

export type SampledKind = Exclude<ScoreKind, 'rerank'>

/** Passages that are looked at: of each document its best one counts. */
export const PASSAGES = 100

/** Hits of each request under both generations; null where one of them cannot be asked that. */
export type Asker = (
  requests: readonly Wanted[],
) => Promise<({ readonly old: readonly Found[]; readonly new: readonly Found[] } | null)[]>

export interface Wanted {
  readonly query: string
  readonly k: number
  readonly among?: readonly string[]
}

export interface Found {
  readonly documentId: string
  readonly score: number
}

const MODES = {
  dense: { mode: 'dense', rerank: null },
  sparse: { mode: 'sparse', rerank: null },
  hybrid: { mode: 'hybrid', rerank: null },
  colbert: { mode: 'dense', rerank: { by: COLBERT, top: PASSAGES } },
} as const satisfies Record<SampledKind, Pick<SearchRequest, 'mode' | 'rerank'>>

export function askerOf(deps: Reader, sides: Sides, kind: SampledKind): Asker {
  return async (wanted) => {
    const requests = wanted.map(
      ({ query, k, among }): SearchRequest => ({
        ...MODES[kind],
        query,
        k,
        threshold: null,
        ...(among === undefined ? {} : { filter: { 'document.id': { in: [...among] } } }),
      }),
    )
    const old = await searchMany(deps, sides.old, requests)
    const then = await searchMany(deps, sides.new, requests)
    return wanted.map((_, i) => {
      const [before, after] = [old[i], then[i]]
      if (before === undefined || after === undefined || 'error' in before || 'error' in after) return null
      return { old: bestOf(before.hits, kind), new: bestOf(after.hits, kind) }
    })
  }
}

/** Of each document its best passage. */
function bestOf(hits: readonly SearchHit[], kind: SampledKind): Found[] {
  const best = new Map<string, number>()
  for (const { documentId, scores } of hits) {
    const score = scores[kind]
    if (score !== undefined) best.set(documentId, Math.max(score, best.get(documentId) ?? score))
  }
  return [...best].map(([documentId, score]) => ({ documentId, score }))
}
