import { join } from 'node:path'
import { CodedError, messageOf } from '@millrace/errors'
import { InferenceSession, type Tensor } from 'onnxruntime-node'
import { feeds, longestOf } from './feeds.js'
import { openFirst } from './first.js'
import { type Head, openHeads } from './heads.js'
import type { LocalManifest, Output } from './manifest.js'
import { openableGraph } from './openable.js'
import { type ColbertVectors, type SparseVector, sparseOf, type Vectors } from './outputs.js'
import { secondFrom } from './pairs.js'
import { normalize, pool } from './pool.js'
import type { Provider } from './provider.js'
import type { Tokenizer } from './tokenizer.js'

/** A model's graph, ready to run. Only the inference thread has these: `run` blocks the thread it is called in. */
export interface Session {
  /**
   * One forward pass.
   * @param rows token ids of each row, special ones included, at most the model's limit
   * @param outputs what is wanted; the rest is not computed
   * @returns vectors a row, in order, dense and colbert of unit length; what is no number comes back as NaN. Of a model
   * that reranks the dense one is the logit, as it is
   */
  run(rows: readonly Int32Array[], outputs: ReadonlySet<Output>): Promise<Vectors[]>
  close(): Promise<void>
}

/** Where a graph runs. */
export interface SessionSetting {
  /** Cores that one pass uses. */
  readonly threads: number
  readonly provider: Provider
  /** Products of 8 bits overflow on this processor: int8-row graphs are opened with weights of 7 bits. */
  readonly saturates: boolean
}

/**
 * How long a thread of the pool spins for its next piece of work before it sleeps, in microseconds. Spinning
 * burns cores that the host, the database and other workers run on. Measured on 2 cores, tokens/s with the
 * machine to itself and with one core taken by another process: the default (spins on) 13,300 and 4,200;
 * 50 gives 13,300 and 6,600; 10 gives 12,500 and 7,400; no spinning 11,400 and 7,100.
 */
const SPIN_US = '50'

export const sessionOptions = ({
  threads,
  provider,
}: Pick<SessionSetting, 'threads' | 'provider'>): InferenceSession.SessionOptions => ({
  executionProviders: provider === 'cpu' ? ['cpu'] : [provider, 'cpu'],
  graphOptimizationLevel: 'all',
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  extra: { session: { 'intra_op.spin_duration_us': SPIN_US } },
})

/**
 * Opens the graph and its heads, and runs them once, so that the first text does not pay for it.
 * @throws CodedError INVALID_GRAPH when it is not one or not the one the manifest describes, INVALID_HEAD,
 * INVALID_TOKENIZER when the vocabulary is larger than the graph's, or a model that reranks has none for pairs
 */
export async function openSession(
  dir: string,
  manifest: LocalManifest,
  tokenizer: Pick<Tokenizer, 'special' | 'pair' | 'unknownId' | 'largestId'>,
  setting: SessionSetting,
): Promise<Session> {
  const path = join(dir, manifest.onnx.file)
  const options = sessionOptions(setting)
  const session = await openGraph(
    path,
    manifest,
    options,
    setting.saturates && manifest.precision === 'int8-row',
  )
  const closers = [() => session.release()]
  const close = async () => {
    for (const closer of closers) await closer()
  }
  try {
    checkNames(path, session, manifest)
    const heads = await openHeads(dir, manifest, options)
    for (const head of [heads.sparse, heads.colbert]) if (head !== undefined) closers.push(head.close)
    const isLeftOut = leftOut(manifest, tokenizer)
    const typesFrom = manifest.task === 'rerank' ? secondFrom(dir, tokenizer) : undefined
    const opened: Session = {
      run: async (rows, outputs) => {
        const hidden = await runGraph(session, manifest, rows, typesFrom)
        const { sparse, colbert } = heads
        const dense = outputs.has('dense') ? denseRows(hidden, manifest, rows) : undefined
        const weights =
          sparse !== undefined && outputs.has('sparse')
            ? sparseRows(await sparse.run(hidden), rows, isLeftOut)
            : undefined
        const tokens =
          colbert !== undefined && outputs.has('colbert')
            ? colbertRows(await colbert.run(hidden), rows, colbert)
            : undefined
        return rows.map((_, i) => ({
          dense: dense?.[i] ?? new Float32Array(),
          ...optional('sparse', weights?.[i]),
          ...optional('colbert', tokens?.[i]),
        }))
      },
      close,
    }
    await opened.run([new Int32Array(8).fill(manifest.padId)], new Set(manifest.outputs))
    await checkVocabulary(dir, opened, tokenizer)
    return opened
  } catch (error) {
    await close()
    throw error instanceof CodedError ? error : invalidGraph(path, messageOf(error), error)
  }
}

async function openGraph(
  path: string,
  manifest: LocalManifest,
  options: InferenceSession.SessionOptions,
  saturates: boolean,
): Promise<InferenceSession> {
  try {
    if (!saturates) return await openFirst(path, manifest, options)
    const { graph, session } = await openableGraph(path, true)
    const extra = { session: { 'intra_op.spin_duration_us': SPIN_US, ...session } }
    // Two signatures: a path and bytes are not one type there.
    return typeof graph === 'string'
      ? await InferenceSession.create(graph, options)
      : await InferenceSession.create(graph, { ...options, extra })
  } catch (error) {
    throw error instanceof CodedError ? error : invalidGraph(path, messageOf(error), error)
  }
}

/** A vocabulary larger than the model's table of embeddings is that of another model. */
async function checkVocabulary(
  dir: string,
  session: Session,
  { largestId }: Pick<Tokenizer, 'largestId'>,
): Promise<void> {
  try {
    await session.run([new Int32Array(8).fill(largestId)], new Set(['dense']))
  } catch (error) {
    throw new CodedError(
      'INVALID_TOKENIZER',
      `The tokenizer in ${dir} gives ids up to ${largestId}, which the graph does not take: ${messageOf(error)}`,
      { hint: 'It is the tokenizer of another model: copy the model again', cause: error },
    )
  }
}

const optional = <K extends string, T>(key: K, value: T | undefined): { [P in K]?: T } =>
  value === undefined ? {} : ({ [key]: value } as { [P in K]: T })

const invalidGraph = (path: string, why: string, cause?: unknown): CodedError =>
  new CodedError('INVALID_GRAPH', `Cannot run ${path}: ${why}`, {
    hint: 'The graph and the manifest must name the same inputs and outputs',
    cause,
  })

function checkNames(path: string, session: InferenceSession, { onnx }: LocalManifest): void {
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

/** The graph's output: float32 [rows, longest row or 1, dims], with pooling `graph` [rows, dims]. */
async function runGraph(
  session: InferenceSession,
  manifest: LocalManifest,
  rows: readonly Int32Array[],
  typesFrom: ((row: Int32Array) => number) | undefined,
): Promise<Tensor> {
  const { dims, onnx, pooling } = manifest
  const longest = longestOf(rows)
  const outputs = await session.run(feeds(manifest, rows, typesFrom), [onnx.output])
  const output = outputs[onnx.output]
  const shape = pooling === 'graph' ? [rows.length, dims] : [rows.length, longest, dims]
  const fits = (wanted: readonly number[]) => String(output?.dims) === String(wanted)
  const isFirst = pooling === 'cls' && fits([rows.length, 1, dims])
  if (!(output?.data instanceof Float32Array) || !(isFirst || fits(shape))) {
    throw new CodedError(
      'INVALID_GRAPH',
      `The output ${onnx.output} of ${manifest.id} is ${output?.type} of shape [${output?.dims}]`,
      { hint: `The manifest says float32 of shape [${shape}]` },
    )
  }
  return output
}

function denseRows(
  { data }: Tensor,
  { task, dims, pooling }: LocalManifest,
  rows: readonly Int32Array[],
): Float32Array[] {
  if (!(data instanceof Float32Array)) return []
  const size = data.length / rows.length
  if (task === 'rerank') return rows.map((_, i) => data.slice(i * size, (i + 1) * size))
  return rows.map((row, i) =>
    normalize(pool(data.subarray(i * size, (i + 1) * size), row.length, dims, pooling)),
  )
}

function sparseRows(
  weights: Float32Array,
  rows: readonly Int32Array[],
  isLeftOut: (id: number) => boolean,
): SparseVector[] {
  const longest = longestOf(rows)
  return rows.map((row, i) => sparseOf(row, weights.subarray(i * longest, (i + 1) * longest), isLeftOut))
}

/** All tokens but the first, padding left out; in memory of their own. */
function colbertRows(values: Float32Array, rows: readonly Int32Array[], { dims }: Head): ColbertVectors[] {
  const size = longestOf(rows) * dims
  return rows.map((row, i) => ({
    values: values.slice(i * size + dims, i * size + row.length * dims),
    count: row.length - 1,
    dims,
  }))
}

/** Tokens that say nothing of a text, as FlagEmbedding leaves them out: those around it, padding, the unknown. */
function leftOut(
  { padId }: LocalManifest,
  { special, unknownId }: Pick<Tokenizer, 'special' | 'unknownId'>,
): (id: number) => boolean {
  const ids = new Set([padId, unknownId, ...special.before, ...special.after])
  return (id) => ids.has(id)
}
