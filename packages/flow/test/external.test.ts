import { readVector, readVectors } from '@millrace/flow'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const FLOAT32_MAX = 3.4028234663852886e38
const FLOAT32_MIN = 2 ** -149

const codeOf = (value: object) => ('code' in value ? value.code : undefined)

describe('a vector', () => {
  test('has unit length and its direction, from the smallest to the largest float32', () => {
    for (const size of [FLOAT32_MIN, 1e-30, 1, 1e30, FLOAT32_MAX]) {
      const vector = readVector([size, size, 0, -size], 4)
      const part = Math.fround(1 / Math.sqrt(3))
      expect(vector).toEqual(Float32Array.of(part, part, 0, -part))
    }
  })

  test('of any finite numbers that are not all nothing has unit length', () => {
    const numbers = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), {
      minLength: 1,
      maxLength: 50,
    })
    fc.assert(
      fc.property(numbers, (given) => {
        const vector = readVector(given, given.length)
        if (!(vector instanceof Float32Array)) return vector.code === 'VECTOR_ZERO'
        const length = Math.hypot(...vector)
        return Math.abs(length - 1) < 1e-6
      }),
      { numRuns: 200 },
    )
  })

  test.each([
    ['too short', [1], 'VECTOR_DIMS'],
    ['too long', [1, 2, 3], 'VECTOR_DIMS'],
    ['empty', [], 'VECTOR_DIMS'],
    ['beyond a float32', [1, FLOAT32_MAX * 1.01], 'VECTOR_NOT_FINITE'],
    ['beyond a double', [1, Number.POSITIVE_INFINITY], 'VECTOR_NOT_FINITE'],
    ['null, as JSON writes NaN', [1, null], 'VECTOR_NOT_FINITE'],
    ['a text', [1, '2'], 'VECTOR_NOT_FINITE'],
    ['an array', [1, [2]], 'VECTOR_NOT_FINITE'],
    ['zeros', [0, -0], 'VECTOR_ZERO'],
    ['below every float32', [1e-60, 1e-46], 'VECTOR_ZERO'],
  ])('that is %s is none', (_name, numbers, code) => {
    expect(codeOf(readVector(numbers, 2))).toBe(code)
  })
})

describe('the chunks of a document', () => {
  const chunk = (text: string | undefined, ...vector: number[]) => ({ text, vector })

  test('have spans in their texts joined by a blank line', () => {
    const read = readVectors([chunk('😀', 1, 0), chunk(undefined, 0, 2), chunk('b', 3, 3)], 2)
    if ('code' in read) throw new Error(read.message)
    expect(read.text).toBe('😀\n\n\n\nb')
    expect(read.chunks.map(({ startAt, endAt }) => [startAt, endAt])).toEqual([
      [0, 2],
      [4, 4],
      [6, 7],
    ])
    for (const { text, startAt, endAt } of read.chunks) expect(read.text.slice(startAt, endAt)).toBe(text)
  })

  test('have a digest that tells bounds and directions apart, not lengths', () => {
    const digest = (...chunks: ReturnType<typeof chunk>[]) => {
      const read = readVectors(chunks, 2)
      return 'code' in read ? read.code : read.digest
    }
    const one = digest(chunk('a\n\nb', 1, 0), chunk('c', 1, 0))
    expect(digest(chunk('a\n\nb', 2, 0), chunk('c', 3, 0))).toBe(one)
    const others = [
      digest(chunk('a', 1, 0), chunk('b\n\nc', 1, 0)),
      digest(chunk('a\n\nb', 1, 0), chunk('c', 0, 1)),
      digest(chunk('a\n\nb\n\nc', 1, 0)),
    ]
    expect(new Set([one, ...others]).size).toBe(4)
  })

  test('are neither none nor too many, and name the one that is wrong', () => {
    expect(readVectors([], 2)).toMatchObject({ code: 'NO_CHUNKS' })
    const three = [chunk('a', 1, 0), chunk('b', 1, 0), chunk('c', 1)]
    expect(readVectors(three, 2, { chunks: 2 })).toMatchObject({ code: 'TOO_MANY_CHUNKS' })
    expect(readVectors(three, 2)).toEqual({
      code: 'VECTOR_DIMS',
      message: "Chunk 2: The vector has 1 dimensions, the domain's have 2",
    })
  })
})
