import { create, createFileRegistry, type Message } from '@bufbuild/protobuf'
import type { GenMessage } from '@bufbuild/protobuf/codegenv2'
import {
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt'

/*
 * The messages of ONNX that Millrace reads and writes, with the field numbers of the public specification
 * (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and https://onnx.ai/onnx/repo-docs/IR.html). Fields that
 * are not named here are kept as they are found and written again: the library keeps unknown fields. Enums are
 * read as the int32 that they are on the wire.
 */

/** A key with a value; for external data: location, offset, length, checksum. */
export type StringEntry = Message<'onnx.StringStringEntryProto'> & { key: string; value: string }

/** A constant: weights, a table, a scalar. Its values are in one of the data fields, or in a file beside the graph. */
export type TensorProto = Message<'onnx.TensorProto'> & {
  dims: bigint[]
  /** One of `DataType`. */
  dataType: number
  floatData: number[]
  int32Data: number[]
  int64Data: bigint[]
  name: string
  /** Little endian, row-major; empty when another field or a file has the values. */
  rawData: Uint8Array
  externalData: StringEntry[]
  /** 0: in this message; 1: in the file that externalData names. */
  dataLocation: number
}

export type AttributeProto = Message<'onnx.AttributeProto'> & {
  name: string
  /** Which field holds the value: one of `AttributeType`. */
  type: number
  f: number
  i: bigint
  s: Uint8Array
  t?: TensorProto
  g?: GraphProto
  floats: number[]
  ints: bigint[]
  strings: Uint8Array[]
  tensors: TensorProto[]
  graphs: GraphProto[]
}

/** One operator. An optional input that is left out has the empty string for its name. */
export type NodeProto = Message<'onnx.NodeProto'> & {
  input: string[]
  output: string[]
  name: string
  opType: string
  /** Empty for the standard operators. */
  domain: string
  attribute: AttributeProto[]
}

export type Dimension = Message<'onnx.Dimension'> & { dimValue: bigint; dimParam: string }
export type TensorShapeProto = Message<'onnx.TensorShapeProto'> & { dim: Dimension[] }
export type TensorTypeProto = Message<'onnx.Tensor'> & { elemType: number; shape?: TensorShapeProto }
export type TypeProto = Message<'onnx.TypeProto'> & { tensorType?: TensorTypeProto }

/** Name and type of an input, an output or a value between nodes. */
export type ValueInfoProto = Message<'onnx.ValueInfoProto'> & { name: string; type?: TypeProto }

/** Nodes in an order in which each can run after those before it. */
export type GraphProto = Message<'onnx.GraphProto'> & {
  node: NodeProto[]
  name: string
  initializer: TensorProto[]
  input: ValueInfoProto[]
  output: ValueInfoProto[]
  valueInfo: ValueInfoProto[]
}

export type OperatorSetProto = Message<'onnx.OperatorSetIdProto'> & { domain: string; version: bigint }

export type ModelProto = Message<'onnx.ModelProto'> & {
  irVersion: bigint
  opsetImport: OperatorSetProto[]
  producerName: string
  producerVersion: string
  graph?: GraphProto
}

const PACKAGE = 'onnx'
const REPEATED = Label.REPEATED

/** A field: its number, its type (a message by name), and whether it is repeated; packed as the specification says. */
type Field = readonly [no: number, type: Type | string, label?: Label, packed?: boolean]

const MESSAGES: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  StringStringEntryProto: { key: [1, Type.STRING], value: [2, Type.STRING] },
  TensorProto: {
    dims: [1, Type.INT64, REPEATED],
    data_type: [2, Type.INT32],
    float_data: [4, Type.FLOAT, REPEATED, true],
    int32_data: [5, Type.INT32, REPEATED, true],
    int64_data: [7, Type.INT64, REPEATED, true],
    name: [8, Type.STRING],
    raw_data: [9, Type.BYTES],
    external_data: [13, 'StringStringEntryProto', REPEATED],
    data_location: [14, Type.INT32],
  },
  AttributeProto: {
    name: [1, Type.STRING],
    f: [2, Type.FLOAT],
    i: [3, Type.INT64],
    s: [4, Type.BYTES],
    t: [5, 'TensorProto'],
    g: [6, 'GraphProto'],
    floats: [7, Type.FLOAT, REPEATED],
    ints: [8, Type.INT64, REPEATED],
    strings: [9, Type.BYTES, REPEATED],
    tensors: [10, 'TensorProto', REPEATED],
    graphs: [11, 'GraphProto', REPEATED],
    type: [20, Type.INT32],
  },
  NodeProto: {
    input: [1, Type.STRING, REPEATED],
    output: [2, Type.STRING, REPEATED],
    name: [3, Type.STRING],
    op_type: [4, Type.STRING],
    attribute: [5, 'AttributeProto', REPEATED],
    domain: [7, Type.STRING],
  },
  Dimension: { dim_value: [1, Type.INT64], dim_param: [2, Type.STRING] },
  TensorShapeProto: { dim: [1, 'Dimension', REPEATED] },
  Tensor: { elem_type: [1, Type.INT32], shape: [2, 'TensorShapeProto'] },
  TypeProto: { tensor_type: [1, 'Tensor'] },
  ValueInfoProto: { name: [1, Type.STRING], type: [2, 'TypeProto'] },
  GraphProto: {
    node: [1, 'NodeProto', REPEATED],
    name: [2, Type.STRING],
    initializer: [5, 'TensorProto', REPEATED],
    input: [11, 'ValueInfoProto', REPEATED],
    output: [12, 'ValueInfoProto', REPEATED],
    value_info: [13, 'ValueInfoProto', REPEATED],
  },
  OperatorSetIdProto: { domain: [1, Type.STRING], version: [2, Type.INT64] },
  ModelProto: {
    ir_version: [1, Type.INT64],
    producer_name: [2, Type.STRING],
    producer_version: [3, Type.STRING],
    graph: [7, 'GraphProto'],
    opset_import: [8, 'OperatorSetIdProto', REPEATED],
  },
}

/** proto2, as the specification: a field that is present with its default value is written again. */
const registry = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: 'onnx.proto',
    package: PACKAGE,
    syntax: 'proto2',
    messageType: Object.entries(MESSAGES).map(([name, fields]) => ({
      name,
      field: Object.entries(fields).map(
        ([field, [number, type, label = Label.OPTIONAL, packed = false]]) => ({
          name: field,
          number,
          label,
          ...(typeof type === 'string'
            ? { type: Type.MESSAGE, typeName: `.${PACKAGE}.${type}` }
            : { type, ...(packed ? { options: { packed } } : {}) }),
        }),
      ),
    })),
  }),
  () => undefined,
)

/** The one place where the types above and the descriptors are held to be the same; a test compares them. */
function schema<T extends Message>(name: string): GenMessage<T> {
  const found = registry.getMessage(`${PACKAGE}.${name}`)
  if (found === undefined) throw new TypeError(`There is no message ${name}`)
  return found as GenMessage<T>
}

export const ModelSchema = schema<ModelProto>('ModelProto')
export const GraphSchema = schema<GraphProto>('GraphProto')
export const NodeSchema = schema<NodeProto>('NodeProto')
export const AttributeSchema = schema<AttributeProto>('AttributeProto')
export const TensorSchema = schema<TensorProto>('TensorProto')
export const StringEntrySchema = schema<StringEntry>('StringStringEntryProto')
export const ValueInfoSchema = schema<ValueInfoProto>('ValueInfoProto')
export const OperatorSetSchema = schema<OperatorSetProto>('OperatorSetIdProto')

/** Element types of tensors, TensorProto.DataType of the specification. */
export const DataType = {
  FLOAT: 1,
  UINT8: 2,
  INT8: 3,
  INT32: 6,
  INT64: 7,
  BOOL: 9,
  FLOAT16: 10,
} as const

/** Which field of an attribute counts, AttributeProto.AttributeType of the specification. */
export const AttributeType = { FLOAT: 1, INT: 2, STRING: 3, TENSOR: 4, GRAPH: 5, FLOATS: 6, INTS: 7 } as const
