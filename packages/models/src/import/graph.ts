import { dirname, join } from 'node:path'
import { CodedError, messageOf } from '@millrace/errors'
import type { InferenceSession, Tensor } from 'onnxruntime-node'

/** An output as it came. */
export interface Given {
  readonly dims: readonly number[]
  readonly type: string
  readonly values: Float32Array | undefined
}

export interface GraphInputs {
  readonly ids: string
  readonly mask: string
  readonly types: string | null
}

/** A graph that runs in this process, to see what it takes and gives. */
export interface Graph {
  readonly inputs: GraphInputs
  /** All outputs by name. */
  run(rows: readonly Int32Array[]): Promise<Map<string, Given>>
  close(): Promise<void>
}

const invalid = (path: string, why: string, hint: string, cause?: unknown): CodedError =>
  new CodedError('INVALID_GRAPH', `${path} ${why}`, { hint, cause })

/**
 * Opens a graph of token ids.
 * @param padId fills rows that are shorter than the longest
 * @throws CodedError INVALID_GRAPH when it is none, or takes something else
 */
export async function openGraph(dir: string, file: string, padId: number): Promise<Graph> {
  const path = join(dir, file)
  // Here and not above: of all that this package does, only this needs it.
  const runtime = await import('onnxruntime-node')
  const session = await runtime.InferenceSession.create(path, {
    executionProviders: ['cpu'],
    // What fails here is told by our errors.
    logSeverityLevel: 4,
  }).catch((error: unknown) => {
    throw invalid(
      path,
      `cannot be opened: ${messageOf(error)}`,
      `Check that it is whole, with its external data in ${dirname(path)}`,
      error,
    )
  })
  try {
    const inputs = inputsOf(path, session)
    return {
      inputs,
      run: async (rows) => read(await session.run(feeds(runtime.Tensor, inputs, rows, padId))),
      close: () => session.release(),
    }
  } catch (error) {
    await session.release()
    throw error
  }
}

function inputsOf(path: string, session: InferenceSession): GraphInputs {
  const names = session.inputNames
  const types = names.find((name) => /type/.test(name)) ?? null
  const mask = names.find((name) => /mask/.test(name))
  const ids =
    names.find((name) => name === 'input_ids') ?? names.find((name) => /ids$/.test(name) && name !== types)
  const wanted = types === null ? 2 : 3
  const hint = 'The engine feeds token ids, an attention mask and token types, int64 [batch, tokens]'
  if (ids === undefined || mask === undefined || names.length !== wanted) {
    throw invalid(path, `has the inputs ${names.join(', ')}`, hint)
  }
  for (const input of session.inputMetadata) {
    if (input.isTensor && input.type !== 'int64')
      throw invalid(path, `takes ${input.name} as ${input.type}`, hint)
  }
  return { ids, mask, types }
}

function feeds(
  tensor: typeof Tensor,
  { ids, mask, types }: GraphInputs,
  rows: readonly Int32Array[],
  padId: number,
): Record<string, Tensor> {
  const longest = Math.max(...rows.map((row) => row.length))
  const shape = [rows.length, longest]
  const filled = (of: (row: Int32Array, j: number) => number) =>
    new tensor(
      'int64',
      BigInt64Array.from(
        rows.flatMap((row) => Array.from({ length: longest }, (_, j) => BigInt(of(row, j)))),
      ),
      shape,
    )
  return {
    [ids]: filled((row, j) => row[j] ?? padId),
    [mask]: filled((row, j) => (j < row.length ? 1 : 0)),
    ...(types === null ? {} : { [types]: filled(() => 0) }),
  }
}

const read = (outputs: InferenceSession.OnnxValueMapType): Map<string, Given> =>
  new Map(
    Object.entries(outputs).map(([name, { dims, type, data }]) => [
      name,
      { dims, type, values: data instanceof Float32Array ? data : undefined },
    ]),
  )

/** onnxruntime's words for a token id that the table of embeddings does not have. */
export const isOutOfTable = (error: unknown): boolean =>
  /out of (data )?bounds|indices element/i.test(messageOf(error))
