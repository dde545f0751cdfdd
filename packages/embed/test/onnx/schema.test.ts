import { create, protoInt64 } from '@bufbuild/protobuf'
import { decodeModel, encodeModel } from '@millrace/embed/onnx'
import {
  AttributeSchema,
  GraphSchema,
  ModelSchema,
  NodeSchema,
  TensorSchema,
} from '@millrace/embed/onnx/schema'
import { expect, test } from 'vitest'

// Field numbers are those of onnx.proto; a wrong one would be an unknown field to onnxruntime, and silently none.
test('the descriptors have the fields that the types name', () => {
  const fields = (schema: { fields: readonly { localName: string; number: number }[] }) =>
    Object.fromEntries(schema.fields.map(({ localName, number }) => [localName, number]))
  expect(fields(TensorSchema)).toEqual({
    dims: 1,
    dataType: 2,
    floatData: 4,
    int32Data: 5,
    int64Data: 7,
    name: 8,
    rawData: 9,
    externalData: 13,
    dataLocation: 14,
  })
  expect(fields(NodeSchema)).toEqual({ input: 1, output: 2, name: 3, opType: 4, attribute: 5, domain: 7 })
  expect(fields(AttributeSchema)).toMatchObject({
    name: 1,
    f: 2,
    i: 3,
    s: 4,
    t: 5,
    g: 6,
    floats: 7,
    ints: 8,
    type: 20,
  })
  expect(fields(GraphSchema)).toMatchObject({
    node: 1,
    name: 2,
    initializer: 5,
    input: 11,
    output: 12,
    valueInfo: 13,
  })
  expect(fields(ModelSchema)).toMatchObject({ irVersion: 1, graph: 7, opsetImport: 8 })
})

test('fields that are not described are kept', () => {
  // Field 14 of ModelProto, metadata_props: one entry of four bytes.
  const metadata = Buffer.of(0x72, 4, 0x0a, 2, 0x68, 0x69)
  const model = encodeModel(create(ModelSchema, { irVersion: protoInt64.parse(8), graph: { name: 'g' } }))
  const again = encodeModel(decodeModel(Buffer.concat([model, metadata])))
  expect(Buffer.from(again).includes(metadata)).toBe(true)
})
