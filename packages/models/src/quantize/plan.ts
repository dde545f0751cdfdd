import {
  DataType,
  dimsOf,
  floatOf,
  type GraphIndex,
  type GraphProto,
  indexGraph,
  intOf,
  intsOf,
  type NodeProto,
  type TensorProto,
  tensorOf,
} from '@millrace/embed/onnx'

/** A float32 matrix that inputs are multiplied with. */
export interface Weight {
  /** [k, n], or [n, k] when it is transposed. */
  readonly tensor: TensorProto
  /** Channels that go in. */
  readonly k: number
  /** Channels that come out: columns, each of which gets a scale. */
  readonly n: number
  readonly isTransposed: boolean
}

/** A MatMul or Gemm that becomes one of integers. */
export interface Product {
  readonly node: NodeProto
  readonly weight: Weight
  /** What a Gemm adds to the product. */
  readonly bias: string | undefined
}

/** The products that read one value; its rows are quantized once for all of them. */
export interface Group {
  readonly input: string
  readonly k: number
  readonly products: readonly Product[]
}

/** A Gather from a table of float32 vectors by token id. */
export interface Table {
  readonly node: NodeProto
  readonly tensor: TensorProto
  readonly rows: number
  readonly dims: number
}

export interface Plan {
  /** In the order of the graph. */
  readonly groups: readonly Group[]
  readonly tables: readonly Table[]
}

/** Heads of fewer columns (a weight a token, a score) have nothing to win, and are what a caller looks at. */
const COLUMNS_MIN = 16

/**
 * What of a graph is quantized: products of a value with a constant float32 matrix, and the table of word
 * embeddings. Products of two values (attention) stay as they are.
 * @param idsInput the graph's input of token ids, by which the table of word embeddings is known
 */
export function planGraph(graph: GraphProto, idsInput: string): Plan {
  const index = indexGraph(graph)
  const groups = new Map<string, Product[]>()
  const tables: Table[] = []
  for (const node of graph.node) {
    const product = productOf(node, index)
    const [input = ''] = node.input
    if (product !== undefined) groups.set(input, [...(groups.get(input) ?? []), product])
    const table = tableOf(node, index, idsInput)
    if (table !== undefined) tables.push(table)
  }
  return {
    groups: [...groups].map(([input, products]) => ({ input, k: products[0]?.weight.k ?? 0, products })),
    tables,
  }
}

function productOf(node: NodeProto, index: GraphIndex): Product | undefined {
  if (node.domain !== '' || (node.opType !== 'MatMul' && node.opType !== 'Gemm')) return undefined
  const [input = '', by = '', bias] = node.input
  const found = constantOf(by, index)
  if (found === undefined || constantOf(input, index) !== undefined) return undefined
  const isTransposed = found.isTransposed !== (node.opType === 'Gemm' && intOf(node, 'transB', 0) === 1)
  const [rows, columns, ...more] = dimsOf(found.tensor)
  if (found.tensor.dataType !== DataType.FLOAT || rows === undefined || columns === undefined)
    return undefined
  if (more.length > 0) return undefined
  if (node.opType === 'Gemm' && !isPlain(node)) return undefined
  const [k, n] = isTransposed ? [columns, rows] : [rows, columns]
  if (n < COLUMNS_MIN) return undefined
  return { node, weight: { tensor: found.tensor, k, n, isTransposed }, bias: bias === '' ? undefined : bias }
}

const isPlain = (gemm: NodeProto): boolean =>
  intOf(gemm, 'transA', 0) === 0 && floatOf(gemm, 'alpha', 1) === 1 && floatOf(gemm, 'beta', 1) === 1

function tableOf(node: NodeProto, index: GraphIndex, idsInput: string): Table | undefined {
  const [data = '', ids = ''] = node.input
  if (node.opType !== 'Gather' || intOf(node, 'axis', 0) !== 0 || sourceOf(ids, index) !== idsInput) {
    return undefined
  }
  const found = constantOf(data, index)
  if (found === undefined || found.isTransposed || found.tensor.dataType !== DataType.FLOAT) return undefined
  const [rows, dims, ...more] = dimsOf(found.tensor)
  if (rows === undefined || dims === undefined || more.length > 0) return undefined
  return { node, tensor: found.tensor, rows, dims }
}

/** The value that casts and copies begin with. */
function sourceOf(name: string, index: GraphIndex): string {
  const producer = index.producers.get(name)
  if (producer === undefined || !['Cast', 'Identity'].includes(producer.opType)) return name
  return sourceOf(producer.input[0] ?? '', index)
}

/** The constant behind a name, through copies and transpositions, as exporters write them. */
function constantOf(
  name: string,
  index: GraphIndex,
): { readonly tensor: TensorProto; readonly isTransposed: boolean } | undefined {
  const initializer = index.initializers.get(name)
  if (initializer !== undefined) return { tensor: initializer, isTransposed: false }
  const producer = index.producers.get(name)
  if (producer === undefined) return undefined
  if (producer.opType === 'Constant') {
    const tensor = tensorOf(producer, 'value')
    return tensor && { tensor, isTransposed: false }
  }
  const behind = ['Identity', 'Transpose'].includes(producer.opType)
    ? constantOf(producer.input[0] ?? '', index)
    : undefined
  if (behind === undefined || producer.opType === 'Identity') return behind
  const isSwap = behind.tensor.dims.length === 2 && (intsOf(producer, 'perm') ?? [1, 0]).join() === '1,0'
  return isSwap ? { tensor: behind.tensor, isTransposed: !behind.isTransposed } : undefined
}
