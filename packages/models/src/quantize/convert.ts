import {
  bytesOf,
  DataType,
  externalOf,
  type GraphProto,
  setInitializers,
  type TensorData,
  type TensorProto,
  type TensorShape,
} from '@millrace/embed/onnx'
import { rowBlocks, weightBlocks } from './blocks.js'
import { limitOf, quantizeColumns, raiseColumns, raiseRows, scalesOf } from './columns.js'
import type { Group, Plan, Product, Table } from './plan.js'
import { nameOf } from './rewrite.js'
import { quantizeRows } from './rows.js'
import { bytesOfValues, type TensorSink } from './sink.js'
import { smoothing } from './smooth.js'

/** Tensors and bytes that were read and written, of all. */
export interface ConvertProgress {
  readonly tensors: number
  readonly tensorsTotal: number
  /** Bytes of the float tensors. */
  readonly bytes: number
  readonly bytesTotal: number
}

export interface ConvertOptions {
  /** Rewritten already; its open names get their tensors. */
  readonly graph: GraphProto
  readonly plan: Plan
  /** Of the float graph. */
  readonly data: TensorData
  readonly sink: TensorSink
  /** Largest absolute value of each channel of each group's input, by name. */
  readonly maxima: ReadonlyMap<string, Float32Array>
  readonly bits: 7 | 8
  readonly onProgress: (progress: ConvertProgress) => void
  readonly signal: AbortSignal | undefined
}

/**
 * Quantizes tensor by tensor, in blocks, and moves what stays float32 out of the files of the float graph. Holds a
 * block, a matrix' scales and, while the sink keeps tensors inside, what it keeps.
 */
export async function convert(options: ConvertOptions): Promise<void> {
  const { graph, plan, data, sink } = options
  const moved = graph.initializer.filter((tensor) => externalOf(tensor) !== undefined)
  const sources = [
    ...plan.groups.flatMap(({ products }) => products.map(({ weight }) => weight.tensor)),
    ...plan.tables.map(({ tensor }) => tensor),
    ...moved,
  ]
  const bytesTotal = sources.reduce((sum, tensor) => sum + bytesOf(tensor), 0)
  let tensors = 0
  let bytes = 0
  const done = (tensor: TensorProto, result: readonly TensorProto[]) => {
    setInitializers(graph, result)
    tensors += 1
    bytes += bytesOf(tensor)
    options.onProgress({ tensors, tensorsTotal: sources.length, bytes, bytesTotal })
    options.signal?.throwIfAborted()
  }
  for (const [g, group] of plan.groups.entries()) {
    const factors = await smooth(group, options)
    const inverse = factors.map((factor) => 1 / factor)
    setInitializers(graph, [
      await sink.add(shapeOf(nameOf.smoothing(g), [group.k], DataType.FLOAT), once(inverse)),
    ])
    for (const [p, product] of group.products.entries()) {
      done(product.weight.tensor, await convertWeight(product, [g, p], factors, options))
    }
  }
  for (const [t, table] of plan.tables.entries()) {
    done(table.tensor, await convertTable(table, t, data, sink))
  }
  for (const tensor of moved) done(tensor, [await sink.add(tensor, bytesIn(data, tensor))])
}

/** The bytes that the converted graph needs for its initializers: what decides whether they go beside it. */
export function bytesAfter({ initializer }: GraphProto, { groups, tables }: Plan): number {
  const weights = groups.flatMap(({ k, products }) =>
    products.map(({ weight }) => weight.k * weight.n + 4 * weight.n + 4 * k),
  )
  const rows = tables.map((table) => table.rows * (table.dims + 4))
  return [...weights, ...rows, ...initializer.map(bytesOf)].reduce((sum, size) => sum + size, 0)
}

async function smooth(
  { input, k, products }: Group,
  { data, maxima }: ConvertOptions,
): Promise<Float32Array> {
  const rowMax = new Float32Array(k)
  for (const { weight } of products) {
    for await (const block of weightBlocks(data, weight)) raiseRows(rowMax, block, weight.n)
  }
  return smoothing(maxima.get(input) ?? new Float32Array(k), rowMax)
}

async function convertWeight(
  { weight }: Product,
  [group, product]: readonly [number, number],
  factors: Float32Array,
  { data, sink, bits }: ConvertOptions,
): Promise<TensorProto[]> {
  const { k, n } = weight
  const columnMax = new Float32Array(n)
  for await (const block of weightBlocks(data, weight)) raiseColumns(columnMax, block, factors)
  const scales = scalesOf(columnMax, limitOf(bits))
  async function* integers() {
    for await (const block of weightBlocks(data, weight)) {
      yield bytesOfValues(quantizeColumns(block, factors, scales))
    }
  }
  return [
    await sink.add(shapeOf(nameOf.weight(group, product), [k, n], DataType.INT8), integers()),
    await sink.add(shapeOf(nameOf.scales(group, product), [n], DataType.FLOAT), once(scales)),
  ]
}

async function convertTable(
  { tensor, rows, dims }: Table,
  table: number,
  data: TensorData,
  sink: TensorSink,
): Promise<TensorProto[]> {
  const scales = new Float32Array(rows)
  async function* integers() {
    for await (const { from, values } of rowBlocks(data, tensor, rows, dims)) {
      const block = quantizeRows(values, dims)
      scales.set(block.scales, from)
      yield bytesOfValues(block.integers)
    }
  }
  return [
    await sink.add(shapeOf(nameOf.table(table), [rows, dims], DataType.INT8), integers()),
    await sink.add(shapeOf(nameOf.tableScales(table), [rows, 1], DataType.FLOAT), once(scales)),
  ]
}

const PIECE_BYTES = 4 << 20

async function* bytesIn(data: TensorData, tensor: TensorProto): AsyncGenerator<Uint8Array> {
  const size = bytesOf(tensor)
  for (let at = 0; at < size; at += PIECE_BYTES) {
    yield await data.read(tensor, at, Math.min(size, at + PIECE_BYTES))
  }
}

async function* once(values: Float32Array): AsyncGenerator<Uint8Array> {
  yield bytesOfValues(values)
}

const shapeOf = (name: string, dims: readonly number[], dataType: number): TensorShape => ({
  name,
  dims: dims.map(BigInt),
  dataType,
})
