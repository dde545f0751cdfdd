import { createHash } from 'node:crypto'
import { basename, dirname, join, resolve } from 'node:path'
import type { ModelFile, ModelFolder } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  architectureOf,
  checkVocabulary,
  type Decided,
  padIdOf,
  poolingOf,
  type TokenPooling,
  tokensMaxOf,
} from './decide.js'
import type { Imported, ImportOptions } from './import.js'
import { type Probed, probe } from './probe.js'
import { type Scan, scanGraph } from './scan.js'
import { findGraph, readSource, type Source } from './source.js'

/** What a folder's files say, before its graph is run. */
export interface Described {
  readonly source: Source
  readonly graph: string
  readonly graphFiles: readonly string[]
  /** All files of the model, its graph's first. */
  readonly paths: readonly string[]
  readonly scan: Scan
  readonly tokensMax: Decided<number>
  readonly said: TokenPooling | undefined
}

/** A pass's padded tokens, as measured best for models of all sizes that were tried. */
const BATCH_TOKENS = 512

/** Bands that were asked for in general, for models that nobody has measured. */
const LEVELS = [
  { key: 'same', above: 0.85, name: { zh: '极度相似', en: 'nearly the same' } },
  { key: 'related', above: 0.6, name: { zh: '语义相关', en: 'related' } },
  { key: 'unrelated', above: null, name: { zh: '不相关', en: 'unrelated' } },
]
const LEVELS_MEASUREMENT =
  'Not measured: general bands, given to every model that is imported. Where this model puts right and wrong pairs is ' +
  'not known; a domain can set its own levels.'

/** Of the sigmoid of a logit: a cross-encoder is trained to put right pairs above a logit of 0, wrong ones below. */
const RERANK_LEVELS = [
  { key: 'related', above: 0.5, name: { zh: '语义相关', en: 'related' } },
  { key: 'unrelated', above: null, name: { zh: '不相关', en: 'unrelated' } },
]
const RERANK_LEVELS_MEASUREMENT =
  'Not measured: above 0.5 the logit is above 0, which is where cross-encoders are trained to divide right pairs from ' +
  'wrong ones. A domain can set its own levels.'

const outputsOf = ({ heads }: Source): ModelFolder['outputs'] => [
  'dense',
  ...(heads.sparse ? ['sparse' as const] : []),
  ...(heads.colbert ? ['colbert' as const] : []),
]

/**
 * Reads what can be read without running the graph, and refuses what is wrong already.
 * @throws CodedError INVALID_MODEL_FOLDER, UNSUPPORTED_POOLING, OTHER_TOKENIZER, INVALID_GRAPH
 */
export async function describe(dir: string, options: ImportOptions): Promise<Described> {
  const source = await readSource(dir)
  checkVocabulary(source)
  const graph = await findGraph(dir, options.graph)
  const scan = await scanGraph(join(dir, graph))
  const beside = dirname(graph) === '.' ? '' : `${dirname(graph)}/`
  const graphFiles = [graph, ...scan.externalData.map((name) => `${beside}${name}`)]
  return {
    source,
    graph,
    graphFiles,
    paths: [...graphFiles, ...source.files],
    scan,
    tokensMax: tokensMaxOf(source),
    said: options.pooling === undefined ? poolingOf(source) : undefined,
  }
}

/**
 * Runs the graph in its place, and says what the model is.
 * @throws CodedError NO_POOLING, UNSUPPORTED_PRECISION, OTHER_TOKENIZER, INVALID_GRAPH, INVALID_TOKENIZER
 */
export async function manifestOf(
  place: string,
  described: Described,
  files: readonly ModelFile[],
  options: ImportOptions,
): Promise<Pick<Imported, 'folder' | 'notes'>> {
  const { source, graph, graphFiles, scan, tokensMax, said } = described
  const padId = padIdOf(source)
  const wishes = { graph, padId, tokensMax, asked: options.pooling, said }
  const probed = await probe(place, source, wishes)
  const { task, isInvariant } = probed
  const precision = precisionOf(scan, isInvariant, graph)
  const ofGraph = files.filter(({ path }) => graphFiles.includes(path))
  const { queryInstruction = null, documentInstruction = null } = options
  const folder: ModelFolder = {
    id: options.id,
    name: options.id,
    task,
    architecture: architectureOf(source.config.model_type),
    dims: probed.dims,
    tokensMax: tokensMax.value,
    pooling: probed.pooling,
    normalize: true,
    instructions: { query: queryInstruction, document: documentInstruction },
    outputs: task === 'rerank' ? [] : outputsOf(source),
    heads: task === 'rerank' ? {} : source.heads,
    languages: [...(options.languages ?? ['und'])],
    licence: options.licence ?? 'unknown',
    source: `imported from a folder ${basename(resolve(source.dir))}`,
    hub: null,
    padId,
    levels: task === 'rerank' ? RERANK_LEVELS : LEVELS,
    levelsMeasurement: task === 'rerank' ? RERANK_LEVELS_MEASUREMENT : LEVELS_MEASUREMENT,
    variants: [
      {
        precision,
        revision: `${precision}-${digestOf(ofGraph)}`,
        batchInvariant: isInvariant,
        onnx: { file: graph, inputs: probed.inputs, output: probed.output },
        batchTokens: BATCH_TOKENS,
        files: ofGraph,
      },
    ],
    files: files.filter(({ path }) => !graphFiles.includes(path)),
  }
  return { folder, notes: notesOf(folder, probed, tokensMax) }
}

/** @throws CodedError UNSUPPORTED_PRECISION for a graph that quantizes a whole batch with one scale */
function precisionOf({ operators }: Scan, isInvariant: boolean, graph: string): 'float32' | 'int8-row' {
  const isInteger = operators.has('MatMulInteger')
  if (operators.has('DynamicQuantizeLinear') || (isInteger && !isInvariant)) {
    throw new CodedError(
      'UNSUPPORTED_PRECISION',
      `${graph} is dynamic int8: the vector of a text would change with what shares its batch`,
      { hint: 'Import the float32 graph (name it with --graph)' },
    )
  }
  return isInteger ? 'int8-row' : 'float32'
}

/** Changes whenever one of the files does. */
const digestOf = (files: readonly ModelFile[]): string =>
  createHash('sha256')
    .update(files.map(({ path, sha256 }) => `${path} ${sha256}`).join('\n'))
    .digest('hex')
    .slice(0, 12)

function notesOf(
  folder: ModelFolder,
  { task, output, poolingWhy, isInvariant, invariance }: Probed,
  tokensMax: Decided<number>,
): string[] {
  const { outputs, dims, pooling, padId, licence, languages } = folder
  const isReranker = task === 'rerank'
  const gives = isReranker
    ? [`reranks: the graph's ${output} is ${poolingWhy}, and no vector`]
    : [
        `outputs ${outputs.join(', ')}; ${dims} dims, from the graph's ${output}`,
        `pooling ${pooling}: ${poolingWhy}`,
      ]
  return [
    ...gives,
    `reads ${tokensMax.value} tokens: ${tokensMax.why}`,
    `pad id ${padId}, levels not measured, licence ${licence}, languages ${languages.join(', ')}`,
    isInvariant
      ? `a ${isReranker ? 'pair has the same score' : 'text has the same vector'} whatever shares its batch, by trial`
      : `a ${isReranker ? "pair's score" : "text's vector"} moves with its batch: ${invariance}`,
  ]
}
