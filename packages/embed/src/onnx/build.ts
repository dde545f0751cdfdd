import { create } from '@bufbuild/protobuf'
import type { OnnxModel } from './model.js'
import { type AttributeValue, makeNode } from './node.js'
import {
  DataType,
  type GraphProto,
  GraphSchema,
  ModelSchema,
  OperatorSetSchema,
  type TensorProto,
  type ValueInfoProto,
  ValueInfoSchema,
} from './schema.js'
import { makeTensor, type TensorValues } from './tensor.js'

/** The name of a value in the graph that is being built. */
export type ValueName = string

/** A size, or a name for one that differs from call to call. */
export type Dim = number | string

/** Builds a graph from nothing, node by node, in the order in which they run. */
export interface GraphBuilder {
  /** @param type one of `DataType`. Default FLOAT */
  input(name: string, dims: readonly Dim[], type?: number): ValueName
  /** A tensor of known values: a weight, a bias, a scalar (no dims). */
  constant(name: string, dims: readonly number[], values: TensorValues): ValueName
  /** A tensor as it stands in another graph, or in a file. */
  tensor(tensor: TensorProto): ValueName
  /**
   * An operator with one output.
   * @param output its name. Default: made from the operator's
   */
  node(
    opType: string,
    inputs: readonly ValueName[],
    attributes?: Readonly<Record<string, AttributeValue>>,
    output?: string,
  ): ValueName
  /** Says that a value is an output. @param type one of `DataType`. Default FLOAT */
  output(value: ValueName, dims: readonly Dim[], type?: number): void
  /** The model; the builder must not be used afterwards. `encodeModel` gives its bytes. */
  model(): OnnxModel
}

/** IR 8 with operators of version 17 is what onnxruntime has run since 1.12, and old enough for ReduceMax's axes as attribute. */
const IR_VERSION = 8n
const OPSET = 17

/**
 * @example
 * const build = buildGraph('head')
 * const hidden = build.input('hidden', ['batch', 'tokens', 4])
 * const weight = build.constant('weight', [4, 1], Float32Array.of(1, 0, 0, 0))
 * const product = build.node('MatMul', [hidden, weight])
 * build.output(build.node('Relu', [product], {}, 'weights'), ['batch', 'tokens', 1])
 * const bytes = encodeModel(build.model())
 */
export function buildGraph(name: string, opset: number = OPSET): GraphBuilder {
  const graph: GraphProto = create(GraphSchema, { name })
  return {
    input: (input, dims, type = DataType.FLOAT) => {
      graph.input.push(makeValueInfo(input, type, dims))
      return input
    },
    constant: (constant, dims, values) => {
      graph.initializer.push(makeTensor(constant, dims, values))
      return constant
    },
    tensor: (tensor) => {
      graph.initializer.push(tensor)
      return tensor.name
    },
    node: (opType, inputs, attributes = {}, output = `${opType}_${graph.node.length}`) => {
      graph.node.push(makeNode(opType, inputs, [output], { attributes }))
      return output
    },
    output: (value, dims, type = DataType.FLOAT) => {
      graph.output.push(makeValueInfo(value, type, dims))
    },
    model: () => {
      const model = create(ModelSchema, {
        irVersion: IR_VERSION,
        producerName: 'millrace',
        opsetImport: [create(OperatorSetSchema, { domain: '', version: BigInt(opset) })],
        graph,
      })
      return Object.assign(model, { graph })
    },
  }
}

/** Name, element type and shape of an input or output. @param dims undefined: of any shape */
export function makeValueInfo(name: string, type: number, dims?: readonly Dim[]): ValueInfoProto {
  const shape = dims && {
    dim: dims.map((dim) => (typeof dim === 'number' ? { dimValue: BigInt(dim) } : { dimParam: dim })),
  }
  return create(ValueInfoSchema, {
    name,
    type: { tensorType: { elemType: type, ...(shape === undefined ? {} : { shape }) } },
  })
}
