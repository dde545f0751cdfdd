import { join } from 'node:path'
import { create } from '@bufbuild/protobuf'
import { CodedError, messageOf } from '@millrace/errors'
import { InferenceSession, type Tensor } from 'onnxruntime-node'
import type { ModelManifest } from './manifest.js'
import { buildGraph, DataType, encodeModel, type GraphBuilder, type TensorProto } from './onnx/index.js'
import { TensorSchema } from './onnx/schema.js'
import { type LinearLayer, readLinear, type TorchType } from './pytorch.js'

/** A linear layer on top of the hidden state of every token, run by onnxruntime. */
export interface Head {
  /** Numbers a token. */
  readonly dims: number
  /**
   * @param hidden float32 [rows, tokens, inputs of the layer]
   * @returns row-major, rows × tokens × dims
   */
  run(hidden: Tensor): Promise<Float32Array>
  close(): Promise<void>
}

export interface Heads {
  readonly sparse?: Head
  readonly colbert?: Head
}

/** Element types of ONNX for those of PyTorch (https://onnx.ai/onnx/repo-docs/IR.html); 16 is bfloat16. */
const ELEMENT: Readonly<Record<TorchType, number>> = {
  float32: DataType.FLOAT,
  float16: DataType.FLOAT16,
  bfloat16: 16,
}

/** A vector shorter than this is not scaled further: `eps` of torch.nn.functional.normalize. */
const LENGTH_MIN = 1e-12

/**
 * Opens the heads that a model has, each a graph of its own that takes the hidden state as the model gave it.
 * @throws CodedError INVALID_HEAD
 */
export async function openHeads(
  dir: string,
  { heads, dims }: ModelManifest,
  options: InferenceSession.SessionOptions,
): Promise<Heads> {
  const open = async (file: string | undefined, finish: Finish) =>
    file === undefined ? undefined : openHead(join(dir, file), dims, finish, options)
  const sparse = await open(heads.sparse, relu)
  if (sparse !== undefined && sparse.dims !== 1) {
    await sparse.close()
    throw new CodedError('INVALID_HEAD', `The head ${heads.sparse} gives ${sparse.dims} weights a token`, {
      hint: 'A sparse head gives one',
    })
  }
  const colbert = await open(heads.colbert, normalized)
  return { ...(sparse === undefined ? {} : { sparse }), ...(colbert === undefined ? {} : { colbert }) }
}

/** What comes after W·x + b. */
type Finish = (build: GraphBuilder, linear: string) => string

/** Sparse: relu(w·h + b), design of M3-Embedding, https://arxiv.org/abs/2402.03216, 3.2. */
const relu: Finish = (build, linear) => build.node('Relu', [linear])

/** Colbert: norm(W·h + b), the same section. */
const normalized: Finish = (build, linear) => {
  const length = build.node('ReduceL2', [linear], { axes: [-1], keepdims: 1 })
  const least = build.constant('length_min', [], Float32Array.of(LENGTH_MIN))
  return build.node('Div', [linear, build.node('Max', [length, least])])
}

async function openHead(
  path: string,
  inputs: number,
  finish: Finish,
  options: InferenceSession.SessionOptions,
): Promise<Head> {
  const layer = await readLinear(path, inputs)
  const session = await InferenceSession.create(headGraph(layer, finish), options).catch((error: unknown) => {
    throw new CodedError('INVALID_HEAD', `Cannot run the head ${path}: ${messageOf(error)}`, { cause: error })
  })
  return {
    dims: layer.outputs,
    run: async (hidden) => {
      const { head } = await session.run({ hidden })
      if (!(head?.data instanceof Float32Array)) {
        throw new CodedError('INVALID_HEAD', `The head ${path} gave ${head?.type}`)
      }
      return head.data
    },
    close: () => session.release(),
  }
}

/** Weights stay in the type they are kept in; onnxruntime turns them into float32 once, at load. */
function headGraph({ type, outputs, inputs, weight, bias }: LinearLayer, finish: Finish): Uint8Array {
  const build = buildGraph('head')
  const float = (name: string, dims: readonly number[], bytes: Uint8Array) =>
    build.node('Cast', [build.tensor(rawTensor(name, dims, ELEMENT[type], bytes))], { to: DataType.FLOAT })
  const hidden = build.input('hidden', ['rows', 'tokens', inputs])
  const w = build.node('Transpose', [float('weight', [outputs, inputs], weight)], { perm: [1, 0] })
  const linear = build.node('Add', [build.node('MatMul', [hidden, w]), float('bias', [outputs], bias)])
  build.output(build.node('Identity', [finish(build, linear)], {}, 'head'), ['rows', 'tokens', outputs])
  return encodeModel(build.model())
}

const rawTensor = (
  name: string,
  dims: readonly number[],
  dataType: number,
  rawData: Uint8Array,
): TensorProto => create(TensorSchema, { name, dims: dims.map(BigInt), dataType, rawData })
