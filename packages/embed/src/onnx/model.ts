import { readFile } from 'node:fs/promises'
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import { CodedError, messageOf } from '@millrace/errors'
import { type GraphProto, type ModelProto, ModelSchema } from './schema.js'

/** A model whose graph is there. */
export type OnnxModel = ModelProto & { graph: GraphProto }

/**
 * Reads an ONNX model. Raw data of tensors is not copied: it lies in `bytes`, which must not change.
 * @param what names the model in an error. Default: the bytes
 * @throws CodedError INVALID_GRAPH when it is not one
 */
export function decodeModel(bytes: Uint8Array, what = 'these bytes'): OnnxModel {
  let model: ModelProto
  try {
    model = fromBinary(ModelSchema, bytes)
  } catch (error) {
    throw notOnnx(what, messageOf(error), error)
  }
  if (!hasGraph(model)) throw notOnnx(what, 'it has no graph')
  return model
}

/** The bytes of a model, all it was read with included. They must stay below 2 GiB, the limit of protobuf. */
export function encodeModel(model: ModelProto): Uint8Array<ArrayBuffer> {
  return toBinary(ModelSchema, model)
}

/**
 * Reads a model's file as a whole; external data stays where it is.
 * @throws CodedError INVALID_GRAPH when it cannot be read or is not one
 */
export async function readModel(path: string): Promise<OnnxModel> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw notOnnx(path, messageOf(error), error)
  })
  return decodeModel(bytes, path)
}

/** The version of the standard operators that a model asks for; 1 when it does not say. */
export function opsetOf(model: ModelProto): number {
  const standard = model.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')
  return Number(standard?.version ?? 1n)
}

const hasGraph = (model: ModelProto): model is OnnxModel => model.graph !== undefined

const notOnnx = (what: string, why: string, cause?: unknown): CodedError =>
  new CodedError('INVALID_GRAPH', `${what} is no ONNX model: ${why}`, {
    hint: 'Copy or pull the model again',
    cause,
  })
