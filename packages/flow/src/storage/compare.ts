import { setImmediate as yieldToOthers } from 'node:timers/promises'
import { dot } from '@millrace/embed'

/** A text's vector as the model gives it, and as it is stored. */
export interface Pair {
  readonly exact: Float32Array
  readonly stored: Float32Array
  /** What finds it, where not every vector is looked at. */
  readonly bits: Uint8Array | null
}

export interface SimilarityErrors {
  /** Of a query and a stored text: two texts are two pairs. */
  readonly pairs: number
  readonly mean: number
  readonly p99: number
  readonly largest: number
}

export interface Comparison {
  /** Of similarities between a query's float32 vector and a stored one. */
  readonly errors: SimilarityErrors
  /** Share of the true nearest that are found, each text being a query for the others. */
  readonly recall: number
  /** Stored vectors that bits gave for a query, of all others; null where there are no bits and all were scored. */
  readonly candidates: number | null
}

/** Pairs of texts that errors are measured on. */
const PAIRS = 100_000
/** Two similarities that differ by less are the same: what float32 holds of a number near 1. */
const SAME = 1e-6

/**
 * Every text as a query for all others, by float32 vectors and by the stored ones. Lets others work after each: all of it
 * can take seconds. Undefined for fewer than two texts.
 */
export async function compareStored(
  pairs: readonly Pair[],
  { k, share }: { readonly k: number; readonly share: number },
): Promise<Comparison | undefined> {
  const others = pairs.length - 1
  if (others < 1) return undefined
  const nearest = Math.min(k, others)
  const hasBits = pairs.every(({ bits }) => bits !== null)
  const candidates = hasBits ? Math.min(others, Math.max(5 * nearest, Math.floor(share * others))) : others
  const stride = Math.max(1, Math.ceil((pairs.length * others) / PAIRS))
  const errors = new Float32Array(Math.ceil((pairs.length * others) / stride))
  let seen = 0
  let found = 0
  for (const query of pairs) {
    await yieldToOthers()
    const rest = pairs.filter((pair) => pair !== query)
    const exact = rest.map((pair) => dot(query.exact, pair.exact))
    const stored = rest.map((pair) => dot(query.exact, pair.stored))
    for (let i = 0; i < others; i++, seen++) {
      if (seen % stride === 0) errors[seen / stride] = Math.abs((stored[i] ?? 0) - (exact[i] ?? 0))
    }
    found += countFound(
      exact,
      first(stored, candidates, (i) => distance(query.bits, rest[i]?.bits)),
      stored,
      nearest,
    )
  }
  return {
    errors: errorsOf(errors),
    recall: found / (nearest * pairs.length),
    candidates: hasBits ? candidates : null,
  }
}

/** The places of the `count` that are nearest; all of them when that many are wanted. */
function first(all: readonly number[], count: number, distanceOf: (i: number) => number): number[] {
  const places = all.map((_, i) => i)
  if (count >= all.length) return places
  const distances = places.map(distanceOf)
  return places.sort((a, b) => (distances[a] ?? 0) - (distances[b] ?? 0)).slice(0, count)
}

/** How many of the best `k` by stored similarity are among the true nearest, or as near as the last of them. */
function countFound(
  exact: readonly number[],
  candidates: readonly number[],
  stored: readonly number[],
  k: number,
): number {
  const least = exact.toSorted((a, b) => b - a)[k - 1] ?? 0
  const best = [...candidates].sort((a, b) => (stored[b] ?? 0) - (stored[a] ?? 0)).slice(0, k)
  return best.filter((i) => (exact[i] ?? 0) >= least - SAME).length
}

const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length)

function distance(a: Uint8Array | null, b: Uint8Array | null | undefined): number {
  let differing = 0
  if (a === null || b == null) return differing
  for (let i = 0; i < a.length; i++) differing += ONES[(a[i] ?? 0) ^ (b[i] ?? 0)] ?? 0
  return differing
}

function errorsOf(errors: Float32Array): SimilarityErrors {
  const sorted = errors.toSorted()
  let sum = 0
  for (const error of sorted) sum += error
  return {
    pairs: sorted.length,
    mean: sum / sorted.length,
    p99: sorted[Math.floor(0.99 * (sorted.length - 1))] ?? 0,
    largest: sorted.at(-1) ?? 0,
  }
}

/** '0' and '1' as bytes, the first the highest bit. */
export const bytesOf = (bits: string): Uint8Array =>
  Uint8Array.from({ length: Math.ceil(bits.length / 8) }, (_, i) =>
    Number.parseInt(bits.slice(8 * i, 8 * i + 8).padEnd(8, '0'), 2),
  )
