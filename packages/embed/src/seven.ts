import { CodedError } from '@millrace/errors'
import {
  asFloats,
  asInt8,
  DataType,
  dimsOf,
  type GraphIndex,
  indexGraph,
  makeTensor,
  type NodeProto,
  type OnnxModel,
  prune,
  setInitializers,
  type TensorData,
  type TensorProto,
} from './onnx/index.js'

/** Pairs of products with uint8 fit into 16 bits up to here: 255 × 64 × 2 = 32,640. */
const WEIGHT_MAX = 64

/** Multiplications between the sum of integers and its end: by the row's scale and by the column's. */
const STEPS_MAX = 3

/**
 * Halves the weights of an int8-row graph, in place, so that kernels which saturate do not, and doubles their
 * scales. A MatMulInteger with constant int8 weights is known by what follows it: Cast, then Muls, one of them by
 * the scales. Weights that fit already stay. New weights are in the graph, wherever the old ones were.
 * @returns how many weights were halved
 * @throws CodedError INVALID_GRAPH when weights have no scales that could be doubled
 */
export async function toSevenBit({ graph }: OnnxModel, data: TensorData): Promise<number> {
  const index = indexGraph(graph)
  const halved = new Map<string, string>()
  for (const node of graph.node) {
    const weight = weightOf(node, index)
    if (weight === undefined) continue
    let name = halved.get(weight.name)
    if (name === undefined) {
      const integers = asInt8(await data.read(weight))
      if (!integers.some((value) => Math.abs(value) > WEIGHT_MAX)) continue
      name = `${weight.name}.7bit`
      halved.set(weight.name, name)
      setInitializers(graph, [makeTensor(name, dimsOf(weight), halve(integers))])
    }
    node.input[1] = name
    await doubleScales(node, index, graph, data)
  }
  prune(graph)
  return halved.size
}

/** Half of each, to the even neighbour where it lies between two: rounding always up or down would shift all. */
export const halve = (integers: Int8Array): Int8Array =>
  integers.map((value) => {
    const down = value >> 1
    return down + (value & down & 1)
  })

/** The constant int8 weights of a node that multiplies uint8 rows with them. */
function weightOf(node: NodeProto, { initializers }: GraphIndex): TensorProto | undefined {
  const [, by = '', , zeroPoint = ''] = node.input
  if (node.opType !== 'MatMulInteger' || zeroPoint !== '') return undefined
  const weight = initializers.get(by)
  return weight?.dataType === DataType.INT8 ? weight : undefined
}

/** The scales get a name of their own: others may have the same ones. */
async function doubleScales(
  product: NodeProto,
  { initializers, consumers }: GraphIndex,
  graph: OnnxModel['graph'],
  data: TensorData,
): Promise<void> {
  let [node] = consumers.get(product.output[0] ?? '') ?? []
  for (let step = 0; node !== undefined && step <= STEPS_MAX; step++) {
    const at = node.opType === 'Mul' ? node.input.findIndex((name) => initializers.has(name)) : -1
    const scales = initializers.get(node.input[at] ?? '')
    if (scales?.dataType === DataType.FLOAT) {
      const name = `${product.output[0]}.scales`
      const doubled = asFloats(await data.read(scales)).map((scale) => 2 * scale)
      setInitializers(graph, [makeTensor(name, dimsOf(scales), doubled)])
      node.input[at] = name
      return
    }
    if (!['Cast', 'Mul'].includes(node.opType)) break
    node = consumers.get(node.output[0] ?? '')?.[0]
  }
  throw new CodedError('INVALID_GRAPH', `The product ${product.name || product.output[0]} has no scales`, {
    hint: 'On this processor products of 8 bits saturate: use the float32 model',
  })
}
