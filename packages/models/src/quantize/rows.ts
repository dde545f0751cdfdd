const LIMIT = 127

/**
 * Vectors of a table as integers, each with a scale of its own: the vector is integers × scale.
 * @param values rows × dims, row-major
 */
export function quantizeRows(
  values: Float32Array,
  dims: number,
): { readonly integers: Int8Array; readonly scales: Float32Array } {
  const integers = new Int8Array(values.length)
  const scales = new Float32Array(values.length / dims)
  for (let row = 0; row < scales.length; row++) {
    const start = row * dims
    let most = 0
    for (let i = start; i < start + dims; i++) most = Math.max(most, Math.abs(values[i] ?? 0))
    const scale = most > 0 ? most / LIMIT : 1
    scales[row] = scale
    for (let i = start; i < start + dims; i++) integers[i] = Math.round((values[i] ?? 0) / scale)
  }
  return { integers, scales }
}
