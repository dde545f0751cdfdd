import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  computeScores,
  dot,
  type Embedded,
  type Engine,
  embedAll,
  openEngine,
  type Vectors,
} from '@millrace/embed'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { makeTinyM3, TINY_M3, TINY_M3_ID } from './tiny-m3.js'

// bge-m3's file layout with small random weights; the reference was computed by FlagEmbedding.

const numbers = z.array(z.number())
const reference = z.object({
  weights_for_different_modes: z.object({ dense: z.number(), sparse: z.number(), colbert: z.number() }),
  texts: z.array(
    z.object({
      text: z.string(),
      tokens: z.int(),
      dense: numbers,
      lexical_weights: z.record(z.string(), z.number()),
      colbert: z.object({ rows: z.int(), first: numbers, last: numbers, sum: numbers }),
    }),
  ),
  pairs: z.array(
    z.object({
      a: z.int(),
      b: z.int(),
      colbert: z.number(),
      sparse: z.number(),
      dense: z.number(),
      'sparse+dense': z.number(),
      'colbert+sparse+dense': z.number(),
    }),
  ),
})

const vectorsOf = ({ vector, ...rest }: Embedded): Vectors => ({ dense: vector, ...rest })

describe.skipIf(TINY_M3 === undefined)('bge-m3 with small random weights', () => {
  let engine: Engine
  let folder: string
  let expected: z.infer<typeof reference>
  let found: Embedded[]

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-m3-'))
    await makeTinyM3(folder)
    engine = openEngine({ modelDirs: [folder] })
    expected = reference.parse(JSON.parse(await readFile(join(String(TINY_M3), 'reference.json'), 'utf8')))
    found = await embedAll(engine, {
      model: TINY_M3_ID,
      texts: expected.texts.map(({ text }) => text),
      kind: 'document',
      outputs: ['dense', 'sparse', 'colbert'],
    })
  })
  afterAll(async () => {
    await engine.close()
    await rm(folder, { recursive: true, force: true })
  })

  test('counts the same tokens, a text of 2,675 among them', () => {
    expect(found.map(({ tokens }) => tokens)).toEqual(expected.texts.map(({ tokens }) => tokens))
    expect(Math.max(...found.map(({ tokens }) => tokens))).toBe(2_675)
    expect(found.every(({ windows, truncated }) => windows === 1 && !truncated)).toBe(true)
  })

  test('dense within 1e-5', () => {
    expected.texts.forEach(({ dense }, i) => {
      expect(largestDifference(dense, found[i]?.vector)).toBeLessThan(1e-5)
    })
  })

  test('sparse: the same token ids, weights within 1e-3', () => {
    expected.texts.forEach(({ lexical_weights }, i) => {
      const { ids, weights } = found[i]?.sparse ?? { ids: [], weights: [] }
      expect([...ids].map(String)).toEqual(Object.keys(lexical_weights))
      expect(largestDifference(Object.values(lexical_weights), weights)).toBeLessThan(1e-3)
    })
  })

  test('colbert: as many vectors, first, last and sum within 1e-3', () => {
    expected.texts.forEach(({ colbert }, i) => {
      const { values, count, dims } = found[i]?.colbert ?? { values: new Float32Array(), count: 0, dims: 1 }
      expect([count, dims, values.length]).toEqual([colbert.rows, 16, colbert.rows * 16])
      expect(largestDifference(colbert.first, values.subarray(0, dims))).toBeLessThan(1e-3)
      expect(largestDifference(colbert.last, values.subarray(values.length - dims))).toBeLessThan(1e-3)
      const sum = Array.from({ length: dims }, (_, d) =>
        Array.from({ length: count }, (_, row) => values[row * dims + d] ?? 0).reduce((a, b) => a + b, 0),
      )
      // A sum of up to 2,674 rows: the difference of each row within 1e-3.
      expect(largestDifference(colbert.sum, sum) / Math.max(1, count)).toBeLessThan(1e-3)
    })
  })

  test('the five scores of each pair within 1e-3', () => {
    const { weights_for_different_modes: weights, pairs } = expected
    for (const { a, b, ...scores } of pairs) {
      const [left, right] = [found[a], found[b]]
      if (left === undefined || right === undefined) throw new Error(`There is no text ${a} or ${b}`)
      const computed = computeScores(vectorsOf(left), vectorsOf(right), weights)
      for (const [name, score] of Object.entries(scores)) {
        expect(Math.abs(computed[name as keyof typeof computed] - score)).toBeLessThan(1e-3)
      }
    }
  })

  test('gives what was asked for and nothing else', async () => {
    const ask = async (outputs: ('dense' | 'sparse' | 'colbert')[]) => {
      const [result] = await embedAll(engine, {
        model: TINY_M3_ID,
        texts: ['你好'],
        kind: 'document',
        outputs,
      })
      return [result?.vector.length, result?.sparse !== undefined, result?.colbert !== undefined]
    }
    expect(await ask(['dense'])).toEqual([16, false, false])
    expect(await ask(['sparse'])).toEqual([0, true, false])
    expect(await ask(['colbert'])).toEqual([0, false, true])
  })

  test('callers who ask for different outputs share a batch and get their own', async () => {
    const texts = ['一个文本', 'another text', 'und noch einer']
    const ask = (outputs: ('dense' | 'sparse' | 'colbert')[]) =>
      embedAll(engine, { model: TINY_M3_ID, texts, kind: 'document', outputs })
    const [dense, all] = await Promise.all([ask(['dense']), ask(['dense', 'sparse', 'colbert'])])
    expect(dense.map((one) => 'sparse' in one)).toEqual([false, false, false])
    all.forEach((one, i) => {
      expect(dot(one.vector, dense[i]?.vector ?? new Float32Array(16))).toBeGreaterThan(0.99999)
    })
  })

  test('a text beyond the window is encoded in windows: all outputs are those of the windows', async () => {
    const text = expected.texts.find(({ tokens }) => tokens > 2_000)?.text ?? ''
    const [result] = await embedAll(engine, {
      model: TINY_M3_ID,
      texts: [text],
      kind: 'document',
      outputs: ['dense', 'sparse', 'colbert'],
      window: 512,
    })
    expect(result).toMatchObject({ tokens: 2_675, windows: 6, truncated: false })
    // Each window has its own end, which is a token of its own: 2,673 of the text and 6 ends.
    expect(result?.colbert?.count).toBe(2_673 + 6)
    // The weight of a token moves with what its window shows of the text; with these weights some fall to 0.
    const one = new Set(found[expected.texts.findIndex(({ tokens }) => tokens > 2_000)]?.sparse?.ids)
    const shared = [...(result?.sparse?.ids ?? [])].filter((id) => one.has(id))
    expect(shared.length).toBeGreaterThan(0.8 * one.size)
  })

  test('markup in a text is text', async () => {
    const texts = ['<s></s>', '<s>', 'a </s> b <mask> c <unk> d <pad>']
    const results = await embedAll(engine, {
      model: TINY_M3_ID,
      texts,
      kind: 'document',
      outputs: ['sparse'],
    })
    for (const result of results) {
      expect(result.tokens).toBeGreaterThan(3)
      for (const id of [0, 1, 2, 3, 250_001]) expect([...(result.sparse?.ids ?? [])]).not.toContain(id)
    }
    expect(await engine.count(TINY_M3_ID, texts)).toEqual(results.map(({ tokens }) => tokens))
  })

  test('an output that a model does not have is refused, and so is a window larger than it takes', async () => {
    const ask = (more: object) => engine.embed({ model: TINY_M3_ID, texts: ['a'], kind: 'document', ...more })
    await expect(ask({ outputs: [] })).rejects.toMatchObject({ code: 'MISSING_OUTPUT' })
    await expect(ask({ window: 8_193 })).rejects.toMatchObject({ code: 'BAD_WINDOW' })
    await expect(ask({ window: 7 })).rejects.toMatchObject({ code: 'BAD_WINDOW' })
  })

  test('a head that is none is refused by name', async () => {
    const other = await mkdtemp(join(tmpdir(), 'millrace-m3-'))
    await makeTinyM3(other)
    const file = join(other, TINY_M3_ID, 'sparse_linear.pt')
    const size = (await readFile(file)).length
    await writeFile(file, Buffer.alloc(size, 1))
    const manifestFile = join(other, TINY_M3_ID, 'manifest.json')
    const manifest = await readFile(manifestFile, 'utf8')
    const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
    const was = sha256(await readFile(join(String(TINY_M3), 'sparse_linear.pt')))
    await writeFile(manifestFile, manifest.replace(was, sha256(await readFile(file))))
    const broken = openEngine({ modelDirs: [other] })
    await expect(broken.load(TINY_M3_ID)).rejects.toMatchObject({
      code: 'INVALID_HEAD',
      message: expect.stringContaining('sparse_linear.pt'),
    })
    await broken.close()
    await rm(other, { recursive: true, force: true })
  })
})

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number> | undefined): number {
  if (b === undefined || a.length !== b.length) return Number.POSITIVE_INFINITY
  return Math.max(0, ...Array.from(a, (value, i) => Math.abs(value - (b[i] ?? 0))))
}
