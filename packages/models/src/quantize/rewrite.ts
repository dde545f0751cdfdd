import {
  DataType,
  type GraphProto,
  makeNode,
  makeTensor,
  type NodeProto,
  prune,
  replaceNodes,
  setInitializers,
} from '@millrace/embed/onnx'
import type { Group, Plan, Product, Table } from './plan.js'

const PREFIX = 'int8_row'

/** Initializers that the rewritten graph expects, by what they are for. */
export const nameOf = {
  /** 1 over the smoothing factors [k], float32. */
  smoothing: (group: number) => `${PREFIX}.${group}.smoothing`,
  /** Integers [k, n], int8. */
  weight: (group: number, product: number) => `${PREFIX}.${group}.${product}.weight`,
  /** Scales [n], float32. */
  scales: (group: number, product: number) => `${PREFIX}.${group}.${product}.scales`,
  /** Integers [rows, dims], int8. */
  table: (table: number) => `${PREFIX}.table.${table}.integers`,
  /** Scales [rows, 1], float32. */
  tableScales: (table: number) => `${PREFIX}.table.${table}.scales`,
}

const MOST = `${PREFIX}.127`
const ROUND_UP = `${PREFIX}.128_5`
const ZERO_POINT = `${PREFIX}.zero_point`
const LEAST = `${PREFIX}.least`
const LAST_AXIS = `${PREFIX}.last_axis`

/**
 * A row of zeros has no largest value to divide by. This stands in for it: far below any activation, and its
 * inverse times 127 is still a float32.
 */
const LEAST_VALUE = 1e-9

/** From this version of the operators on ReduceMax takes its axes as an input (https://onnx.ai/onnx/operators/). */
export const AXES_AS_INPUT = 18

/**
 * Writes the plan into the graph, in place: standard operators only, so that any onnxruntime runs it. What the
 * integers and scales are is left open; their names are in `nameOf`. Weights that nobody needs any more are gone.
 */
export function rewriteGraph(graph: GraphProto, plan: Plan, opset: number): void {
  const replacements = new Map<NodeProto, NodeProto[]>()
  for (const [g, group] of plan.groups.entries()) {
    for (const [p, product] of group.products.entries()) {
      // The first product of a group is the first to need the rows as integers.
      const rows = p === 0 ? rowNodes(group, g, opset) : []
      replacements.set(product.node, [...rows, ...productNodes(product, g, p)])
    }
  }
  for (const [t, table] of plan.tables.entries()) replacements.set(table.node, tableNodes(table, t))
  replaceNodes(graph, replacements)
  setInitializers(graph, [
    makeTensor(MOST, [], Float32Array.of(127)),
    makeTensor(ROUND_UP, [], Float32Array.of(128.5)),
    makeTensor(ZERO_POINT, [], Uint8Array.of(128)),
    makeTensor(LEAST, [], Float32Array.of(LEAST_VALUE)),
    makeTensor(LAST_AXIS, [1], BigInt64Array.of(-1n)),
  ])
  prune(graph)
}

const within = (group: number, what: string): string => `${PREFIX}.${group}.${what}`

/**
 * Rows as uint8 with the zero point 128, each with a scale of its own: round(x / scale) + 128, where scale is the
 * row's largest absolute value over 127. Cast cuts off, hence 128.5. Signed integers would need no zero point, but
 * onnxruntime's int8 × int8 kernels were 4 to 6 times slower on x86.
 */
function rowNodes({ input }: Group, group: number, opset: number): NodeProto[] {
  const value = (what: string) => within(group, what)
  const reduce =
    opset < AXES_AS_INPUT
      ? makeNode('ReduceMax', [value('abs')], [value('max')], { attributes: { axes: [-1], keepdims: 1 } })
      : makeNode('ReduceMax', [value('abs'), LAST_AXIS], [value('max')], { attributes: { keepdims: 1 } })
  return [
    makeNode('Mul', [input, nameOf.smoothing(group)], [value('smooth')]),
    makeNode('Abs', [value('smooth')], [value('abs')]),
    reduce,
    makeNode('Max', [value('max'), LEAST], [value('most')]),
    makeNode('Div', [value('most'), MOST], [value('scale')]),
    makeNode('Div', [MOST, value('most')], [value('inverse')]),
    makeNode('Mul', [value('smooth'), value('inverse')], [value('scaled')]),
    makeNode('Add', [value('scaled'), ROUND_UP], [value('shifted')]),
    makeNode('Cast', [value('shifted')], [value('row')], { attributes: { to: DataType.UINT8 } }),
  ]
}

/** The product of integers, and back: times the row's scale, times the column's. */
function productNodes({ node, bias }: Product, group: number, product: number): NodeProto[] {
  const value = (what: string) => within(group, `${product}.${what}`)
  const result = bias === undefined ? node.output : [value('product')]
  const nodes = [
    makeNode(
      'MatMulInteger',
      [within(group, 'row'), nameOf.weight(group, product), ZERO_POINT],
      [value('sum')],
      {
        name: node.name,
      },
    ),
    makeNode('Cast', [value('sum')], [value('float')], { attributes: { to: DataType.FLOAT } }),
    makeNode('Mul', [value('float'), within(group, 'scale')], [value('by_row')]),
    makeNode('Mul', [value('by_row'), nameOf.scales(group, product)], result),
  ]
  return bias === undefined ? nodes : [...nodes, makeNode('Add', [value('product'), bias], node.output)]
}

function tableNodes({ node }: Table, table: number): NodeProto[] {
  const value = (what: string) => `${PREFIX}.table.${table}.${what}`
  const [, ids = ''] = node.input
  return [
    makeNode('Gather', [nameOf.table(table), ids], [value('row')], { name: node.name }),
    makeNode('Cast', [value('row')], [value('float')], { attributes: { to: DataType.FLOAT } }),
    makeNode('Gather', [nameOf.tableScales(table), ids], [value('scale')]),
    makeNode('Mul', [value('float'), value('scale')], node.output),
  ]
}
