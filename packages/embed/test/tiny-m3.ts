import { createHash } from 'node:crypto'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { sharedFile } from './models.js'

const WHAT = 'the layout of bge-m3 with small random weights'
const tiny = sharedFile('models/tiny-bge-m3', WHAT)
const whole = sharedFile('models/bge-m3', WHAT)

/** Its folder in the development data, undefined where those are not there. */
export const TINY_M3 = tiny !== undefined && whole !== undefined ? tiny : undefined

export const TINY_M3_ID = 'tiny-bge-m3'
const FILES = [
  'onnx/model.onnx',
  'onnx/model.onnx_data',
  'sparse_linear.pt',
  'colbert_linear.pt',
  'config.json',
]

/** The commonest pieces of the vocabulary: reading all 250,002 takes each process seconds. */
const COMMONEST = 40_000

const tokenizerSchema = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.int() })),
  model: z.looseObject({ vocab: z.array(z.unknown()) }),
})

/** The same ids for the same pieces; rare ones are gone. */
async function shortTokenizer(): Promise<string> {
  const all = tokenizerSchema.parse(JSON.parse(await readFile(join(String(whole), 'tokenizer.json'), 'utf8')))
  return JSON.stringify({
    ...all,
    added_tokens: all.added_tokens.filter(({ id }) => id < COMMONEST),
    model: { ...all.model, vocab: all.model.vocab.slice(0, COMMONEST) },
  })
}

/**
 * A model folder as `models import` would write it; bytes and hashes are not what this is about. `short`: with the
 * commonest words only, for what is about no word in particular.
 */
export async function makeTinyM3(
  into: string,
  { vocabulary = 'whole' }: { vocabulary?: 'whole' | 'short' } = {},
): Promise<void> {
  const dir = join(into, TINY_M3_ID)
  for (const file of FILES) await cp(join(String(tiny), file), join(dir, file))
  if (vocabulary === 'short') await writeFile(join(dir, 'tokenizer.json'), await shortTokenizer())
  else await cp(join(String(whole), 'tokenizer.json'), join(dir, 'tokenizer.json'))
  const entry = async (path: string) => {
    const bytes = await readFile(join(dir, path))
    return { path, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
  }
  const manifest = {
    id: TINY_M3_ID,
    name: TINY_M3_ID,
    architecture: 'xlm-roberta',
    dims: 16,
    tokensMax: 8_192,
    pooling: 'cls',
    normalize: true,
    instructions: { query: null, document: null },
    outputs: ['dense', 'sparse', 'colbert'],
    heads: { sparse: 'sparse_linear.pt', colbert: 'colbert_linear.pt' },
    languages: ['zh', 'en'],
    licence: 'none',
    source: 'random weights',
    hub: null,
    padId: 1,
    levels: [{ key: 'any', above: null, name: { zh: '任意', en: 'any' } }],
    levelsMeasurement: 'none: random weights',
    variants: [
      {
        precision: 'float32',
        revision: '1',
        batchInvariant: true,
        onnx: {
          file: 'onnx/model.onnx',
          inputs: { ids: 'input_ids', mask: 'attention_mask', types: null },
          output: 'token_embeddings',
        },
        batchTokens: 512,
        files: [await entry('onnx/model.onnx'), await entry('onnx/model.onnx_data')],
      },
    ],
    files: [
      await entry('tokenizer.json'),
      await entry('sparse_linear.pt'),
      await entry('colbert_linear.pt'),
      await entry('config.json'),
    ],
  }
  await writeFile(join(dir, 'manifest.json'), JSON.stringify(manifest))
}
