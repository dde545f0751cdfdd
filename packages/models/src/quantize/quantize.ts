import { createHash } from 'node:crypto'
import { open, readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { openTokenizer, type Tokenizer } from '@millrace/embed'
import {
  decodeModel,
  encodeModel,
  externalOf,
  type OnnxModel,
  openTensorData,
  opsetOf,
} from '@millrace/embed/onnx'
import { CodedError, messageOf } from '@millrace/errors'
import { calibrate, withMaxima } from './calibrate.js'
import { bytesAfter, type ConvertProgress, convert } from './convert.js'
import { dataFileOf, openStage, type Stage } from './place.js'
import { type Plan, planGraph } from './plan.js'
import { rewriteGraph } from './rewrite.js'
import { openRunner, vectorsOf, type Wiring } from './session.js'
import { openBeside, openInside } from './sink.js'
import { CALIBRATION_TEXTS, CHECK_TEXTS } from './texts.js'
import { agreement, LIMITS, type Limits, requireAgreement } from './verify.js'

export interface QuantizeOptions extends Wiring {
  /** The folder of the float32 model. */
  readonly dir: string
  /** Its graph, relative to the folder. External data lies where the graph says. */
  readonly onnxFile: string
  /** The graph that is written, relative to the folder; one that is there is replaced. */
  readonly outFile: string
  /** The folder of its tokenizer.json. Default: dir */
  readonly tokenizerDir?: string
  /** Tokens of a text at most, special ones included: longer calibration texts are cut there. */
  readonly tokensMax: number
  /** Of the weights: 8, or 7 for processors without VNNI, on which products of 8 bits saturate. Default 8 */
  readonly bits?: 7 | 8
  /**
   * Bytes of initializers up to which they stay in the graph; more go into a file beside it, `outFile` with `_data`
   * behind. Default 256 MiB: writing a graph takes some three times its size in memory, and protobuf ends at 2 GiB.
   */
  readonly insideBytesMax?: number
  /** What the vectors must agree with the float model's at least. Default `LIMITS` */
  readonly limits?: Limits
  readonly onProgress?: (progress: QuantizeProgress) => void
  /** Looked at between two texts and two tensors; the reason is thrown, and nothing is left. */
  readonly signal?: AbortSignal
}

export interface QuantizeProgress {
  readonly stage: 'calibrate' | 'quantize' | 'verify'
  /** Texts of the first and the last stage, tensors of the second. */
  readonly done: number
  readonly total: number
  /** Of float32 tensors, read so far; 0 but for the second stage. */
  readonly bytes: number
  readonly bytesTotal: number
}

export interface Quantized {
  /** The graph, and beside it its data when that is large; paths relative to `dir` as `outFile` is. */
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly sha256: string }[]
  /** Between the vectors of the float model and of this one, over the texts that it was checked with. */
  readonly cosine: { readonly least: number; readonly mean: number }
  /** The least cosine between a text's vector alone and in a batch with the others, of this model. */
  readonly batchCosine: number
  /** Products that are of integers now, and how many quantizations of rows they share. */
  readonly matmuls: number
  readonly groups: number
  /** Tables of embeddings that are of integers now. */
  readonly tables: number
  readonly calibrationTexts: number
}

const INSIDE_BYTES_MAX = 256 << 20

/** MatMulInteger came with version 10 of the operators, negative axes of ReduceMax with 11. */
const OPSET_MIN = 11

/** Tokens of a calibration text at most: activations' outliers do not wait for the end of a long text. */
const CALIBRATION_TOKENS_MAX = 256

/**
 * Writes the int8-row variant of a BERT- or XLM-RoBERTa-style graph: weights int8 with a scale a column, activations
 * quantized to uint8 with a scale a token when they are there, so that a text's vector does not depend on its batch;
 * outlier channels smoothed into the weights first; word embeddings int8 with a scale a row. It is checked against
 * the float model, and nothing stands under its name before it passed.
 *
 * Memory: onnxruntime holds the float model while it calibrates; after that, a block of a tensor and what stays in
 * the graph.
 * @throws CodedError INVALID_GRAPH when the graph cannot be read or run, or has nothing to quantize;
 * QUANTIZATION_POOR when the result does not pass; INVALID_TOKENIZER. TypeError when outFile is of the float model
 */
export async function quantize(options: QuantizeOptions): Promise<Quantized> {
  const { dir, onnxFile, outFile, tokenizerDir = dir } = options
  const source = join(dir, onnxFile)
  const target = resolve(dir, outFile)
  const bytes = await readFile(source).catch((error: unknown) => {
    throw new CodedError('INVALID_GRAPH', `Cannot read ${source}: ${messageOf(error)}`, { cause: error })
  })
  const model = decodeModel(bytes, source)
  requireApart(model, source, target)
  const plan = planOf(model, source, options)
  const tokenizer = await openTokenizer(tokenizerDir)
  const checkRows = await rowsOf(tokenizer, CHECK_TEXTS, options.tokensMax)
  const before = await observe(withMaxima(bytes, plan, opsetOf(model)), plan, checkRows, tokenizer, options)
  const stage = await openStage(target)
  try {
    const files = await write(model, plan, before.maxima, stage, options)
    const after = await check(stage.path, checkRows, options)
    const cosine = agreement(before.vectors, after.alone)
    const batchCosine = agreement(after.alone, after.together).least
    requireAgreement(outFile, cosine, batchCosine, options.limits ?? LIMITS)
    await stage.commit()
    return {
      files,
      cosine,
      batchCosine,
      matmuls: plan.groups.reduce((sum, { products }) => sum + products.length, 0),
      groups: plan.groups.length,
      tables: plan.tables.length,
      calibrationTexts: CALIBRATION_TEXTS.length,
    }
  } finally {
    await stage.discard()
  }
}

/** The float model must be there afterwards: it is what one goes back to. */
function requireApart({ graph }: OnnxModel, source: string, target: string): void {
  const data = graph.initializer.flatMap((tensor) => externalOf(tensor)?.location ?? [])
  const read = new Set([resolve(source), ...data.map((location) => resolve(dirname(source), location))])
  for (const written of [target, dataFileOf(target)]) {
    if (read.has(written)) throw new TypeError(`outFile must be another: ${written} is of the float model`)
  }
}

function planOf(model: OnnxModel, source: string, { inputs }: Wiring): Plan {
  const opset = opsetOf(model)
  if (opset < OPSET_MIN) {
    throw unfit(source, `uses version ${opset} of the operators; at least ${OPSET_MIN} is needed`)
  }
  if (model.graph.node.some(({ opType }) => opType === 'MatMulInteger')) {
    throw unfit(source, 'is quantized already')
  }
  const plan = planGraph(model.graph, inputs.ids)
  if (plan.groups.length === 0) throw unfit(source, 'has no product with a constant float32 matrix')
  return plan
}

/** What the float model says: the channels' maxima, and the vectors to compare with. */
async function observe(
  graph: Uint8Array,
  plan: Plan,
  checkRows: readonly Int32Array[],
  tokenizer: Tokenizer,
  options: QuantizeOptions,
) {
  const { dir, onnxFile, signal } = options
  const tokensMax = Math.min(options.tokensMax, CALIBRATION_TOKENS_MAX)
  const rows = await rowsOf(tokenizer, CALIBRATION_TEXTS, tokensMax)
  const runner = await openRunner(graph, dirname(join(dir, onnxFile)), options)
  try {
    const maxima = await calibrate(runner, plan, rows, (done) => {
      options.onProgress?.({ stage: 'calibrate', done, total: rows.length, bytes: 0, bytesTotal: 0 })
      signal?.throwIfAborted()
    })
    const vectors: Float32Array[] = []
    for (const row of checkRows) vectors.push(...(await vectorsOf(runner, [row], options)))
    return { maxima, vectors }
  } finally {
    await runner.close()
  }
}

/** Rewrites the model, in place. */
async function write(
  model: OnnxModel,
  plan: Plan,
  maxima: ReadonlyMap<string, Float32Array>,
  stage: Stage,
  options: QuantizeOptions,
): Promise<Quantized['files']> {
  const { dir, onnxFile, outFile, bits = 8, insideBytesMax = INSIDE_BYTES_MAX, onProgress, signal } = options
  rewriteGraph(model.graph, plan, opsetOf(model))
  // Before IR version 4 an initializer had to be an input too.
  if (model.irVersion < 4n) model.irVersion = 4n
  const isInside = bytesAfter(model.graph, plan) <= insideBytesMax
  const sink = isInside ? openInside() : await openBeside(dataFileOf(stage.path))
  const data = openTensorData(dirname(join(dir, onnxFile)))
  try {
    const report = ({ tensors, tensorsTotal, bytes, bytesTotal }: ConvertProgress) =>
      onProgress?.({ stage: 'quantize', done: tensors, total: tensorsTotal, bytes, bytesTotal })
    await convert({ graph: model.graph, plan, data, sink, maxima, bits, onProgress: report, signal })
    const beside = await sink.finish()
    const graph = encodeModel(model)
    await writeThrough(stage.path, graph)
    const file = { path: outFile, bytes: graph.length, sha256: sha256Of(graph) }
    return beside === undefined ? [file] : [file, { path: dataFileOf(outFile), ...beside }]
  } finally {
    await sink.close()
    await data.close()
  }
}

/** Vectors of the quantized model, each text alone, and all of them in one batch. */
async function check(path: string, rows: readonly Int32Array[], options: QuantizeOptions) {
  const runner = await openRunner(await readFile(path), dirname(path), options)
  try {
    const alone: Float32Array[] = []
    for (const row of rows) {
      alone.push(...(await vectorsOf(runner, [row], options)))
      const { length: done } = alone
      options.onProgress?.({ stage: 'verify', done, total: rows.length, bytes: 0, bytesTotal: 0 })
      options.signal?.throwIfAborted()
    }
    return { alone, together: await vectorsOf(runner, rows, options) }
  } finally {
    await runner.close()
  }
}

/** Token ids with the special tokens around them, cut at the limit. */
async function rowsOf(tokenizer: Tokenizer, texts: readonly string[], tokensMax: number) {
  const { before, after } = tokenizer.special
  const room = tokensMax - before.length - after.length
  const encoded = await tokenizer.encode(texts)
  return encoded.map((ids) => Int32Array.from([...before, ...ids.subarray(0, room), ...after]))
}

/** Written, and on the disk before it gets its name. */
async function writeThrough(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx')
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

const unfit = (source: string, why: string): CodedError =>
  new CodedError('INVALID_GRAPH', `Cannot quantize ${source}: it ${why}`, {
    hint: 'Take the float32 export of a BERT- or XLM-RoBERTa-style encoder',
  })
