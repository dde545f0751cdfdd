import { LRUCache } from 'lru-cache'

/** What is counted, and when. */
interface Look {
  readonly at: number
  readonly tokens: number
}

/** Between two looks that a rate is taken of, at least, and how old the older one may be, in milliseconds. */
const APART_MS = 2_000
const OLD_MS = 20_000
const FORGOTTEN_MS = 300_000
const GENERATIONS_MAX = 1_000

/** Remembers what generations had embedded when they were last looked at. */
export interface Rates {
  /** Tokens a second of late; null at the first look. */
  of(generation: number, look: Look): number | null
}

export function openRates(): Rates {
  const kept = new LRUCache<number, { readonly from: Look; readonly next: Look }>({ max: GENERATIONS_MAX })
  return {
    of: (generation, look) => {
      const known = kept.get(generation)
      const isUsable =
        known !== undefined && look.at - known.next.at < FORGOTTEN_MS && look.tokens >= known.next.tokens
      if (!isUsable) {
        kept.set(generation, { from: look, next: look })
        return null
      }
      const rate = rateBetween(known.from, look)
      if (look.at - known.next.at >= OLD_MS) kept.set(generation, { from: known.next, next: look })
      return rate
    },
  }
}

const rateBetween = (from: Look, to: Look): number | null =>
  to.at - from.at < APART_MS ? null : ((to.tokens - from.tokens) * 1_000) / (to.at - from.at)
