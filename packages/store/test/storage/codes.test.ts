import { bitsOf, encodeSq4, encodeSq8, OUTLIERS, searchBits } from '@millrace/store/storage/codes'
import { halfBits } from '@millrace/store/storage/half'
import { type Levels, levelValue, nearestCode, SQ4, SQ8 } from '@millrace/store/storage/levels'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const unit = (values: ArrayLike<number>): Float32Array => {
  const length = Math.hypot(...Array.from(values))
  return Float32Array.from(values, (value) => value / length)
}
const cosine = (a: Float32Array, b: Float32Array): number =>
  a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0) / (Math.hypot(...a) * Math.hypot(...b))

/** Vectors of 1 to 64 dims, some with zeros and some with components far out. */
const vectors = fc
  .array(
    fc.oneof(
      { weight: 8, arbitrary: fc.double({ min: -1, max: 1, noNaN: true }) },
      { weight: 1, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.double({ min: -30, max: 30, noNaN: true }) },
    ),
    { minLength: 1, maxLength: 64 },
  )
  .filter((values) => Math.hypot(...values) > 1e-3)
  .map(unit)

const decodeSq8 = (codes: Int8Array) => Float32Array.from(codes, (code) => levelValue(code, SQ8))

function decodeSq4(vector: Float32Array): Float32Array {
  const { codes, outliers } = encodeSq4(vector)
  const all = [...codes].map((byte) => ({
    high: Math.round(byte / 16),
    low: byte - 16 * Math.round(byte / 16),
  }))
  const both = [...all.map(({ high }) => high), ...all.map(({ low }) => low)].slice(0, vector.length)
  const decoded = Float32Array.from(both, (code) => levelValue(code, SQ4))
  outliers.indices.forEach((index, i) => {
    decoded[index] = (decoded[index] ?? 0) + (outliers.values[i] ?? 0)
  })
  return decoded
}

test.each([SQ8, SQ4])('the code found is the one whose value is nearest: %o', (levels: Levels) => {
  const code = nearestCode(levels)
  const last = levelValue(levels.most, levels)
  const all = Array.from({ length: 2 * levels.most + 1 }, (_, i) => levelValue(i - levels.most, levels))
  fc.assert(
    fc.property(fc.double({ min: -1.5, max: 1.5, noNaN: true }), (share) => {
      const value = share * last
      const distance = Math.abs(levelValue(code(value), levels) - value)
      expect(distance).toBeLessThanOrEqual(Math.min(...all.map((level) => Math.abs(level - value))) + 1e-9)
    }),
  )
})

test('a byte a dim keeps the direction', () => {
  fc.assert(
    fc.property(vectors, (vector) => {
      expect(cosine(vector, decodeSq8(encodeSq8(vector)))).toBeGreaterThan(0.9998)
    }),
  )
})

test('half a byte a dim keeps the direction of what the outliers leave, and what is zero', () => {
  fc.assert(
    fc.property(vectors, (vector) => {
      const decoded = decodeSq4(vector)
      expect(cosine(vector, decoded)).toBeGreaterThan(0.98)
      vector.forEach((value, i) => {
        if (value === 0) expect(decoded[i]).toBe(0)
      })
    }),
  )
})

test('the outliers are the largest components, in order, as they are', () => {
  fc.assert(
    fc.property(vectors, (vector) => {
      const { outliers } = encodeSq4(vector)
      const sizes = [...vector]
        .map(Math.abs)
        .filter((size) => size > 0)
        .sort((a, b) => b - a)
      const kept = [...outliers.indices]
      expect(kept).toEqual(kept.toSorted((a, b) => a - b))
      expect(kept.map((i) => Math.abs(vector[i] ?? 0)).sort((a, b) => b - a)).toEqual(
        sizes.slice(0, OUTLIERS),
      )
    }),
  )
})

describe('bits', () => {
  test('are two a dim and get no nearer when a component moves away', () => {
    fc.assert(
      fc.property(vectors, (vector) => {
        const bytes = searchBits(vector)
        expect(bytes.length).toBe(Math.ceil(bitsOf(vector.length) / 8))
        const opposite = searchBits(vector.map((value) => -value))
        const edge = 0.4307 / Math.sqrt(vector.length)
        const far = vector.filter((value) => Math.abs(value) > edge * 1.0001).length
        expect(hamming(bytes, opposite)).toBe(2 * far)
      }),
    )
  })

  test('of known components', () => {
    const values = [0.9, 0.1, -0.1, -0.9, 0]
    expect(searchBits(unit(values)).toString('hex')).toBe(bytesOf('10000' + '11101'))
  })
})

const bytesOf = (bits: string): string =>
  Number.parseInt(bits.padEnd(16, '0'), 2).toString(16).padStart(4, '0')

function hamming(a: Buffer, b: Buffer): number {
  let distance = 0
  a.forEach((byte, i) => {
    for (let rest = byte ^ (b[i] ?? 0); rest > 0; rest >>= 1) distance += rest & 1
  })
  return distance
}

describe('float16', () => {
  const valueOfHalf = (bits: number): number => {
    const exponent = (bits >> 10) & 31
    const size = exponent === 0 ? (bits & 1023) * 2 ** -24 : (1024 + (bits & 1023)) * 2 ** (exponent - 25)
    return bits & 0x8000 ? -size : size
  }

  test('every float16 comes back as it was', () => {
    for (let bits = 0; bits < 0x7c00; bits++) {
      if (halfBits(valueOfHalf(bits)) !== bits) expect(halfBits(valueOfHalf(bits))).toBe(bits)
    }
  })

  test('others go to the nearest, half-way ones to the even', () => {
    fc.assert(
      fc.property(fc.float({ min: -65504, max: 65504, noNaN: true }), (value) => {
        const bits = halfBits(value)
        const distance = Math.abs(valueOfHalf(bits) - value)
        for (const other of [bits - 1, bits + 1]) {
          if ((other & 0x7fff) >= 0x7c00 || other < 0) continue
          const beside = Math.abs(valueOfHalf(other) - value)
          expect(distance < beside || (distance === beside && bits % 2 === 0) || value === 0).toBe(true)
        }
      }),
    )
  })

  test.each([
    [Number.POSITIVE_INFINITY, 0x7c00],
    [-70_000, 0xfc00],
    [65_519, 0x7bff],
    [65_520, 0x7c00],
    [2 ** -25, 0],
    [1.5 * 2 ** -25, 1],
    [-0, 0x8000],
  ])('%s', (value, bits) => {
    expect(halfBits(value)).toBe(bits)
  })
})
