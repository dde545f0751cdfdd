import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dot, normalize, openTokenizer } from '@millrace/embed'
import { buildGraph, DataType, decodeModel, encodeModel, makeExternal } from '@millrace/embed/onnx'
import { type Openable, openableGraph } from '@millrace/embed/openable'
import { pool } from '@millrace/embed/pool'
import { type Product, saturates } from '@millrace/embed/saturation'
import { openSession } from '@millrace/embed/session'
import { halve } from '@millrace/embed/seven'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { BGE_ZH, localManifest, MINILM, MODELS_DIR, prose } from './models.js'

describe('saturates', () => {
  /** vpmaddubsw, as x86 without VNNI does it: pairs are added into 16 bits, saturated, then into 32. */
  const pairwise = async ({ rows, weights, m, k, n }: Product): Promise<Int32Array> => {
    const sums = new Int32Array(m * n)
    for (let at = 0; at < sums.length; at++) {
      const [row, column] = [Math.floor(at / n) * k, at % n]
      const product = (i: number) => (rows[row + i] ?? 0) * (weights[i * n + column] ?? 0)
      for (let i = 0; i < k; i += 2) {
        const pair = Math.max(-32_768, Math.min(32_767, product(i) + product(i + 1)))
        sums[at] =
          (sums[at] ?? 0) +
          pair -
          128 * ((weights[i * n + column] ?? 0) + (weights[(i + 1) * n + column] ?? 0))
      }
    }
    return sums
  }

  test('finds kernels that add pairs into 16 bits', async () => {
    expect(await saturates(pairwise)).toBe(true)
  })

  test('halved weights are exact in the same kernels, where whole ones are not', async () => {
    const weights = new Int8Array(64).fill(127)
    const product = { rows: new Uint8Array(64).fill(255), weights, m: 1, k: 64, n: 1 }
    expect(await pairwise(product)).not.toEqual(Int32Array.of((255 - 128) * 127 * 64))
    expect(await pairwise({ ...product, weights: halve(weights) })).toEqual(
      Int32Array.of((255 - 128) * 64 * 64),
    )
  })

  test('runs on this processor', async () => {
    expect(typeof (await saturates())).toBe('boolean')
  })
})

test('halves go to the even neighbour, and none is beyond 64', () => {
  expect(halve(Int8Array.of(4, 5, 7, -5, -7, 127, -127, -128, 1, -1, 0))).toEqual(
    Int8Array.of(2, 2, 4, -2, -4, 64, -64, -64, 0, 0, 0),
  )
  expect(255 * 64 * 2).toBeLessThan(2 ** 15)
})

async function open({ graph, session }: Openable): Promise<InferenceSession> {
  const options = { extra: { session } }
  return typeof graph === 'string'
    ? InferenceSession.create(graph, options)
    : InferenceSession.create(graph, options)
}

describe('weights of 7 bits', () => {
  const texts = [
    'password',
    prose(9),
    prose(40, 3),
    '如何修改收货地址？',
    'error: 404 at line 12, column 7',
    prose(120, 5),
  ]
  const vectors = async (openable: Openable, model: string, pooling: 'cls' | 'mean') => {
    const session = await open(openable)
    const { encode, special } = await openTokenizer(join(MODELS_DIR, model))
    const result: Float32Array[] = []
    for (const inner of await encode(texts)) {
      const ids = BigInt64Array.from([...special.before, ...inner, ...special.after].map(BigInt))
      const tensor = (values: BigInt64Array) => new Tensor('int64', values, [1, ids.length])
      const { last_hidden_state: hidden } = await session.run({
        input_ids: tensor(ids),
        attention_mask: tensor(ids.map(() => 1n)),
        token_type_ids: tensor(ids.map(() => 0n)),
      })
      if (!(hidden?.data instanceof Float32Array)) throw new TypeError('the output is not float32')
      result.push(normalize(pool(hidden.data, ids.length, hidden.data.length / ids.length, pooling)))
    }
    await session.release()
    return result
  }

  for (const [model, pooling] of [
    [MINILM, 'mean'],
    [BGE_ZH, 'cls'],
  ] as const) {
    test(`${model}: all weights fit, and vectors stay where they were`, async () => {
      const path = join(MODELS_DIR, model, 'model.onnx')
      const seven = await openableGraph(path, true)
      if (typeof seven.graph === 'string') throw new Error('it was opened as it is')
      const { graph } = decodeModel(seven.graph)
      const weights = new Set(
        graph.node.filter(({ opType }) => opType === 'MatMulInteger').map(({ input }) => input[1]),
      )
      expect(weights.size).toBeGreaterThan(20)
      for (const { name, rawData } of graph.initializer.filter(({ name }) => weights.has(name))) {
        const most = new Int8Array(rawData).reduce((so, value) => Math.max(so, Math.abs(value)), 0)
        expect(most, name).toBeLessThanOrEqual(64)
      }
      const before = await vectors(await openableGraph(path, false), model, pooling)
      const after = await vectors(seven, model, pooling)
      const cosines = before.map((vector, i) => dot(vector, after[i] ?? new Float32Array(vector.length)))
      expect(Math.min(...cosines)).toBeGreaterThan(0.99)
    })
  }

  test('external weights are read from their file, halved once, and the other data is found where it was', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'seven-'))
    const [k, n] = [64, 32]
    const weights = Int8Array.from({ length: k * n }, (_, i) => ((i * 37) % 255) - 127)
    const scales = Float32Array.from({ length: n }, (_, i) => 0.01 * (i + 1))
    await writeFile(
      join(dir, 'data'),
      Buffer.concat([Buffer.from(weights.buffer), Buffer.from(scales.buffer)]),
    )
    const build = buildGraph('external')
    const rows = build.input('rows', ['m', k], DataType.UINT8)
    const at = (offset: number, length: number) => ({ location: 'data', offset, length })
    const weight = build.tensor(makeExternal('weight', [k, n], DataType.INT8, at(0, k * n)))
    const scale = build.tensor(makeExternal('scale', [n], DataType.FLOAT, at(k * n, 4 * n)))
    const zero = build.constant('zero', [], Uint8Array.of(128))
    for (const output of ['a', 'b']) {
      const sums = build.node('MatMulInteger', [rows, weight, zero])
      const floats = build.node('Cast', [sums], { to: DataType.FLOAT })
      build.output(build.node('Mul', [floats, scale], {}, output), ['m', n])
    }
    build.output(build.node('Identity', [scale], {}, 'c'), [n])
    const path = join(dir, 'model.onnx')
    await writeFile(path, encodeModel(build.model()))
    const run = async (openable: Openable) => {
      const session = await open(openable)
      const bytes = Uint8Array.from({ length: k }, (_, i) => (i * 11) % 256)
      const { a, b, c } = await session.run({ rows: new Tensor('uint8', bytes, [1, k]) })
      await session.release()
      return [a, b, c].map((output) => output?.data as Float32Array)
    }
    const before = await run(await openableGraph(path, false))
    const after = await run(await openableGraph(path, true))
    for (const [i, values] of before.entries()) {
      const other = normalize(after[i]?.slice() ?? new Float32Array())
      expect(dot(normalize(values.slice()), other)).toBeGreaterThan(0.999)
    }
    expect(after[1]).toEqual(after[0])
    expect(after[2]).toEqual(scales)
    expect((await readFile(join(dir, 'data'))).length).toBe(k * n + 4 * n)
    await rm(dir, { recursive: true })
  })
})

test('a session for such a processor gives nearly the same vectors', async () => {
  const dir = join(MODELS_DIR, MINILM)
  const manifest = localManifest(dir)
  const tokenizer = await openTokenizer(dir)
  const [ids = new Int32Array()] = await tokenizer.encode(['Where is the invoice of my last order?'])
  const row = Int32Array.from([...tokenizer.special.before, ...ids, ...tokenizer.special.after])
  const vectors: Float32Array[] = []
  for (const saturates of [false, true]) {
    const session = await openSession(dir, manifest, tokenizer, { threads: 1, provider: 'cpu', saturates })
    const [result] = await session.run([row], new Set(['dense']))
    vectors.push(result?.dense ?? new Float32Array(384))
    await session.close()
  }
  const [eight = new Float32Array(), seven = new Float32Array()] = vectors
  expect(dot(eight, seven)).toBeGreaterThan(0.99)
  expect(dot(eight, seven)).toBeLessThan(0.999999)
})
