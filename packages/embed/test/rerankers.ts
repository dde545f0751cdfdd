import { createHash } from 'node:crypto'
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildGraph, DataType, encodeModel } from '@millrace/embed/onnx'
import { MINILM, MODELS_DIR, sharedFile } from './models.js'

const GRAPH = sharedFile(
  'models/fixtures-random/tiny-xlmr-cross-encoder.onnx',
  'a cross-encoder (random weights)',
)
const TOKENIZER = sharedFile('models/fixtures-random/tiny-xlmr-cross-encoder.tokenizer.json', 'its tokenizer')

/** A cross-encoder with random weights, undefined where the development data are not there. */
export const CROSS_ENCODER = GRAPH && TOKENIZER ? { graph: GRAPH, tokenizer: TOKENIZER } : undefined

/** What every manifest of a model that reranks has; the rest is filled in. */
const RERANKER = {
  task: 'rerank',
  languages: ['en'],
  licence: 'none',
  source: 'a test',
  hub: null,
  levels: [{ key: 'any', above: null, name: { zh: '任意', en: 'any' } }],
  levelsMeasurement: 'none',
}

/** Writes the manifest of a folder that has a graph and a tokenizer. */
async function describe(
  dir: string,
  id: string,
  more: object,
  inputs: object,
  output = 'logits',
  others: readonly string[] = [],
): Promise<void> {
  const entry = async (path: string) => {
    const bytes = await readFile(join(dir, path))
    return { path, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
  }
  const variant = {
    precision: 'float32',
    revision: '1',
    batchInvariant: true,
    onnx: { file: 'model.onnx', inputs, output },
    batchTokens: 512,
    files: [await entry('model.onnx')],
  }
  const manifest = {
    ...RERANKER,
    ...more,
    id,
    name: id,
    variants: [variant],
    files: await Promise.all(['tokenizer.json', ...others].map(entry)),
  }
  await writeFile(join(dir, 'manifest.json'), JSON.stringify(manifest))
}

/** The random cross-encoder as a model; of 62 tokens, as its table of positions has it. */
export async function makeCrossEncoder(modelsDir: string, id: string): Promise<void> {
  if (CROSS_ENCODER === undefined) throw new Error('There is no cross-encoder')
  const dir = join(modelsDir, id)
  await mkdir(dir, { recursive: true })
  await cp(CROSS_ENCODER.graph, join(dir, 'model.onnx'))
  await cp(CROSS_ENCODER.tokenizer, join(dir, 'tokenizer.json'))
  const inputs = { ids: 'input_ids', mask: 'attention_mask', types: null }
  await describe(dir, id, { architecture: 'xlm-roberta', tokensMax: 62, padId: 1 }, inputs)
}

export const IDS = 30_522
/** What a token of the second text counts in the model below; one of the first counts a thousandth. */
export const weightOf = (id: number): number => ((id * 7_919) % 1_000) / 1_000
export const FIRST_PART = 1e-3

/**
 * A model with all-minilm's tokenizer whose logit can be worked out by hand: the sum of what its tokens count, those of
 * type 0 a thousandth.
 */
export async function makeCountingReranker(modelsDir: string, id: string, tokensMax = 64): Promise<void> {
  const dir = join(modelsDir, id)
  await mkdir(dir, { recursive: true })
  const build = buildGraph('counting')
  const [ids, mask, types] = ['input_ids', 'attention_mask', 'token_type_ids'].map((name) =>
    build.input(name, ['batch', 'tokens'], DataType.INT64),
  )
  const float = (value = '') => build.node('Cast', [value], { to: DataType.FLOAT })
  const weights = build.constant(
    'weights',
    [IDS],
    Float32Array.from({ length: IDS }, (_, i) => weightOf(i)),
  )
  const first = build.constant('first', [], Float32Array.of(FIRST_PART))
  const rest = build.constant('rest', [], Float32Array.of(1 - FIRST_PART))
  const share = build.node('Add', [build.node('Mul', [float(types), rest]), first])
  const counted = build.node('Mul', [
    build.node('Mul', [build.node('Gather', [weights, ids ?? '']), share]),
    float(mask),
  ])
  const axis = build.constant('axis', [1], BigInt64Array.of(1n))
  build.output(build.node('ReduceSum', [counted, axis], { keepdims: 1 }, 'logits'), ['batch', 1])
  await writeFile(join(dir, 'model.onnx'), encodeModel(build.model()))
  await cp(join(MODELS_DIR, MINILM, 'tokenizer.json'), join(dir, 'tokenizer.json'))
  const inputs = { ids: 'input_ids', mask: 'attention_mask', types: 'token_type_ids' }
  await describe(dir, id, { architecture: 'bert', tokensMax, padId: 0 }, inputs)
}

const HEAD = sharedFile('models/tiny-bge-m3/colbert_linear.pt', 'a vector a token')
/** Whether `makeTokenModel` can. */
export const HAS_HEAD = HEAD !== undefined

/** A model of 16 dims, each token with a vector of its own wherever it stands, and tiny-bge-m3's head for colbert. */
export async function makeTokenModel(modelsDir: string, id: string): Promise<void> {
  const dir = join(modelsDir, id)
  await mkdir(dir, { recursive: true })
  const build = buildGraph('tokens')
  const ids = build.input('input_ids', ['batch', 'tokens'], DataType.INT64)
  build.input('attention_mask', ['batch', 'tokens'], DataType.INT64)
  const values = Float32Array.from({ length: IDS * 16 }, (_, i) => Math.sin((i + 1) * 12.9898) * 0.5)
  const table = build.constant('table', [IDS, 16], values)
  build.output(build.node('Gather', [table, ids], {}, 'hidden'), ['batch', 'tokens', 16])
  await writeFile(join(dir, 'model.onnx'), encodeModel(build.model()))
  await cp(HEAD ?? '', join(dir, 'colbert_linear.pt'))
  await cp(join(MODELS_DIR, MINILM, 'tokenizer.json'), join(dir, 'tokenizer.json'))
  const inputs = { ids: 'input_ids', mask: 'attention_mask', types: null }
  const embeds = {
    task: 'embed',
    architecture: 'bert',
    dims: 16,
    tokensMax: 256,
    pooling: 'mean',
    normalize: true,
    instructions: { query: null, document: null },
    outputs: ['dense', 'colbert'],
    heads: { colbert: 'colbert_linear.pt' },
    padId: 0,
  }
  await describe(dir, id, embeds, inputs, 'hidden', ['colbert_linear.pt'])
}
