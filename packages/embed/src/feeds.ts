import { Tensor } from 'onnxruntime-node'
import type { LocalManifest } from './manifest.js'

export const longestOf = (rows: readonly Int32Array[]): number => Math.max(...rows.map((row) => row.length))

/** What a graph's inputs are called, and what fills a row up. */
export interface Fed {
  readonly onnx: Pick<LocalManifest['onnx'], 'inputs'>
  readonly padId: number
}

/**
 * The inputs of a pass over these rows.
 * @param typesFrom where in a row tokens of type 1 begin. Default: nowhere, all are of type 0
 */
export function feeds(
  { onnx, padId }: Fed,
  rows: readonly Int32Array[],
  typesFrom?: (row: Int32Array) => number,
): Record<string, Tensor> {
  const longest = longestOf(rows)
  const shape = [rows.length, longest]
  const ids = new BigInt64Array(rows.length * longest).fill(BigInt(padId))
  const mask = new BigInt64Array(rows.length * longest)
  // Token ids fit into the low half of an int64; writing there is much faster than making a bigint of each.
  const lowIds = new Int32Array(ids.buffer)
  const lowMask = new Int32Array(mask.buffer)
  rows.forEach((row, i) => {
    const start = i * longest
    for (let j = 0; j < row.length; j++) {
      lowIds[2 * (start + j)] = row[j] ?? 0
      lowMask[2 * (start + j)] = 1
    }
  })
  const inputs: Record<string, Tensor> = {
    [onnx.inputs.ids]: new Tensor('int64', ids, shape),
    [onnx.inputs.mask]: new Tensor('int64', mask, shape),
  }
  if (onnx.inputs.types !== null) {
    const types = new BigInt64Array(ids.length)
    rows.forEach((row, i) => {
      if (typesFrom !== undefined) types.fill(1n, i * longest + typesFrom(row), i * longest + row.length)
    })
    inputs[onnx.inputs.types] = new Tensor('int64', types, shape)
  }
  return inputs
}
