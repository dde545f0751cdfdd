const float = new Float32Array(1)
const word = new Uint32Array(float.buffer)

/** A float32 as the bits of a float16, rounded to the nearest, ties to even (IEEE 754); what is larger is infinite. */
export function halfBits(value: number): number {
  float[0] = value
  const bits = word[0] ?? 0
  const sign = (bits >>> 16) & 0x8000
  const exponent = (bits >>> 23) & 0xff
  const fraction = bits & 0x7fffff
  if (exponent === 0xff) return sign | 0x7c00 | (fraction === 0 ? 0 : 0x200)
  const power = exponent - 127
  if (power > 15) return sign | 0x7c00
  if (power >= -14) return sign | roundShift(((power + 15) << 23) | fraction, 13)
  // Below 2^-14 halves have a fixed step of 2^-24.
  if (power < -25) return sign
  return sign | roundShift(fraction | 0x800000, -power - 1)
}

/** Shifted right, to the nearest, ties to even; a carry goes into the exponent, where it belongs. */
function roundShift(value: number, by: number): number {
  const kept = value >>> by
  const rest = value - kept * 2 ** by
  const tie = 2 ** (by - 1)
  return rest > tie || (rest === tie && (kept & 1) === 1) ? kept + 1 : kept
}

/** What the bits of a float16 stand for: every one of them is a float32 too. */
export function halfValue(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1
  const exponent = (bits >>> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}
