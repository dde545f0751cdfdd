import {
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { dot, embedAll, openEngine, readFolder } from '@millrace/embed'
import { checkFolder, type ImportOptions, importModel, listModels, quantizeModel } from '@millrace/models'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { MINILM, MODELS_DIR, sharedFile } from '../../embed/test/models.js'
import { CROSS_ENCODER, makeCountingReranker } from '../../embed/test/rerankers.js'

let root: string
let modelsDir: string
/** A copy of all-minilm-l6-v2 as it would be on a hub: without its manifest. */
let source: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'millrace-import-'))
  modelsDir = join(root, 'models')
  source = join(root, 'source')
})
afterEach(() => rm(root, { recursive: true }))

async function copyOf(dir: string): Promise<void> {
  await cp(dir, source, { recursive: true })
  await rm(join(source, 'manifest.json'), { force: true })
}

const bring = (options: Partial<ImportOptions> = {}) =>
  importModel(source, { id: 'mine', modelsDir, ...options })

async function write(path: string, value: unknown): Promise<void> {
  await mkdir(dirname(join(source, path)), { recursive: true })
  await writeFile(join(source, path), JSON.stringify(value))
}

async function change(path: string, by: object): Promise<void> {
  const parsed: unknown = JSON.parse(await readFile(join(source, path), 'utf8'))
  await write(path, { ...(typeof parsed === 'object' ? parsed : {}), ...by })
}

/** Nothing is left of an import that was refused. */
const expectNothing = async () => expect(await readdir(modelsDir).catch(() => [])).toEqual([])

async function vectorsOf(texts: readonly string[]): Promise<Float32Array[]> {
  const engine = openEngine({ modelDirs: [modelsDir] })
  try {
    const embedded = await embedAll(engine, { model: 'mine', texts, kind: 'document' })
    return embedded.map(({ vector }) => vector)
  } finally {
    await engine.close()
  }
}

describe('a folder with 1_Pooling', () => {
  beforeEach(() => copyOf(join(MODELS_DIR, MINILM)))

  test('becomes a model; truncation in its tokenizer.json is not its limit', async () => {
    const { folder, notes } = await bring({
      licence: 'Apache-2.0',
      languages: ['en'],
      queryInstruction: 'query: ',
    })
    expect(folder).toMatchObject({
      id: 'mine',
      architecture: 'bert',
      dims: 384,
      tokensMax: 512,
      pooling: 'mean',
      padId: 0,
      outputs: ['dense'],
      hub: null,
      licence: 'Apache-2.0',
      languages: ['en'],
      instructions: { query: 'query: ', document: null },
      levelsMeasurement: expect.stringMatching(/^Not measured/),
      variants: [
        {
          precision: 'int8-row',
          batchInvariant: true,
          onnx: {
            file: 'model.onnx',
            inputs: { ids: 'input_ids', mask: 'attention_mask', types: 'token_type_ids' },
            output: 'last_hidden_state',
          },
        },
      ],
    })
    expect(notes.join('\n')).toContain(
      "reads 512 tokens: max_position_embeddings 512; tokenizer.json's truncation at 128",
    )
    expect(readFolder(join(modelsDir, 'mine'))).toEqual(folder)
    expect(await checkFolder(join(modelsDir, 'mine'), folder)).toEqual([])
    expect(await readdir(modelsDir)).toEqual(['mine'])
    const [one, two] = await vectorsOf(['How do I reset my password?', 'I forgot my password'])
    expect(dot(one ?? new Float32Array(), two ?? new Float32Array(1))).toBeCloseTo(0.78, 1)
  })

  test('in its place already is not copied', async () => {
    await mkdir(modelsDir)
    await rename(source, join(modelsDir, 'mine'))
    const { dir, folder } = await importModel(join(modelsDir, 'mine'), { id: 'mine', modelsDir })
    // Nobody said what they are.
    expect(folder).toMatchObject({ licence: 'unknown', languages: ['und'] })
    expect(await readdir(modelsDir)).toEqual(['mine'])
    expect(await checkFolder(dir, readFolder(dir))).toEqual([])
  })

  test('of links, as in the cache of a hub, is copied as files', async () => {
    await rename(join(source, 'model.onnx'), join(root, 'blob'))
    await symlink(join(root, 'blob'), join(source, 'model.onnx'))
    await bring()
    await rm(join(root, 'blob'))
    expect(await vectorsOf(['a'])).toHaveLength(1)
  })

  test('needs room on the disk', async () => {
    await expect(bring({ deps: { freeBytes: async () => 1_000 } })).rejects.toMatchObject({
      code: 'DISK_TOO_SMALL',
      message: expect.stringMatching(/has room for 1000 bytes, 241\d{5} are needed$/),
    })
    await expectNothing()
  })

  test.each([
    [
      'sqrt',
      { pooling_mode_mean_tokens: false, pooling_mode_mean_sqrt_len_tokens: true },
      'pooling_mode_mean_sqrt_len_tokens',
    ],
    ['two at once', { pooling_mode_cls_token: true }, 'pooling_mode_cls_token and pooling_mode_mean_tokens'],
    ['none', { pooling_mode_mean_tokens: false }, 'none'],
    [
      'a newer word',
      { pooling_mode_mean_tokens: false, pooling_mode: 'lasttoken' },
      'pooling_mode_lasttoken_tokens',
    ],
  ])('with a pooling that is not known is refused by name: %s', async (_, config, name) => {
    await change('1_Pooling/config.json', config)
    await expect(bring()).rejects.toMatchObject({
      code: 'UNSUPPORTED_POOLING',
      message: expect.stringContaining(`1_Pooling/config.json asks for ${name}`),
    })
  })

  test('with a layer behind the pooling is refused', async () => {
    const module = (name: string, path: string) => ({ type: `sentence_transformers.models.${name}`, path })
    await write('modules.json', [
      module('Transformer', ''),
      module('Pooling', '1_Pooling'),
      module('Dense', '2_Dense'),
    ])
    await expect(bring()).rejects.toMatchObject({
      code: 'UNSUPPORTED_POOLING',
      message: expect.stringContaining('sentence_transformers.models.Dense'),
    })
  })

  test('with a manifest is compared with that', async () => {
    await copyFile(join(MODELS_DIR, MINILM, 'manifest.json'), join(source, 'manifest.json'))
    expect((await bring()).folder).toEqual({ ...readFolder(join(MODELS_DIR, MINILM)), id: 'mine' })
    await writeFile(join(source, 'config.json'), '{}')
    await expect(bring({ id: 'other' })).rejects.toMatchObject({
      code: 'MODEL_FILE_ALTERED',
      message: expect.stringContaining('config.json is another file'),
    })
    expect(await readdir(modelsDir)).toEqual(['mine'])
  })

  test('under an id that is taken, or that cannot be one, is refused', async () => {
    await bring()
    await expect(bring()).rejects.toMatchObject({ code: 'MODEL_EXISTS' })
    for (const id of ['../x', 'A', '', '.hidden', 'a@b']) {
      await expect(bring({ id })).rejects.toMatchObject({ code: 'INVALID_MODEL_ID' })
    }
  })

  test.each([
    ['config.json', 'rm', /has no config\.json$/],
    ['tokenizer.json', 'rm', /has no tokenizer\.json$/],
    ['model.onnx', 'rm', /has no graph onnx\/model\.onnx or model\.onnx: there is none$/],
    ['config.json', '{', /Cannot read .*config\.json/],
    ['config.json', '{"hidden_size":"many"}', /config\.json is not as expected/],
    ['tokenizer.json', '{}', /tokenizer\.json is not as expected/],
  ])('with %s that is %s is refused by name', async (path, content, message) => {
    if (content === 'rm') await rm(join(source, path))
    else await writeFile(join(source, path), content)
    await expect(bring()).rejects.toMatchObject({
      code: 'INVALID_MODEL_FOLDER',
      message: expect.stringMatching(message),
    })
    await expectNothing()
  })

  test.each([
    ['dims', { hidden_size: 512 }, /gives vectors of 384 dims, config\.json says hidden_size 512/],
    [
      'a limit',
      { max_position_embeddings: 600 },
      /does not take the 600 tokens that it should \(max_position_embeddings 600/,
    ],
  ])('whose config.json tells of other %s than the graph has is refused', async (_, config, message) => {
    await change('config.json', config)
    await expect(bring()).rejects.toMatchObject({
      code: 'INVALID_GRAPH',
      message: expect.stringMatching(message),
    })
    await expectNothing()
  })

  test('with half a graph is refused', async () => {
    const graph = await readFile(join(source, 'model.onnx'))
    await writeFile(join(source, 'model.onnx'), graph.subarray(0, 1_000_000))
    await expect(bring()).rejects.toMatchObject({ code: 'INVALID_GRAPH' })
    await expectNothing()
  })

  test('of two graphs of other names, one must be named', async () => {
    await rename(join(source, 'model.onnx'), join(source, 'a.onnx'))
    expect((await bring()).folder.variants[0]?.onnx.file).toBe('a.onnx')
    await copyFile(join(source, 'a.onnx'), join(source, 'b.onnx'))
    await expect(bring({ id: 'two' })).rejects.toMatchObject({
      code: 'INVALID_MODEL_FOLDER',
      message: expect.stringContaining('there are a.onnx, b.onnx'),
    })
    expect((await bring({ id: 'two', graph: 'b.onnx' })).folder.variants[0]?.onnx.file).toBe('b.onnx')
  })
})

const vectorReference = z.object({
  texts: z.array(z.object({ text: z.string(), vector: z.array(z.number()) })),
})
const denseReference = z.object({
  texts: z.array(z.object({ text: z.string(), dense: z.array(z.number()) })),
})

/** Cosines of what the engine gives with what the reference has. */
async function cosines(wanted: readonly { text: string; vector: readonly number[] }[]): Promise<number[]> {
  const vectors = await vectorsOf(wanted.map(({ text }) => text))
  return wanted.map(({ vector }, i) =>
    dot(Float32Array.from(vector), vectors[i] ?? new Float32Array(vector.length)),
  )
}

const zh = sharedFile('models/bge-small-zh-v1.5/reference.json', 'the import of bge-small-zh-v1.5')
describe.skipIf(zh === undefined)('bge-small-zh-v1.5, which has no 1_Pooling', () => {
  beforeEach(() => copyOf(dirname(zh ?? '')))

  test('needs --pooling, and then gives the reference', async () => {
    await expect(bring()).rejects.toMatchObject({
      code: 'NO_POOLING',
      hint: expect.stringContaining('--pooling'),
    })
    await expectNothing()
    await bring({ pooling: 'cls' })
    const { texts } = vectorReference.parse(JSON.parse(await readFile(zh ?? '', 'utf8')))
    expect(Math.min(...(await cosines(texts)))).toBeGreaterThanOrEqual(0.985)
  })

  test('as dynamic int8 is refused: vectors would move with their neighbours', async () => {
    await expect(bring({ pooling: 'cls', graph: 'model_dynamic_int8.onnx' })).rejects.toMatchObject({
      code: 'UNSUPPORTED_PRECISION',
    })
    await expectNothing()
  })

  test('with the tokenizer of a larger vocabulary is refused: the graph does not have its tokens', async () => {
    await copyFile(join(MODELS_DIR, MINILM, 'tokenizer.json'), join(source, 'tokenizer.json'))
    await expect(bring({ pooling: 'cls' })).rejects.toMatchObject({
      code: 'OTHER_TOKENIZER',
      message: expect.stringContaining('no token of id 30521'),
    })
  })

  test('with its tokenizer in the folder of a larger model is refused: it has too few tokens', async () => {
    const tokenizer = join(source, 'tokenizer.json')
    const larger = join(root, 'larger')
    await cp(join(MODELS_DIR, MINILM), larger, { recursive: true })
    await rm(join(larger, 'manifest.json'))
    await copyFile(tokenizer, join(larger, 'tokenizer.json'))
    await expect(importModel(larger, { id: 'mine', modelsDir })).rejects.toMatchObject({
      code: 'OTHER_TOKENIZER',
      message: expect.stringMatching(/it has 21128 tokens, config\.json says 30522$/),
    })
  })
})

const tiny = sharedFile('models/tiny-bge-m3/reference.json', 'the import of tiny-bge-m3')
const m3 = sharedFile('models/bge-m3/tokenizer.json', 'the tokenizer of bge-m3')
test.skipIf(tiny === undefined || m3 === undefined)(
  'the layout of bge-m3: external data and both heads are found, its limit is less pad id and 1',
  async () => {
    await copyOf(dirname(tiny ?? ''))
    await copyFile(m3 ?? '', join(source, 'tokenizer.json'))
    const { folder } = await bring()
    expect(folder).toMatchObject({
      architecture: 'xlm-roberta',
      dims: 16,
      tokensMax: 8_192,
      pooling: 'cls',
      padId: 1,
      outputs: ['dense', 'sparse', 'colbert'],
      heads: { sparse: 'sparse_linear.pt', colbert: 'colbert_linear.pt' },
      variants: [
        {
          precision: 'float32',
          onnx: { file: 'onnx/model.onnx', inputs: { types: null }, output: 'token_embeddings' },
          files: [{ path: 'onnx/model.onnx' }, { path: 'onnx/model.onnx_data', bytes: 16_540_928 }],
        },
      ],
    })
    const { texts } = denseReference.parse(JSON.parse(await readFile(tiny ?? '', 'utf8')))
    const near = await cosines(texts.map(({ text, dense }) => ({ text, vector: dense })))
    expect(Math.min(...near)).toBeGreaterThan(0.99999)
    await rm(join(source, 'onnx/model.onnx_data'))
    await expect(bring({ id: 'half' })).rejects.toMatchObject({
      code: 'INVALID_MODEL_FOLDER',
      message: expect.stringContaining('has no onnx/model.onnx_data'),
    })
  },
)

const m2v = sharedFile('models/m2v-bge-base-en-v1.5-vq64/model.onnx', 'the import of a static model')
test.skipIf(m2v === undefined)(
  'a graph with sentence_embedding and no 1_Pooling is taken as it pools',
  async () => {
    await copyOf(dirname(m2v ?? ''))
    const { folder } = await bring()
    expect(folder).toMatchObject({ architecture: 'other', dims: 64, pooling: 'graph' })
    expect(folder.variants[0]?.onnx.output).toBe('sentence_embedding')
    const [order, money, cat] = await vectorsOf([
      'How do I get a refund for my order?',
      'I want my money back for this purchase',
      'The cat sat on the windowsill in the sun',
    ])
    const none = new Float32Array(64)
    expect(dot(order ?? none, money ?? none)).toBeCloseTo(0.358, 3)
    expect(dot(order ?? none, cat ?? none)).toBeCloseTo(0.102, 3)
  },
)

describe('a cross-encoder', () => {
  const config = { model_type: 'xlm-roberta', max_position_embeddings: 64, pad_token_id: 1 }

  test.skipIf(CROSS_ENCODER === undefined)(
    'is recognised by its one number a pair, and reranks',
    async () => {
      await mkdir(source)
      await copyFile(CROSS_ENCODER?.graph ?? '', join(source, 'model.onnx'))
      await copyFile(CROSS_ENCODER?.tokenizer ?? '', join(source, 'tokenizer.json'))
      await write('config.json', config)
      const { dir, folder, notes } = await bring()
      expect(folder).toMatchObject({
        task: 'rerank',
        dims: 1,
        outputs: [],
        tokensMax: 62,
        variants: [{ precision: 'float32', batchInvariant: true, onnx: { output: 'logits' } }],
      })
      expect(notes[0]).toBe("reranks: the graph's logits is one number a pair of texts, and no vector")
      expect(readFolder(dir)).toEqual(folder)
      expect(listModels([modelsDir]).find(({ id }) => id === 'mine')).toMatchObject({
        task: 'rerank',
        outputs: [],
      })
      await expect(quantizeModel(dir)).rejects.toMatchObject({ code: 'NOT_AN_EMBEDDER' })
      await expect(bring({ id: 'other', pooling: 'mean' })).rejects.toMatchObject({
        code: 'INVALID_GRAPH',
        message: expect.stringContaining('no vectors to pool'),
      })
    },
  )

  test('with token types too; without a template for pairs it is refused', async () => {
    await makeCountingReranker(root, 'source')
    await rm(join(source, 'manifest.json'))
    await write('config.json', { model_type: 'bert', max_position_embeddings: 64 })
    expect((await bring()).folder).toMatchObject({
      task: 'rerank',
      tokensMax: 64,
      variants: [{ onnx: { inputs: { types: 'token_type_ids' } } }],
    })
    await change('tokenizer.json', { post_processor: null })
    await expect(bring({ id: 'other' })).rejects.toMatchObject({
      code: 'OTHER_TOKENIZER',
      message: expect.stringContaining('how a query and a text are read together'),
    })
  })
})
