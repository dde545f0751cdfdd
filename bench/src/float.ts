import {
  asFloats,
  asInt8,
  bytesWithin,
  DataType,
  dimsOf,
  encodeModel,
  type GraphIndex,
  indexGraph,
  makeNode,
  makeTensor,
  type NodeProto,
  prune,
  readModel,
  replaceNodes,
  setInitializers,
  type TensorProto,
} from '@millrace/embed/onnx'

/**
 * The float32 graph behind one whose products are dynamic int8, as onnxruntime's quantizer writes them: a real float
 * model where only its quantized file is at hand. Every DynamicQuantizeLinear, MatMulInteger, Cast, Mul becomes a
 * MatMul with float32 weights, every DequantizeLinear of constants a constant. A table of embeddings that is
 * dequantized behind its Gather stays as it is.
 * @param path of the dynamic int8 graph
 * @returns the bytes of the float32 graph
 */
export async function floatGraph(path: string): Promise<Uint8Array> {
  const model = await readModel(path)
  const index = indexGraph(model.graph)
  const replacements = new Map<NodeProto, NodeProto[]>()
  const constants: TensorProto[] = []
  for (const node of model.graph.node) {
    if (node.opType === 'MatMulInteger') {
      const { last, input, weight } = floatProduct(node, index)
      constants.push(weight)
      replacements.set(last, [makeNode('MatMul', [input, weight.name], last.output, { name: node.name })])
    } else if (
      node.opType === 'DequantizeLinear' &&
      node.input.every((name) => index.initializers.has(name))
    ) {
      const [value, scale, zero] = node.input.map((name) => index.initializers.get(name))
      constants.push(dequantized(node.output[0] ?? '', value, scale, zero))
      replacements.set(node, [])
    }
  }
  replaceNodes(model.graph, replacements)
  setInitializers(model.graph, constants)
  prune(model.graph)
  return encodeModel(model)
}

/** A product of integers: MatMulInteger, Cast, then a Mul by the product of both scales. */
function floatProduct(node: NodeProto, { producers, consumers, initializers }: GraphIndex) {
  const next = (of: NodeProto | undefined) => consumers.get(of?.output[0] ?? '')?.[0]
  const cast = next(node)
  const last = next(cast)
  const quantize = producers.get(node.input[0] ?? '')
  const scales = last?.input
    .map((name) => producers.get(name))
    .find((from) => from !== undefined && from !== cast)
  if (last === undefined || quantize === undefined || scales === undefined) {
    throw new TypeError(`${node.name} is not followed by Cast and Mul`)
  }
  const [, by = '', , zero = ''] = node.input
  const scale = scales.input.map((name) => initializers.get(name)).find((tensor) => tensor !== undefined)
  const weight = dequantized(`${by}.float`, initializers.get(by), scale, initializers.get(zero))
  return { last, input: quantize.input[0] ?? '', weight }
}

/** (values − zero point) × scale, each of the latter one number or one a column. */
function dequantized(
  name: string,
  value: TensorProto | undefined,
  scale: TensorProto | undefined,
  zero: TensorProto | undefined,
): TensorProto {
  if (value === undefined || scale === undefined)
    throw new TypeError(`${name} has no constant values or scale`)
  const scales = numbersOf(scale)
  const zeros = zero === undefined ? Float32Array.of(0) : numbersOf(zero)
  const floats = numbersOf(value).map(
    (number, i) => (number - (zeros[i % zeros.length] ?? 0)) * (scales[i % scales.length] ?? 0),
  )
  return makeTensor(name, dimsOf(value), floats)
}

function numbersOf(tensor: TensorProto): Float32Array {
  const bytes = bytesWithin(tensor)
  if (tensor.dataType === DataType.FLOAT) return asFloats(bytes)
  return Float32Array.from<number>(tensor.dataType === DataType.INT8 ? asInt8(bytes) : bytes)
}
