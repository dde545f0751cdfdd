import { asFloats, type TensorData, type TensorProto } from '@millrace/embed/onnx'
import type { Block } from './columns.js'
import type { Weight } from './plan.js'

/** Bytes read at once: enough for the disk, little beside what a process takes anyway. */
const BLOCK_BYTES = 4 << 20
const FLOAT_BYTES = 4

/** A float32 matrix in blocks of whole rows, in order. */
export async function* rowBlocks(
  data: TensorData,
  tensor: TensorProto,
  rows: number,
  rowLength: number,
): AsyncGenerator<Block> {
  const rowBytes = rowLength * FLOAT_BYTES
  const step = Math.max(1, Math.floor(BLOCK_BYTES / rowBytes))
  for (let from = 0; from < rows; from += step) {
    const to = Math.min(rows, from + step)
    yield { from, values: asFloats(await data.read(tensor, from * rowBytes, to * rowBytes)) }
  }
}

/**
 * A weight's rows [k, n], in order. One that is stored the other way round is read as a whole: exporters do that
 * to small heads.
 */
export async function* weightBlocks(data: TensorData, weight: Weight): AsyncGenerator<Block> {
  const { tensor, k, n, isTransposed } = weight
  if (!isTransposed) return yield* rowBlocks(data, tensor, k, n)
  const stored = asFloats(await data.read(tensor))
  const values = new Float32Array(stored.length)
  for (let j = 0; j < n; j++) for (let i = 0; i < k; i++) values[i * n + j] = stored[j * k + i] ?? 0
  yield { from: 0, values }
}
