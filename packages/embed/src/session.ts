import { join } from 'node:path'
import { CodedError, messageOf } from '@millrace/errors'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { ModelManifest } from './manifest.js'
import { normalize, pool } from './pool.js'

/** A model's graph, ready to run. Only the inference thread has these: `run` blocks the thread it is called in. */
export interface Session {
  /**
   * One forward pass.
   * @param rows token ids of each row, special ones included, at most the model's limit
   * @returns a unit vector a row, in order; a row whose output is no number comes back as NaN
   */
  run(rows: readonly Int32Array[]): Promise<Float32Array[]>
  close(): Promise<void>
}

/**
 * How long a thread of the pool spins for its next piece of work before it sleeps, in microseconds. Spinning
 * burns cores that the host, the database and other workers run on. Measured on 2 cores, tokens/s with the
 * machine to itself and with one core taken by another process: the default (spins on) 13,300 and 4,200;
 * 50 gives 13,300 and 6,600; 10 gives 12,500 and 7,400; no spinning 11,400 and 7,100.
 */
const SPIN_US = '50'

/**
 * Opens the graph and runs it once, so that the first text does not pay for it.
 * @param threads cores that one pass uses
 * @throws CodedError INVALID_GRAPH when it is not one or not the one the manifest describes
 */
export async function openSession(dir: string, manifest: ModelManifest, threads: number): Promise<Session> {
  const path = join(dir, manifest.onnx.file)
  const session = await InferenceSession.create(path, {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    extra: { session: { 'intra_op.spin_duration_us': SPIN_US } },
  }).catch((error: unknown) => {
    throw invalidGraph(path, messageOf(error), error)
  })
  try {
    checkNames(path, session, manifest)
    const opened: Session = {
      run: (rows) => run(session, manifest, rows),
      close: () => session.release(),
    }
    await opened.run([new Int32Array(8).fill(manifest.padId)])
    return opened
  } catch (error) {
    await session.release()
    throw error instanceof CodedError ? error : invalidGraph(path, messageOf(error), error)
  }
}

const invalidGraph = (path: string, why: string, cause?: unknown): CodedError =>
  new CodedError('INVALID_GRAPH', `Cannot run ${path}: ${why}`, {
    hint: 'The graph and the manifest must name the same inputs and outputs',
    cause,
  })

function checkNames(path: string, session: InferenceSession, { onnx }: ModelManifest): void {
  const wanted = new Set([
    onnx.inputs.ids,
    onnx.inputs.mask,
    ...(onnx.inputs.types === null ? [] : [onnx.inputs.types]),
  ])
  const has = new Set(session.inputNames)
  if (wanted.size !== has.size || ![...wanted].every((name) => has.has(name))) {
    throw invalidGraph(
      path,
      `its inputs are ${[...has].join(', ')}, the manifest's ${[...wanted].join(', ')}`,
    )
  }
  if (!session.outputNames.includes(onnx.output)) {
    throw invalidGraph(
      path,
      `its outputs are ${session.outputNames.join(', ')}, the manifest's ${onnx.output}`,
    )
  }
}

async function run(
  session: InferenceSession,
  manifest: ModelManifest,
  rows: readonly Int32Array[],
): Promise<Float32Array[]> {
  const { dims, onnx, pooling } = manifest
  const longest = Math.max(...rows.map((row) => row.length))
  const outputs = await session.run(feeds(manifest, rows, longest), [onnx.output])
  const output = outputs[onnx.output]
  const values = output?.data
  // A graph that pools gives one vector a text.
  const size = pooling === 'graph' ? dims : longest * dims
  if (!(values instanceof Float32Array) || values.length !== rows.length * size) {
    throw new CodedError(
      'INVALID_GRAPH',
      `The output ${onnx.output} of ${manifest.id} is ${output?.type} of shape [${output?.dims}]`,
      {
        hint: `The manifest says float32 of shape [${rows.length}, ${pooling === 'graph' ? '' : `${longest}, `}${dims}]`,
      },
    )
  }
  return rows.map((row, i) =>
    normalize(pool(values.subarray(i * size, (i + 1) * size), row.length, dims, pooling)),
  )
}

function feeds(
  { onnx, padId }: ModelManifest,
  rows: readonly Int32Array[],
  longest: number,
): Record<string, Tensor> {
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
    inputs[onnx.inputs.types] = new Tensor('int64', new BigInt64Array(ids.length), shape)
  }
  return inputs
}
