import {
  asFloats,
  buildGraph,
  DataType,
  encodeModel,
  type OnnxModel,
  openTensorData,
  opsetOf,
} from '@millrace/embed/onnx'
import { convert } from '@millrace/models/quantize/convert'
import { planGraph } from '@millrace/models/quantize/plan'
import { rewriteGraph } from '@millrace/models/quantize/rewrite'
import { openInside } from '@millrace/models/quantize/sink'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'

const K = 64
const N = 32

/** Numbers between -1 and 1 that are the same in every run. */
function noise(length: number, seed: number): Float32Array {
  let state = seed
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 31 - 1
  })
}

/** A table, two products that share an input, one behind a transposition, a Gemm, a product of two values, a head. */
function layer(opset: number): OnnxModel {
  const build = buildGraph('layer', opset)
  const ids = build.input('ids', ['batch', 'tokens'], DataType.INT64)
  const table = build.constant('table', [50, K], noise(50 * K, 1))
  const channels = build.constant('channels', [K], new Float32Array(K).fill(1))
  const hidden = build.node('Mul', [build.node('Gather', [table, ids]), channels])
  const query = build.node('MatMul', [hidden, build.constant('query', [K, N], noise(K * N, 2))])
  const turned = build.node('Transpose', [build.constant('key', [N, K], noise(K * N, 3))], { perm: [1, 0] })
  const key = build.node('MatMul', [hidden, turned])
  const scores = build.node('MatMul', [query, build.node('Transpose', [key], { perm: [0, 2, 1] })])
  const mixed = build.node('MatMul', [scores, query])
  const flat = build.node('Reshape', [mixed, build.constant('flat', [2], BigInt64Array.of(-1n, BigInt(N)))])
  const gemm = build.node(
    'Gemm',
    [flat, build.constant('dense', [N, N], noise(N * N, 4)), build.constant('bias', [N], noise(N, 5))],
    { transB: 1 },
  )
  build.output(build.node('MatMul', [gemm, build.constant('head', [N, 1], noise(N, 6))], {}, 'score'), [
    'rows',
    1,
  ])
  build.output(build.node('Identity', [gemm], {}, 'dense_out'), ['rows', N])
  return build.model()
}

/** @param inputMax of the first product's channels. Default: silent ones, which smoothing leaves alone */
async function quantized(model: OnnxModel, inputMax = new Float32Array(K)): Promise<OnnxModel> {
  const plan = planGraph(model.graph, 'ids')
  rewriteGraph(model.graph, plan, opsetOf(model))
  await convert({
    graph: model.graph,
    plan,
    data: openTensorData('.'),
    sink: openInside(),
    maxima: new Map(plan.groups.map(({ input, k }, g) => [input, g === 0 ? inputMax : new Float32Array(k)])),
    bits: 8,
    onProgress: () => {},
    signal: undefined,
  })
  return model
}

async function run(model: OnnxModel, ids: readonly bigint[], output: string): Promise<Float32Array> {
  const session = await InferenceSession.create(encodeModel(model))
  const results = await session.run({ ids: new Tensor('int64', BigInt64Array.from(ids), [1, ids.length]) })
  await session.release()
  const values = results[output]?.data
  if (!(values instanceof Float32Array)) throw new TypeError(`${output} is not float32`)
  return values
}

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

describe('a layer', () => {
  test('what has constant weights is planned, by the input that it shares', () => {
    const { groups, tables } = planGraph(layer(17).graph, 'ids')
    expect(tables.map(({ rows, dims }) => [rows, dims])).toEqual([[50, K]])
    expect(
      groups.map(({ k, products }) => [k, products.map(({ weight, bias }) => [weight.isTransposed, bias])]),
    ).toEqual([
      [
        K,
        [
          [false, undefined],
          [true, undefined],
        ],
      ],
      [N, [[true, 'bias']]],
    ])
  })

  for (const opset of [11, 13, 17, 18, 21]) {
    test(`in operators of version ${opset} it gives nearly the same in integers`, async () => {
      const ids = [3n, 49n, 7n, 7n, 20n]
      const float = await run(layer(opset), ids, 'dense_out')
      const model = await quantized(layer(opset))
      const operators = model.graph.node.map(({ opType }) => opType)
      expect(operators.filter((type) => type === 'MatMulInteger')).toHaveLength(3)
      expect(operators.filter((type) => type === 'ReduceMax')).toHaveLength(2)
      expect(model.graph.initializer.map(({ name }) => name)).not.toContain('query')
      expect(cosine(await run(model, ids, 'dense_out'), float)).toBeGreaterThan(0.998)
    })
  }

  test('an outlier channel costs less when it is smoothed into the weights', async () => {
    // Channel 5 is 80 times as large as the others and weighs as much as they do: its weights are small.
    const scale = (model: OnnxModel, name: string, by: (i: number) => number) => {
      const tensor = model.graph.initializer.find((initializer) => initializer.name === name)
      if (tensor === undefined) throw new Error(`the layer has no ${name}`)
      const values = asFloats(tensor.rawData).map((value, i) => value * by(i))
      tensor.rawData = new Uint8Array(values.buffer)
    }
    const withOutlier = () => {
      const model = layer(17)
      scale(model, 'channels', (i) => (i === 5 ? 80 : 1))
      scale(model, 'query', (i) => (Math.floor(i / N) === 5 ? 1 / 80 : 1))
      scale(model, 'key', (i) => (i % K === 5 ? 1 / 80 : 1))
      return model
    }
    const ids = [3n, 49n, 7n, 7n, 20n]
    const float = await run(withOutlier(), ids, 'dense_out')
    const inputMax = new Float32Array(K).fill(1).fill(80, 5, 6)
    const plain = cosine(await run(await quantized(withOutlier()), ids, 'dense_out'), float)
    const smooth = cosine(await run(await quantized(withOutlier(), inputMax), ids, 'dense_out'), float)
    expect(1 - smooth).toBeLessThan((1 - plain) / 10)
  })

  test('rows of zeros give zeros, not NaN', async () => {
    const model = layer(17)
    const table = model.graph.initializer.find(({ name }) => name === 'table')
    table?.rawData.fill(0, 0, K * 4)
    const values = await run(await quantized(model), [0n, 0n], 'score')
    expect(values.every(Number.isFinite)).toBe(true)
  })
})
