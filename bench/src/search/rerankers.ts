import { createHash } from 'node:crypto'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MANIFEST_FILE, parseFolder, readManifest } from '@millrace/embed'
import { encodeModel, makeNode, makeTensor, makeValueInfo, readModel } from '@millrace/embed/onnx'
import { ROOT, shared } from '../place.js'

const LEVELS = {
  levels: [{ key: 'any', above: null, name: { zh: '任意', en: 'any' } }],
  levelsMeasurement: 'none: random weights',
}

/**
 * A cross-encoder with the graph of a model of this repository: a layer on its first token gives one number. What it
 * gives means nothing; time and memory are those of a cross-encoder of its size (all-minilm-l6-v2 is of the size of
 * ms-marco-MiniLM-L-6-v2), int8-row as the model is.
 */
export async function makeReranker(modelsDir: string, id: string, like: string): Promise<void> {
  const from = join(ROOT, 'models', like)
  const dir = join(modelsDir, id)
  await mkdir(dir, { recursive: true })
  const manifest = readManifest(from)
  if (manifest.remote !== undefined) throw new TypeError(`${like} has no graph`)
  const { dims, padId, tokensMax, architecture, onnx, batchTokens } = manifest
  const model = await readModel(join(from, onnx.file))
  const { graph } = model
  const weights = Float32Array.from({ length: dims }, (_, i) => Math.sin(i + 1))
  graph.initializer.push(
    makeTensor('first', [], BigInt64Array.of(0n)),
    makeTensor('head', [dims, 1], weights),
  )
  graph.node.push(
    makeNode('Gather', [onnx.output, 'first'], ['first_token'], { attributes: { axis: 1 } }),
    makeNode('MatMul', ['first_token', 'head'], ['logits']),
  )
  graph.output = [makeValueInfo('logits', 1, ['batch', 1])]
  await writeFile(join(dir, 'model.onnx'), encodeModel(model))
  await copyFile(join(from, 'tokenizer.json'), join(dir, 'tokenizer.json'))
  await describe(dir, { id, architecture, tokensMax, padId }, { ...onnx.inputs }, batchTokens)
}

/** The cross-encoder of the development data: 62 tokens, random weights. */
export async function makeTiny(modelsDir: string, id: string): Promise<void> {
  const file = (name: string) => shared('models', 'fixtures-random', `tiny-xlmr-cross-encoder${name}`)
  const dir = join(modelsDir, id)
  await mkdir(dir, { recursive: true })
  await copyFile(file('.onnx'), join(dir, 'model.onnx'))
  await copyFile(file('.tokenizer.json'), join(dir, 'tokenizer.json'))
  const inputs = { ids: 'input_ids', mask: 'attention_mask', types: null }
  await describe(dir, { id, architecture: 'xlm-roberta', tokensMax: 62, padId: 1 }, inputs, 512)
}

async function describe(
  dir: string,
  facts: Readonly<Record<string, unknown>> & { readonly id: string },
  inputs: object,
  batchTokens: number,
): Promise<void> {
  const entry = async (path: string) => {
    const bytes = await readFile(join(dir, path))
    return { path, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
  }
  const onnx = { file: 'model.onnx', inputs, output: 'logits' }
  const files = [await entry('model.onnx')]
  const variant = { precision: 'float32', revision: 'bench', batchInvariant: true, onnx, batchTokens, files }
  const folder = parseFolder(
    {
      ...facts,
      ...LEVELS,
      name: facts.id,
      task: 'rerank',
      languages: ['und'],
      licence: 'none',
      source: 'random weights',
      hub: null,
      variants: [variant],
      files: [await entry('tokenizer.json')],
    },
    MANIFEST_FILE,
  )
  await writeFile(join(dir, MANIFEST_FILE), JSON.stringify(folder))
}
