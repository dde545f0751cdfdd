export { buildGraph, type Dim, type GraphBuilder, makeValueInfo, type ValueName } from './build.js'
export { openTensorData, type TensorData } from './data.js'
export { type GraphIndex, indexGraph, prune, replaceNodes, setInitializers } from './graph.js'
export { decodeModel, encodeModel, type OnnxModel, opsetOf, readModel } from './model.js'
export { type AttributeValue, floatOf, intOf, intsOf, makeNode, type NodeOptions, tensorOf } from './node.js'
export {
  AttributeType,
  DataType,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from './schema.js'
export {
  asFloats,
  asInt8,
  bytesOf,
  bytesWithin,
  dimsOf,
  type ExternalData,
  externalOf,
  makeExternal,
  makeTensor,
  sizeOf,
  type TensorShape,
  type TensorValues,
} from './tensor.js'
