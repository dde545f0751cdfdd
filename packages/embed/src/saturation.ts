import { InferenceSession, Tensor } from 'onnxruntime-node'
import { buildGraph, DataType, encodeModel } from './onnx/index.js'

/** A product of whole numbers: [m, k] rows of uint8, from 0 to 255, times [k, n] of int8; int32 [m, n]. */
export interface Product {
  readonly rows: Uint8Array
  readonly weights: Int8Array
  readonly m: number
  readonly k: number
  readonly n: number
}

/** Multiplies rows less 128, the zero point, with weights. */
export type Multiply = (product: Product) => Promise<Int32Array>

/** One row, a few, and more than a kernel takes at once; whole and ragged tiles. */
const SHAPES = [
  [1, 64, 64],
  [4, 64, 64],
  [4, 256, 96],
  [33, 512, 48],
] as const

/**
 * Whether this processor's kernels for uint8 × int8 saturate. Without VNNI, x86 multiplies and adds pairs into 16
 * bits (`vpmaddubsw`), where 255 × 127 × 2 = 64,770 becomes 32,767; onnxruntime knows no way around it
 * (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "when to use reduce range").
 * Products of 7-bit weights fit: 255 × 64 × 2 = 32,640. Takes some 10 ms.
 * @param multiply for tests. Default: MatMulInteger of onnxruntime, as sessions run it
 */
export async function saturates(multiply: Multiply = inOnnxruntime): Promise<boolean> {
  for (const [m, k, n] of SHAPES) {
    const product = {
      // Rows of the largest value, and of the largest and the smallest in turn.
      rows: Uint8Array.from({ length: m * k }, (_, i) =>
        Math.floor(i / k) % 2 === 0 || i % 4 < 2 ? 255 : 0,
      ),
      weights: Int8Array.from({ length: k * n }, (_, i) => ((i % n) % 2 === 0 ? 127 : -127)),
      m,
      k,
      n,
    }
    const sums = await multiply(product)
    if (exact(product).some((sum, i) => sum !== sums[i])) return true
  }
  return false
}

function exact({ rows, weights, m, k, n }: Product): Int32Array {
  const sums = new Int32Array(m * n)
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0
      for (let at = 0; at < k; at++) sum += ((rows[i * k + at] ?? 0) - 128) * (weights[at * n + j] ?? 0)
      sums[i * n + j] = sum
    }
  }
  return sums
}

async function inOnnxruntime({ rows, weights, m, k, n }: Product): Promise<Int32Array> {
  const build = buildGraph('saturation')
  const input = build.input('rows', ['m', k], DataType.UINT8)
  // A constant, as in a model: kernels for constant weights are chosen and the weights packed at load.
  const constant = build.constant('weights', [k, n], weights)
  const zero = build.constant('zero', [], Uint8Array.of(128))
  build.output(build.node('MatMulInteger', [input, constant, zero], {}, 'sums'), ['m', n], DataType.INT32)
  const session = await InferenceSession.create(encodeModel(build.model()), {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    intraOpNumThreads: 1,
  })
  try {
    const { sums } = await session.run({ rows: new Tensor('uint8', rows, [m, k]) })
    if (!(sums?.data instanceof Int32Array)) throw new TypeError(`MatMulInteger gave ${sums?.type}`)
    return sums.data
  } finally {
    await session.release()
  }
}
