import { createHash } from 'node:crypto'
import { copyFile, mkdir, open, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { MANIFEST_FILE, parseFolder } from '@millrace/embed'
import { shared } from '../place.js'

export const STAND_IN = 'bge-m3-stand-in'
const WEIGHTS = 'onnx/model.onnx_data'
const WEIGHT_BYTES = 2_266_820_608
const COPIED = ['onnx/model.onnx', 'tokenizer.json', 'sparse_linear.pt', 'colbert_linear.pt', 'config.json']

/**
 * bge-m3 as it is but for its weights, which are not among the data: real graph, heads and tokenizer, random weights
 * of the size that trained ones have. Vectors mean nothing; time and memory do. Takes 2.3 GB of disk.
 * @returns the folder of models, for the engine; the model is `STAND_IN`
 */
export async function makeStandIn(modelsDir: string): Promise<string> {
  const dir = join(modelsDir, STAND_IN)
  for (const file of COPIED) {
    await mkdir(dirname(join(dir, file)), { recursive: true })
    await copyFile(shared('models', 'bge-m3', file), join(dir, file))
  }
  await writeWeights(join(dir, WEIGHTS))
  const entry = async (path: string) => {
    const { size } = await stat(join(dir, path))
    const isHashed = path !== WEIGHTS // files this large are hashed by `verify` alone
    const hash = createHash('sha256').update(isHashed ? await readFile(join(dir, path)) : '')
    return { path, bytes: size, sha256: hash.digest('hex') }
  }
  const [graph, ...files] = await Promise.all(COPIED.map(entry))
  const folder = parseFolder(
    {
      id: STAND_IN,
      name: 'bge-m3 without its weights',
      architecture: 'xlm-roberta',
      dims: 1_024,
      tokensMax: 8_192,
      pooling: 'cls',
      normalize: true,
      instructions: { query: null, document: null },
      outputs: ['dense', 'sparse', 'colbert'],
      heads: { sparse: 'sparse_linear.pt', colbert: 'colbert_linear.pt' },
      languages: ['zh', 'en'],
      licence: 'none',
      source: 'stand-in weights',
      hub: null,
      padId: 1,
      levels: [{ key: 'any', above: null, name: { zh: '任意', en: 'any' } }],
      levelsMeasurement: 'none: stand-in weights',
      variants: [
        {
          precision: 'float32',
          revision: 'stand-in',
          batchInvariant: true,
          onnx: {
            file: 'onnx/model.onnx',
            inputs: { ids: 'input_ids', mask: 'attention_mask', types: null },
            output: 'token_embeddings',
          },
          batchTokens: 512,
          files: [graph, await entry(WEIGHTS)],
        },
      ],
      files,
    },
    MANIFEST_FILE,
  )
  await writeFile(join(dir, MANIFEST_FILE), JSON.stringify(folder))
  return modelsDir
}

/**
 * A prime, so that no two matrices hold the same numbers: onnxruntime keeps equal weights once, and a sparse file of
 * zeros, or blocks that repeat with the matrices, would take a tenth of the memory and fit into caches.
 */
const BLOCK_FLOATS = (1 << 22) - 3
const DEVIATION = 0.02

async function writeWeights(path: string): Promise<void> {
  const file = await open(path, 'w')
  try {
    const block = Buffer.from(gaussian(BLOCK_FLOATS).buffer)
    for (let at = 0; at < WEIGHT_BYTES; at += block.length) {
      await file.write(block, 0, Math.min(block.length, WEIGHT_BYTES - at), at)
    }
  } finally {
    await file.close()
  }
}

/** The same numbers every time; Box and Muller's transform of uniform ones. */
function gaussian(length: number): Float32Array<ArrayBuffer> {
  let state = 1
  const uniform = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state + 1) / (2 ** 32 + 1)
  }
  return Float32Array.from(
    { length },
    () => DEVIATION * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  )
}
