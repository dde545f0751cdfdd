import { create } from '@bufbuild/protobuf'
import { CodedError } from '@millrace/errors'
import { DataType, StringEntrySchema, type TensorProto, TensorSchema } from './schema.js'

/** Values that a tensor can be made of. */
export type TensorValues = Float32Array | Int8Array | Uint8Array | Int32Array | BigInt64Array

/** Where a tensor's values lie in a file beside the graph. */
export interface ExternalData {
  /** Relative to the folder of the graph. */
  readonly location: string
  readonly offset: number
  readonly length: number
}

/** Bytes of an element by the number of its type, TensorProto.DataType; strings and types of half a byte have none. */
const BYTES: Readonly<Record<number, number>> = {
  1: 4, // float
  2: 1, // uint8
  3: 1, // int8
  4: 2, // uint16
  5: 2, // int16
  6: 4, // int32
  7: 8, // int64
  9: 1, // bool
  10: 2, // float16
  11: 8, // double
  12: 4, // uint32
  13: 8, // uint64
  16: 2, // bfloat16
}

/** What is known of a tensor without its values. */
export type TensorShape = Pick<TensorProto, 'name' | 'dims' | 'dataType'>

export const dimsOf = ({ dims }: TensorShape): number[] => dims.map(Number)

/** How many values it has; 1 for a scalar, which has no dims. */
export const sizeOf = ({ dims }: TensorShape): number => dims.reduce((size, dim) => size * Number(dim), 1)

/** @throws CodedError INVALID_GRAPH for element types that Millrace does not handle */
export function bytesOf(tensor: TensorShape): number {
  const each = BYTES[tensor.dataType]
  if (each === undefined) throw unfit(tensor, `has element type ${tensor.dataType}`)
  return sizeOf(tensor) * each
}

/**
 * A tensor with its values inside.
 * @param dims empty for a scalar; their product is the number of values
 */
export function makeTensor(name: string, dims: readonly number[], values: TensorValues): TensorProto {
  const tensor = create(TensorSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: dataTypeOf(values),
    rawData: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  })
  if (sizeOf(tensor) !== values.length) throw new RangeError(`${name}: ${values.length} values for [${dims}]`)
  return tensor
}

/** A tensor whose values lie in a file. */
export function makeExternal(
  name: string,
  dims: readonly number[],
  dataType: number,
  { location, offset, length }: ExternalData,
): TensorProto {
  return create(TensorSchema, {
    name,
    dims: dims.map(BigInt),
    dataType,
    dataLocation: 1,
    externalData: Object.entries({ location, offset, length }).map(([key, value]) =>
      create(StringEntrySchema, { key, value: String(value) }),
    ),
  })
}

function dataTypeOf(values: TensorValues): number {
  if (values instanceof Float32Array) return DataType.FLOAT
  if (values instanceof Int8Array) return DataType.INT8
  if (values instanceof Uint8Array) return DataType.UINT8
  return values instanceof Int32Array ? DataType.INT32 : DataType.INT64
}

/**
 * Where a tensor's values are when they are not in the graph; undefined when they are. Without an offset they
 * begin at 0, without a length they have the length that type and dims give.
 * @throws CodedError INVALID_GRAPH when the entries make no sense
 */
export function externalOf(tensor: TensorProto): ExternalData | undefined {
  if (tensor.dataLocation !== 1) return undefined
  const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]))
  const location = entries.get('location')
  const offset = Number(entries.get('offset') ?? 0)
  const length = Number(entries.get('length') ?? bytesOf(tensor))
  if (!location || !Number.isSafeInteger(offset) || offset < 0 || length !== bytesOf(tensor)) {
    throw unfit(tensor, `says its data is ${length} bytes at ${offset} of "${location ?? ''}"`)
  }
  return { location, offset, length }
}

/**
 * The bytes of a tensor that has them in the graph, little endian, whichever field they are in.
 * @throws CodedError INVALID_GRAPH when they are not there, or not as many as its dims say
 */
export function bytesWithin(tensor: TensorProto): Uint8Array {
  const bytes = tensor.rawData.length > 0 ? tensor.rawData : fromFields(tensor)
  if (bytes.length !== bytesOf(tensor)) {
    throw unfit(tensor, `of [${dimsOf(tensor)}] has ${bytes.length} bytes, not ${bytesOf(tensor)}`)
  }
  return bytes
}

/** Exporters put float32 into floatData, integers of up to 32 bits into int32Data (specification of TensorProto). */
function fromFields(tensor: TensorProto): Uint8Array {
  const { dataType, floatData, int32Data, int64Data } = tensor
  if (floatData.length > 0) return view(Float32Array.from(floatData))
  if (int64Data.length > 0) return view(BigInt64Array.from(int64Data))
  if (dataType === DataType.INT32) return view(Int32Array.from(int32Data))
  if (dataType === DataType.FLOAT16) return view(Uint16Array.from(int32Data))
  return Uint8Array.from(int32Data)
}

const view = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)

/**
 * Bytes as float32 values; copied when they do not lie where float32 may (raw data of a file lies anywhere).
 */
export function asFloats(bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes)
  return new Float32Array(buffer, byteOffset, byteLength / 4)
}

/** The same for int8, which may lie anywhere. */
export const asInt8 = ({ buffer, byteOffset, byteLength }: Uint8Array): Int8Array =>
  new Int8Array(buffer, byteOffset, byteLength)

const unfit = ({ name }: TensorShape, why: string): CodedError =>
  new CodedError('INVALID_GRAPH', `The tensor ${name || 'without a name'} ${why}`, {
    hint: 'Export the model again',
  })
