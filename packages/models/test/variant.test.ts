import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { dot, embedAll, openEngine, readFolder } from '@millrace/embed'
import { checkFolder, importModel, quantizeModel } from '@millrace/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MODELS_DIR, sharedFile } from './shared.js'

const WHAT = 'the int8-row variant of a model with three outputs'
const tiny = sharedFile('models/tiny-bge-m3/config.json', WHAT)
const tokenizer = sharedFile('models/bge-m3/tokenizer.json', WHAT)

describe.skipIf(tiny === undefined || tokenizer === undefined)('models quantize', () => {
  let modelsDir: string
  let dir: string

  beforeAll(async () => {
    modelsDir = await mkdtemp(join(tmpdir(), 'millrace-variant-'))
    const source = join(modelsDir, '.source')
    await cp(dirname(String(tiny)), source, { recursive: true })
    await cp(String(tokenizer), join(source, 'tokenizer.json'))
    const imported = await importModel(source, { id: 'tiny', modelsDir, pooling: 'cls' })
    dir = imported.dir
  })
  afterAll(() => rm(modelsDir, { recursive: true, force: true }))

  test('adds a variant that gives all three outputs, near those of float32', async () => {
    const before = readFolder(dir)
    const made = await quantizeModel(dir)
    expect(made).toMatchObject({ id: 'tiny@int8-row', dir })
    expect(made.cosine.least).toBeGreaterThan(0.95)
    const after = readFolder(dir)
    expect({ ...after, variants: after.variants.slice(0, 1) }).toEqual(before)
    expect(after.variants[1]).toMatchObject({ precision: 'int8-row', batchInvariant: true })
    expect(await checkFolder(dir, after)).toEqual([])

    const engine = openEngine({ modelDirs: [modelsDir] })
    const [float, int8] = await Promise.all(
      ['tiny', 'tiny@int8-row'].map((model) =>
        embedAll(engine, {
          model,
          texts: ['如何重置密码？ How do I reset my password?'],
          kind: 'document',
          outputs: ['dense', 'sparse', 'colbert'],
        }),
      ),
    )
    await engine.close()
    expect(
      dot(float?.[0]?.vector ?? new Float32Array(16), int8?.[0]?.vector ?? new Float32Array(16)),
    ).toBeGreaterThan(0.95)
    expect(int8?.[0]?.colbert?.count).toBe(float?.[0]?.colbert?.count)
    expect(int8?.[0]?.sparse).toBeDefined()
  })

  test('is refused when it is there, unless it is to be written again', async () => {
    await expect(quantizeModel(dir)).rejects.toMatchObject({ code: 'VARIANT_EXISTS' })
    const revision = () => readFolder(dir).variants[1]?.revision
    const eight = revision()
    await quantizeModel(dir, { force: true, bits: 7 })
    expect(revision()).not.toBe(eight)
    await quantizeModel(dir, { force: true })
    expect(revision()).toBe(eight)
    expect(readFolder(dir).variants).toHaveLength(2)
  })

  test('a stop leaves the model as it was', async () => {
    const before = await readFile(join(dir, 'manifest.json'), 'utf8')
    const stop = new AbortController()
    const quantizing = quantizeModel(dir, {
      force: true,
      signal: stop.signal,
      onProgress: ({ stage }) => stage === 'quantize' && stop.abort(),
    })
    await expect(quantizing).rejects.toMatchObject({ code: 'INTERRUPTED' })
    expect(await readFile(join(dir, 'manifest.json'), 'utf8')).toBe(before)
    expect(await checkFolder(dir, readFolder(dir))).toEqual([])
  })

  test('needs the float32 variant, with its files', async () => {
    await expect(quantizeModel(join(MODELS_DIR, 'all-minilm-l6-v2'))).rejects.toMatchObject({
      code: 'NO_FLOAT_VARIANT',
      message: 'all-minilm-l6-v2 is not here in float32; its variants: int8-row',
    })
    await writeFile(join(dir, 'onnx/model.onnx_data'), 'short')
    await expect(quantizeModel(dir, { force: true })).rejects.toMatchObject({
      code: 'MODEL_FILE_MISSING',
      message: expect.stringContaining('model.onnx_data'),
    })
  })
})
