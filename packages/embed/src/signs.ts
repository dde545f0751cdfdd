import type { ColbertVectors } from './outputs.js'

/**
 * Token vectors of which only the signs are kept: 1/32 of the float32 ones. A row of ceil(dims / 8) bytes a token;
 * the first number is the highest bit of the first byte, 1 where it is above 0.
 */
export interface TokenSigns {
  readonly bits: Uint8Array
  readonly tokens: number
  readonly dims: number
}

const rowBytes = (dims: number): number => Math.ceil(dims / 8)

export function signsOf({ values, count, dims }: ColbertVectors): TokenSigns {
  const bytes = rowBytes(dims)
  const bits = new Uint8Array(count * bytes)
  for (let token = 0; token < count; token++) {
    for (let i = 0; i < dims; i++) {
      if ((values[token * dims + i] ?? 0) > 0) bits[token * bytes + (i >> 3)]! |= 0x80 >> (i & 7)
    }
  }
  return { bits, tokens: count, dims }
}

/**
 * `colbertScore` where of the document only the signs are there: each number counts as its sign / √dims, which makes
 * a row a unit vector, and the query stays as it is. 0 where one has no tokens. What a byte of signs contributes is
 * looked up in tables made once for the query (asymmetric distances: Jégou, Douze, Schmid, "Product Quantization for
 * Nearest Neighbor Search", 2011), so that a pair of tokens takes dims / 8 additions.
 */
export function signScorer(query: ColbertVectors): (document: TokenSigns) => number {
  const { count, dims } = query
  const bytes = rowBytes(dims)
  const tables = tablesOf(query)
  const best = new Float64Array(count)
  return ({ bits, tokens, dims: theirs }) => {
    if (theirs !== dims) {
      throw new RangeError(`Cannot compare token vectors of ${dims} dims with those of ${theirs}`)
    }
    if (count === 0 || tokens === 0) return 0
    best.fill(Number.NEGATIVE_INFINITY)
    for (let token = 0; token < tokens; token++) {
      for (let q = 0; q < count; q++) {
        let sum = 0
        let table = q * bytes * 256
        for (let at = token * bytes; at < (token + 1) * bytes; at++, table += 256) {
          sum += tables[table + (bits[at] ?? 0)] ?? 0
        }
        if (sum > (best[q] ?? 0)) best[q] = sum
      }
    }
    return best.reduce((sum, one) => sum + one, 0) / count
  }
}

/** For each token of the query and each byte of a row: what each of its 256 patterns of signs adds. */
function tablesOf({ values, count, dims }: ColbertVectors): Float32Array {
  const bytes = rowBytes(dims)
  const scale = 1 / Math.sqrt(dims)
  const tables = new Float32Array(count * bytes * 256)
  for (let q = 0; q < count; q++) {
    for (let byte = 0; byte < bytes; byte++) {
      const first = (q * bytes + byte) * 256
      const numberAt = (bit: number) =>
        byte * 8 + bit < dims ? (values[q * dims + byte * 8 + bit] ?? 0) * scale : 0
      let none = 0
      for (let bit = 0; bit < 8; bit++) none -= numberAt(bit)
      tables[first] = none
      // Each pattern is one with its lowest bit off, and that bit's number from minus to plus.
      for (let pattern = 1; pattern < 256; pattern++) {
        const lowest = 31 - Math.clz32(pattern & -pattern)
        tables[first + pattern] = (tables[first + (pattern & (pattern - 1))] ?? 0) + 2 * numberAt(7 - lowest)
      }
    }
  }
  return tables
}
