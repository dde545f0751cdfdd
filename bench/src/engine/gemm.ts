import { buildGraph, encodeModel } from '@millrace/embed/onnx'
import { InferenceSession, Tensor } from 'onnxruntime-node'

/** The linear layers of bge-m3, inputs × outputs, and how often a layer has each. */
const LAYERS = [
  { inputs: 1_024, outputs: 1_024, times: 4 },
  { inputs: 1_024, outputs: 4_096, times: 1 },
  { inputs: 4_096, outputs: 1_024, times: 1 },
] as const

export interface Gemm {
  /** Floating-point operations of one run. */
  readonly operations: number
  run(): Promise<unknown>
  close(): Promise<void>
}

/**
 * The matrix products of one layer of bge-m3 over so many tokens and nothing else, in float32: what these cores
 * can do when nothing comes between.
 */
export async function openGemm(tokens: number, options: InferenceSession.SessionOptions): Promise<Gemm> {
  const build = buildGraph('gemm')
  const values: Record<string, Tensor> = {}
  for (const { inputs, outputs, times } of LAYERS) {
    const from = build.input(`x_${inputs}_${outputs}`, ['tokens', inputs])
    values[from] = new Tensor('float32', random(tokens * inputs), [tokens, inputs])
    for (let i = 0; i < times; i++) {
      const weight = build.constant(
        `w_${inputs}_${outputs}_${i}`,
        [inputs, outputs],
        random(inputs * outputs),
      )
      const product = build.node('MatMul', [from, weight])
      // A sum of it, so that the products themselves need not be handed over.
      build.output(build.node('ReduceSum', [product], { keepdims: 0 }), [])
    }
  }
  const session = await InferenceSession.create(encodeModel(build.model()), options)
  const perToken = LAYERS.reduce((sum, { inputs, outputs, times }) => sum + 2 * inputs * outputs * times, 0)
  return {
    operations: tokens * perToken,
    run: () => session.run(values),
    close: () => session.release(),
  }
}

/** The same numbers every time, between -.05 and .05. */
function random(length: number): Float32Array {
  let state = 1
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32 / 10 - 0.05
  })
}
