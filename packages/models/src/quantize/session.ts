import type { Pooling } from '@millrace/embed'
import { feeds } from '@millrace/embed/feeds'
import { normalize, pool } from '@millrace/embed/pool'
import { CodedError, messageOf } from '@millrace/errors'
import { InferenceSession } from 'onnxruntime-node'

/** How a graph is fed and read: what a model's manifest says. */
export interface Wiring {
  /** Names of the graph's inputs; types is null where it has none. */
  readonly inputs: { readonly ids: string; readonly mask: string; readonly types: string | null }
  /** Float32 [batch, tokens, dims]; with pooling `graph` [batch, dims]. */
  readonly output: string
  readonly pooling: Pooling
  readonly padId: number
}

/** A float32 output. */
export interface Output {
  readonly values: Float32Array
  readonly dims: readonly number[]
}

export interface Runner {
  /**
   * One pass.
   * @param rows token ids, special ones included; shorter ones are padded
   * @param outputs which ones to make; the others are not computed
   */
  run(rows: readonly Int32Array[], outputs: readonly string[]): Promise<Output[]>
  close(): Promise<void>
}

/**
 * Opens a graph that is in memory, with its external data in a folder.
 * @throws CodedError INVALID_GRAPH
 */
export async function openRunner(bytes: Uint8Array, dir: string, wiring: Wiring): Promise<Runner> {
  const session = await InferenceSession.create(bytes, {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    extra: {
      session: {
        model_external_initializers_file_folder_path: dir,
        // As the engine runs it (packages/embed/src/session.ts): long spinning takes cores from everybody else.
        'intra_op.spin_duration_us': '50',
      },
    },
  }).catch((error: unknown) => {
    throw invalidGraph(messageOf(error), error)
  })
  return {
    run: async (rows, outputs) => {
      const results = await session
        .run(feeds({ onnx: wiring, padId: wiring.padId }, rows), outputs)
        .catch((error: unknown) => {
          throw invalidGraph(messageOf(error), error)
        })
      return outputs.map((name) => {
        const result = results[name]
        if (!(result?.data instanceof Float32Array)) throw invalidGraph(`${name} is ${result?.type}`)
        return { values: result.data, dims: result.dims }
      })
    },
    close: () => session.release(),
  }
}

/** Unit vectors of texts that share a pass. */
export async function vectorsOf(
  runner: Runner,
  rows: readonly Int32Array[],
  { output, pooling }: Wiring,
): Promise<Float32Array[]> {
  const [result] = await runner.run(rows, [output])
  const shape = result?.dims ?? []
  // A graph that pools gives one vector a text.
  const [batch, longest = 0, dims = 0, ...more] =
    pooling === 'graph' ? [shape[0], 1, ...shape.slice(1)] : shape
  if (result === undefined || batch !== rows.length || dims === 0 || more.length > 0) {
    throw invalidGraph(`${output} has the shape [${shape}]`)
  }
  return rows.map((row, i) => {
    const from = i * longest * dims
    return normalize(pool(result.values.subarray(from, from + longest * dims), row.length, dims, pooling))
  })
}

const invalidGraph = (why: string, cause?: unknown): CodedError =>
  new CodedError('INVALID_GRAPH', `Cannot run the graph: ${why}`, {
    hint: 'The inputs, the output and the tokenizer must be those of the graph, and the output float32 [batch, tokens, dims]',
    cause,
  })
