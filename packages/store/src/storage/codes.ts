import { levelValue, nearestCode, SQ4, SQ8 } from './levels.js'

/** Components that are kept apart from the codes of sq4, as they are. */
export interface Outliers {
  /** Ascending, from 0. */
  readonly indices: Int32Array
  /** In units of the codes' values, so that codes need no scale: only the direction of a vector matters. */
  readonly values: Float32Array
  readonly dims: number
}

/** The components that 4 bits do worst at. Models have a few that are far out, in the same places in every vector. */
export const OUTLIERS = 8
/** Largest components over the outermost level, tried in turn: to cut the largest a little makes all steps smaller. */
const SCALES = [1.05, 1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7]

const codeOf8 = nearestCode(SQ8)
const codeOf4 = nearestCode(SQ4)

/** A byte a dim. The largest component has the outermost code; zeros stay zeros. */
export function encodeSq8(vector: Float32Array): Int8Array {
  const codes = new Int8Array(vector.length)
  const scale = levelValue(SQ8.most, SQ8) / largest(vector)
  for (let i = 0; i < vector.length; i++) codes[i] = codeOf8((vector[i] ?? 0) * scale)
  return codes
}

export interface Sq4 {
  /** Half a byte a dim, 16·(one of the first half) + (one of the second), both -7 to 7. */
  readonly codes: Int8Array
  readonly outliers: Outliers
}

/** Codes at the scale where the decoded direction is nearest to the vector's. */
export function encodeSq4(vector: Float32Array): Sq4 {
  const dims = vector.length
  const indices = farOut(vector, Math.min(OUTLIERS, dims))
  const rest = vector.slice()
  for (const i of indices) rest[i] = 0
  const most = largest(rest)
  const { codes, scale } = bestScale(rest, levelValue(SQ4.most, SQ4) / most)
  const values = Float32Array.from(indices, (i) => (vector[i] ?? 0) * scale)
  return { codes: packNibbles(codes), outliers: { indices, values, dims } }
}

/** `widest`: the scale at which the largest component is at the outermost level. */
function bestScale(rest: Float32Array, widest: number): { codes: Int8Array; scale: number } {
  let best = { codes: new Int8Array(rest.length), scale: widest, fit: -1 }
  for (const cut of SCALES) {
    const scale = widest / cut
    const codes = new Int8Array(rest.length)
    let product = 0
    let square = 0
    for (let i = 0; i < rest.length; i++) {
      const value = rest[i] ?? 0
      const code = codeOf4(value * scale)
      codes[i] = code
      const level = levelValue(code, SQ4)
      product += level * value
      square += level * level
    }
    const fit = square === 0 ? 0 : (product * product) / square
    // What comes out of the codes has its own length: the outliers go along with it.
    if (fit > best.fit) best = { codes, scale: product === 0 ? scale : square / product, fit }
  }
  return best
}

const largest = (vector: Float32Array): number => {
  let most = 0
  for (const value of vector) most = Math.max(most, Math.abs(value))
  return most === 0 ? 1 : most
}

/** The places of the `count` components that are farthest from zero, ascending; those that are zero are none. */
function farOut(vector: Float32Array, count: number): Int32Array {
  const size = (place: number | undefined) => (place === undefined ? 0 : Math.abs(vector[place] ?? 0))
  const found: number[] = []
  for (let i = 0; i < vector.length; i++) {
    if (size(i) <= (found.length < count ? 0 : size(found[count - 1]))) continue
    let at = Math.min(found.length, count - 1)
    for (; at > 0 && size(found[at - 1]) < size(i); at--) found[at] = found[at - 1] ?? 0
    found[at] = i
  }
  return Int32Array.from(found).sort()
}

function packNibbles(codes: Int8Array): Int8Array {
  const half = Math.ceil(codes.length / 2)
  const packed = new Int8Array(half)
  for (let i = 0; i < half; i++) packed[i] = 16 * (codes[i] ?? 0) + (codes[half + i] ?? 0)
  return packed
}

/**
 * Two bits a dim, for finding candidates by Hamming distance: is it above the lower third of a normal distribution, is
 * it above the upper. 0.4307 is the quantile at 2/3, over the root of dims since vectors have unit length. Against one
 * sign bit a dim a third of the candidates give the same recall; a mean to measure from adds nothing to that.
 */
const THIRD = 0.4307

export const bitsOf = (dims: number): number => 2 * dims

/** First whether each dim is above the upper third, then whether each is above the lower; the first bit is the highest. */
export function searchBits(vector: Float32Array): Buffer {
  const dims = vector.length
  const edge = THIRD / Math.sqrt(dims)
  const bytes = Buffer.alloc(Math.ceil(bitsOf(dims) / 8))
  for (let i = 0; i < dims; i++) {
    const value = vector[i] ?? 0
    if (value > edge) set(bytes, i)
    if (value > -edge) set(bytes, dims + i)
  }
  return bytes
}

function set(bytes: Buffer, bit: number): void {
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (128 >> (bit & 7))
}
