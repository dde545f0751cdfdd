import { create } from '@bufbuild/protobuf'
import {
  type AttributeProto,
  AttributeSchema,
  AttributeType,
  type NodeProto,
  NodeSchema,
  type TensorProto,
} from './schema.js'

/** Values of attributes: a float is told from an integer by `{ float }`, since both are numbers here. */
export type AttributeValue =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly tensor: TensorProto }

export interface NodeOptions {
  /** Default: none. onnxruntime names it in its messages. */
  readonly name?: string
  readonly attributes?: Readonly<Record<string, AttributeValue>>
}

/**
 * A node of the standard operators (https://onnx.ai/onnx/operators/).
 * @param inputs names of values; the empty string leaves an optional one out
 */
export function makeNode(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  { name, attributes = {} }: NodeOptions = {},
): NodeProto {
  return create(NodeSchema, {
    opType,
    input: [...inputs],
    output: [...outputs],
    ...(name === undefined ? {} : { name }),
    attribute: Object.entries(attributes).map(([key, value]) => makeAttribute(key, value)),
  })
}

function makeAttribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === 'number') {
    return create(AttributeSchema, { name, type: AttributeType.INT, i: BigInt(value) })
  }
  if (typeof value === 'string') {
    return create(AttributeSchema, { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) })
  }
  if ('float' in value) return create(AttributeSchema, { name, type: AttributeType.FLOAT, f: value.float })
  if ('tensor' in value) return create(AttributeSchema, { name, type: AttributeType.TENSOR, t: value.tensor })
  return create(AttributeSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) })
}

const attributeOf = (node: NodeProto, name: string): AttributeProto | undefined =>
  node.attribute.find((attribute) => attribute.name === name)

/** An integer attribute, or the default that the operator gives it. */
export const intOf = (node: NodeProto, name: string, otherwise: number): number => {
  const attribute = attributeOf(node, name)
  return attribute === undefined ? otherwise : Number(attribute.i)
}

/** A float attribute, or the default that the operator gives it. */
export const floatOf = (node: NodeProto, name: string, otherwise: number): number =>
  attributeOf(node, name)?.f ?? otherwise

/** A list of integers; undefined when the node does not have it. */
export const intsOf = (node: NodeProto, name: string): number[] | undefined =>
  attributeOf(node, name)?.ints.map(Number)

/** A tensor attribute, like the value of a Constant. */
export const tensorOf = (node: NodeProto, name: string): TensorProto | undefined => attributeOf(node, name)?.t
