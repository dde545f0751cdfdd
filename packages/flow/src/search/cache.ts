import { createHash } from 'node:crypto'
import type { EmbedResult, SparseVector } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { LRUCache } from 'lru-cache'

/** Vectors of texts that were asked for lately. Whoever is handed one must leave it as it is. */
export interface QueryCache {
  /**
   * A result a key, in order: what is kept, what somebody else is just computing, and the rest from one call of `compute`
   * with their places in `keys`. Failures are not kept.
   * @throws what `compute` throws, also to those who wait for the same keys
   */
  through(
    keys: readonly string[],
    compute: (places: readonly number[]) => Promise<readonly EmbedResult[]>,
  ): Promise<EmbedResult[]>
  stats(): CacheStats
}

export interface CacheStats {
  /** Texts that were there already, or on their way. */
  readonly hits: number
  readonly misses: number
  readonly entries: number
  readonly bytes: number
}

export interface CacheLimits {
  /** 0: nothing is kept. */
  readonly entries: number
  readonly bytes?: number
}

const MIB = 1024 * 1024
/** Of everything kept: 1,000 queries of 1,024 dims are 4 MiB, with a vector a token 80. */
const BYTES_MAX = 64 * MIB
/** What an entry costs beside its numbers: the key, and objects around it. */
const OVERHEAD = 512

/** Of one process; nothing of the texts themselves is kept. */
export function openQueryCache({ entries, bytes = BYTES_MAX }: CacheLimits): QueryCache {
  const kept =
    entries === 0
      ? undefined
      : new LRUCache<string, EmbedResult>({ max: entries, maxSize: bytes, sizeCalculation: sizeOf })
  const running = new Map<string, Promise<EmbedResult>>()
  let hits = 0
  let misses = 0

  function start(
    keys: readonly string[],
    places: readonly number[],
    compute: (places: readonly number[]) => Promise<readonly EmbedResult[]>,
  ): void {
    const computed = Promise.resolve(places).then(compute)
    for (const [at, place] of places.entries()) {
      const key = keys[place] ?? ''
      const one = computed
        .then((results) => {
          const result = results[at]
          if (result === undefined) throw new CodedError('INTERNAL', 'The engine returned too few vectors')
          if (!('error' in result)) kept?.set(key, result)
          return result
        })
        .finally(() => running.delete(key))
      running.set(key, one)
    }
  }

  return {
    through: async (keys, compute) => {
      const results = new Map<string, EmbedResult | Promise<EmbedResult>>()
      const missing: number[] = []
      for (const [place, key] of keys.entries()) {
        if (results.has(key)) continue
        const found = kept?.get(key) ?? running.get(key)
        if (found === undefined) missing.push(place)
        else hits++
        // A place for those that are missing, so that the same text twice is computed once.
        results.set(key, found ?? NONE)
      }
      misses += missing.length
      if (missing.length > 0) start(keys, missing, compute)
      return Promise.all(
        keys.map((key) => {
          const found = results.get(key)
          return (found === NONE ? running.get(key) : found) ?? NONE
        }),
      )
    },
    stats: () => ({ hits, misses, entries: kept?.size ?? 0, bytes: kept?.calculatedSize ?? 0 }),
  }
}

/** Stands where a result will be. */
const NONE: EmbedResult = { error: new CodedError('INTERNAL', 'The text was not embedded') }

function sizeOf(result: EmbedResult): number {
  if ('error' in result) return OVERHEAD
  const { vector, sparse, terms, colbert } = result
  return OVERHEAD + vector.byteLength + weigh(sparse) + weigh(terms) + (colbert?.values.byteLength ?? 0)
}

const weigh = (terms: SparseVector | undefined): number =>
  terms === undefined ? 0 : terms.ids.byteLength + terms.weights.byteLength

/** Of everything that decides a text's vectors. Hashed: a text may be long, and none is to lie about. */
export const cacheKey = (parts: readonly (string | readonly string[])[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('base64')
