/**
 * How the vectors of a text's tokens become one: the first token's, their mean, or the largest of each dimension.
 * `graph`: the graph has done it, there is one vector.
 */
export type Pooling = 'cls' | 'mean' | 'max' | 'graph'

/** The dot product of two vectors of one length, summed in double precision. Of unit vectors it is the cosine. */
export function dot(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) {
    throw new RangeError(`Cannot multiply a vector of ${a.length} dims with one of ${b.length}`)
  }
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0)
  return sum
}

/**
 * Scales a vector to unit length, in place, and returns it. A vector of zeros, or one with NaN or Infinity in
 * it, has no direction: it comes back as NaN throughout.
 */
export function normalize(vector: Float32Array): Float32Array {
  const scale = 1 / Math.sqrt(dot(vector, vector))
  if (!Number.isFinite(scale)) return vector.fill(Number.NaN)
  for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] ?? 0) * scale
  return vector
}

/** Whether every number is one: no NaN, no Infinity. */
export function allFinite(vector: Float32Array): boolean {
  for (const value of vector) if (!Number.isFinite(value)) return false
  return true
}

/**
 * One vector for the `tokens` first rows of a text; what follows them is padding.
 * @param rows row-major, at least `tokens` × `dims` values
 */
export function pool(rows: Float32Array, tokens: number, dims: number, pooling: Pooling): Float32Array {
  switch (pooling) {
    case 'cls':
    case 'graph':
      return rows.slice(0, dims)
    case 'mean':
      return poolMean(rows, tokens, dims)
    case 'max':
      return poolMax(rows, tokens, dims)
  }
}

function poolMean(rows: Float32Array, tokens: number, dims: number): Float32Array {
  const sum = new Float64Array(dims)
  for (let token = 0; token < tokens; token++) {
    const at = token * dims
    for (let i = 0; i < dims; i++) sum[i] = (sum[i] ?? 0) + (rows[at + i] ?? 0)
  }
  return Float32Array.from(sum, (value) => value / tokens)
}

function poolMax(rows: Float32Array, tokens: number, dims: number): Float32Array {
  const most = rows.slice(0, dims)
  for (let token = 1; token < tokens; token++) {
    const at = token * dims
    for (let i = 0; i < dims; i++) most[i] = Math.max(most[i] ?? 0, rows[at + i] ?? 0)
  }
  return most
}

/** A window's vector and how many tokens of the text it stands for. */
export interface WindowVector {
  readonly vector: Float32Array
  readonly tokens: number
}

/**
 * One vector for the windows of a text: their mean, weighted by their tokens, or the largest of each dimension.
 * One window is returned as it is.
 */
export function poolWindows(
  windows: readonly WindowVector[],
  pooling: Exclude<Pooling, 'cls' | 'graph'> = 'mean',
): Float32Array {
  const [first, ...others] = windows
  if (first === undefined) throw new RangeError('Cannot pool a text without windows')
  if (others.length === 0) return first.vector
  if (pooling === 'max') {
    return first.vector.map((value, i) => Math.max(value, ...others.map(({ vector }) => vector[i] ?? 0)))
  }
  const sum = new Float64Array(first.vector.length)
  let tokens = 0
  for (const window of windows) {
    tokens += window.tokens
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (window.vector[i] ?? 0) * window.tokens
  }
  return Float32Array.from(sum, (value) => value / tokens)
}
