import { cp, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ModelFolder,
  type ModelVariant,
  openEngine,
  readFolder,
  readManifest,
  verifyModel,
} from '@millrace/embed'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BGE_ZH, MINILM, MODELS_DIR } from './models.js'

let modelsDir: string
let dir: string

beforeEach(async () => {
  modelsDir = await mkdtemp(join(tmpdir(), 'millrace-models-'))
  dir = join(modelsDir, MINILM)
  await cp(join(MODELS_DIR, MINILM), dir, { recursive: true })
})
afterEach(() => rm(modelsDir, { recursive: true, force: true }))

/** One bit of one byte, the size unchanged. */
async function flip(file: string, at: number): Promise<void> {
  const bytes = await readFile(file)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  await writeFile(file, bytes)
}

describe('the files of a model', () => {
  test.each([MINILM, BGE_ZH])('%s in this repository is what its manifest says', async (id) => {
    expect((await verifyModel(join(MODELS_DIR, id))).id).toBe(id)
  })

  test('one altered byte is found and the file named', async () => {
    await flip(join(dir, 'model.onnx'), 10_000_000)
    await expect(verifyModel(dir)).rejects.toMatchObject({
      code: 'MODEL_FILE_ALTERED',
      message: expect.stringContaining('model.onnx has sha256 '),
    })
  })

  test('a short file is named with both sizes', async () => {
    await truncate(join(dir, 'model.onnx'), 1_000)
    await expect(verifyModel(dir)).rejects.toMatchObject({
      code: 'MODEL_FILE_ALTERED',
      message: expect.stringMatching(/model\.onnx has 1000 bytes, its manifest says 23673880/),
    })
  })

  test('a missing file is named', async () => {
    await rm(join(dir, 'tokenizer.json'))
    await expect(verifyModel(dir)).rejects.toMatchObject({
      code: 'MODEL_FILE_MISSING',
      message: expect.stringContaining('tokenizer.json'),
    })
  })

  test('an altered model is not loaded, and is once it is mended', async () => {
    const engine = openEngine({ modelDirs: [modelsDir] })
    try {
      await flip(join(dir, 'model.onnx'), 20_000_000)
      await expect(engine.load(MINILM)).rejects.toMatchObject({
        code: 'MODEL_FILE_ALTERED',
        retryable: false,
      })
      expect(engine.state(MINILM)).toBe('failed')
      expect(engine.failure(MINILM)?.message).toContain('model.onnx')
      await flip(join(dir, 'model.onnx'), 20_000_000)
      expect((await engine.load(MINILM)).id).toBe(MINILM)
      expect(engine.state(MINILM)).toBe('ready')
      expect(engine.failure(MINILM)).toBeUndefined()
    } finally {
      await engine.close()
    }
  })

  test('a graph that is not the one described is refused with the names of both', async () => {
    const engine = openEngine({ modelDirs: [modelsDir] })
    try {
      await changeVariant(({ onnx }) => ({ onnx: { ...onnx, output: 'sentence_embedding' } }))
      const changed = openEngine({ modelDirs: [modelsDir] })
      await expect(changed.load(MINILM)).rejects.toMatchObject({
        code: 'INVALID_GRAPH',
        message: expect.stringMatching(/last_hidden_state, the manifest's sentence_embedding/),
      })
      await changed.close()
    } finally {
      await engine.close()
    }
  })

  test('a model whose vectors have other dims than its manifest says is refused', async () => {
    await change((manifest) => ({ ...manifest, dims: 512 }))
    const engine = openEngine({ modelDirs: [modelsDir] })
    await expect(engine.load(MINILM)).rejects.toMatchObject({ code: 'INVALID_GRAPH' })
    await engine.close()
  })
})

test('a tokenizer of another model is refused: its ids are not those of the graph', async () => {
  dir = join(modelsDir, BGE_ZH)
  await cp(join(MODELS_DIR, BGE_ZH), dir, { recursive: true })
  await cp(join(MODELS_DIR, MINILM, 'tokenizer.json'), join(dir, 'tokenizer.json'))
  const other = readFolder(join(MODELS_DIR, MINILM)).files.filter(({ path }) => path === 'tokenizer.json')
  await change(({ files, ...folder }) => ({
    ...folder,
    files: [...files.filter(({ path }) => path !== 'tokenizer.json'), ...other],
  }))
  const engine = openEngine({ modelDirs: [modelsDir] })
  await expect(engine.load(BGE_ZH)).rejects.toMatchObject({
    code: 'INVALID_TOKENIZER',
    message: expect.stringMatching(/gives ids up to 30521, which the graph does not take/),
  })
  await engine.close()
})

async function change(by: (folder: ModelFolder) => unknown): Promise<void> {
  await writeFile(join(dir, 'manifest.json'), JSON.stringify(by(readFolder(dir))))
}

const changeVariant = (by: (variant: ModelVariant) => Partial<ModelVariant>) =>
  change((folder) => ({ ...folder, variants: folder.variants.map((one) => ({ ...one, ...by(one) })) }))

describe('a manifest', () => {
  test.each([
    ['an unknown field', { colour: 'red' }, 'colour'],
    ['no dims', { dims: undefined }, 'dims'],
    [
      'a path that leaves the folder',
      { files: [{ path: '../x', bytes: 1, sha256: 'a'.repeat(64) }] },
      'files',
    ],
    ['levels that do not fall', { levels: [] }, 'levels'],
    ['no variant', { variants: [] }, 'variants'],
    ['an output without its head', { outputs: ['dense', 'sparse'] }, 'heads'],
    [
      'a head without its file',
      { outputs: ['dense', 'sparse'], heads: { sparse: 'sparse.pt' } },
      'sparse.pt',
    ],
  ])('with %s is refused, naming file and field', async (_, fault, field) => {
    await change((manifest) => ({ ...manifest, ...fault }))
    expect(() => readManifest(dir)).toThrow(
      expect.objectContaining({
        code: 'INVALID_MANIFEST',
        message: expect.stringMatching(new RegExp(`manifest\\.json[^]*${field}`)),
      }),
    )
  })

  test('whose default variant moves with its batch is refused', async () => {
    await changeVariant(() => ({ precision: 'int8-dynamic' }))
    expect(() => readFolder(dir)).toThrow(/int8-dynamic cannot be the default/)
  })

  test('with two variants makes two models; the first has the bare id, each has its precision', async () => {
    await change((folder) => ({
      ...folder,
      variants: [
        ...folder.variants,
        ...folder.variants.map((one) => ({ ...one, precision: 'int8-dynamic' })),
      ],
    }))
    const engine = openEngine({ modelDirs: [modelsDir] })
    expect(engine.models().map(({ id }) => id)).toEqual([MINILM, `${MINILM}@int8-dynamic`])
    expect(engine.manifest(`${MINILM}@int8-row`)).toBe(engine.manifest(MINILM))
    await engine.load(`${MINILM}@int8-row`)
    expect(engine.state(MINILM)).toBe('ready')
    expect(engine.state(`${MINILM}@int8-dynamic`)).toBe('absent')
    await engine.close()
  })

  test('that is no JSON is refused', async () => {
    await writeFile(join(dir, 'manifest.json'), '{')
    expect(() => openEngine({ modelDirs: [modelsDir] })).toThrow(
      expect.objectContaining({ code: 'INVALID_MANIFEST' }),
    )
  })
})

describe('folders of models', () => {
  test('the first one with an id wins', async () => {
    await change((manifest) => ({ ...manifest, name: 'mine' }))
    const engine = openEngine({ modelDirs: [modelsDir, MODELS_DIR] })
    expect(engine.manifest(MINILM).name).toBe('mine')
    expect(engine.dir(MINILM)).toBe(dir)
    expect(engine.models().map(({ id }) => id)).toEqual([MINILM, BGE_ZH])
  })

  test('one that is not there is refused', () => {
    expect(() => openEngine({ modelDirs: [join(modelsDir, 'none')] })).toThrow(
      expect.objectContaining({ code: 'MODELS_DIR_MISSING' }),
    )
  })

  test('an unknown model is refused with the names of those there are', () => {
    const engine = openEngine({ modelDirs: [MODELS_DIR] })
    for (const ask of [engine.manifest, engine.dir, engine.state]) {
      expect(() => ask('gpt')).toThrow(
        expect.objectContaining({
          code: 'UNKNOWN_MODEL',
          message: `There is no model "gpt": there are ${MINILM}, ${BGE_ZH}`,
        }),
      )
    }
  })
})
