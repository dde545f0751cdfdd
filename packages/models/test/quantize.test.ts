import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { readModel } from '@millrace/embed/onnx'
import { type QuantizeOptions, type QuantizeProgress, quantize } from '@millrace/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MODELS_DIR, sharedFile } from './shared.js'

const graph = sharedFile('models/tiny-bge-m3/onnx/model.onnx', 'the quantizer on a graph with external data')
const tokenizer = sharedFile('models/bge-m3/tokenizer.json', 'the quantizer on a graph with external data')

describe.skipIf(graph === undefined || tokenizer === undefined)(
  'a small XLM-RoBERTa with external data',
  () => {
    let dir: string
    let options: QuantizeOptions
    beforeAll(async () => {
      dir = await mkdtemp(join(tmpdir(), 'quantize-'))
      await mkdir(join(dir, 'onnx'))
      for (const name of ['model.onnx', 'model.onnx_data']) {
        await cp(join(dirname(graph ?? ''), name), join(dir, 'onnx', name))
      }
      options = {
        dir,
        onnxFile: 'onnx/model.onnx',
        outFile: 'onnx/model_int8row.onnx',
        tokenizerDir: dirname(tokenizer ?? ''),
        inputs: { ids: 'input_ids', mask: 'attention_mask', types: null },
        output: 'token_embeddings',
        pooling: 'cls',
        padId: 1,
        tokensMax: 8_192,
      }
    })
    afterAll(() => rm(dir, { recursive: true, force: true }))

    test('is written, counted, hashed, and near the float model alone and in a batch', async () => {
      const progress: QuantizeProgress[] = []
      // What a run that was killed days ago left, and what another one is working on.
      await mkdir(join(dir, 'onnx', '.quantize-old'))
      await utimes(join(dir, 'onnx', '.quantize-old'), 0, 0)
      await mkdir(join(dir, 'onnx', '.quantize-other'))
      const result = await quantize({ ...options, onProgress: (step) => progress.push(step) })
      expect(result).toMatchObject({ matmuls: 12, groups: 8, tables: 1 })
      expect(result.calibrationTexts).toBeGreaterThanOrEqual(90)
      expect(result.cosine.least).toBeGreaterThan(0.999)
      expect(result.batchCosine).toBeGreaterThan(0.99999)
      const [file] = result.files
      const bytes = await readFile(join(dir, 'onnx/model_int8row.onnx'))
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      expect(file).toEqual({ path: 'onnx/model_int8row.onnx', bytes: bytes.length, sha256 })
      expect((await readdir(join(dir, 'onnx'))).sort()).toEqual([
        '.quantize-other',
        'model.onnx',
        'model.onnx_data',
        'model_int8row.onnx',
      ])
      await rm(join(dir, 'onnx', '.quantize-other'), { recursive: true })
      expect(progress.map(({ stage }) => stage).filter((stage, i, all) => stage !== all[i - 1])).toEqual([
        'calibrate',
        'quantize',
        'verify',
      ])
      const last = progress.filter(({ stage }) => stage === 'quantize').at(-1)
      expect(last?.done).toBe(last?.total)
      expect(last?.bytes).toBe(last?.bytesTotal)
    })

    test('with weights of 7 bits, from -63 to 63', async () => {
      const outFile = 'seven.onnx'
      const { cosine } = await quantize({ ...options, outFile, bits: 7 })
      expect(cosine.least).toBeGreaterThan(0.995)
      const { graph } = await readModel(join(dir, outFile))
      const weights = graph.initializer.filter(
        ({ name }) => name.endsWith('.weight') && name.startsWith('int8'),
      )
      expect(weights).toHaveLength(12)
      for (const { rawData } of weights) {
        const integers = new Int8Array(rawData)
        expect(Math.max(...integers)).toBeLessThanOrEqual(63)
        expect(Math.min(...integers)).toBeGreaterThanOrEqual(-63)
      }
    })

    test('too far from the float model it is not kept', async () => {
      const outFile = 'poor/model.onnx'
      const limits = { least: 0.99999, mean: 0.99999, batch: 0.99999 }
      await expect(quantize({ ...options, outFile, limits })).rejects.toMatchObject({
        code: 'QUANTIZATION_POOR',
        message: expect.stringMatching(/least cosine to the float model 0\.999\d+, must be 0\.99999/),
      })
      expect(await readdir(join(dir, 'poor'))).toEqual([])
    })

    test('one who gives up leaves nothing', async () => {
      const giveUp = new AbortController()
      const outFile = 'given-up/model.onnx'
      const onProgress = ({ stage }: QuantizeProgress) => {
        if (stage === 'quantize') giveUp.abort(new Error('enough'))
      }
      await expect(quantize({ ...options, outFile, onProgress, signal: giveUp.signal })).rejects.toThrow(
        'enough',
      )
      expect(await readdir(join(dir, 'given-up'))).toEqual([])
    })

    test('data that ends early is refused by its name, and so is what is no float graph', async () => {
      await cp(join(dir, 'onnx'), join(dir, 'short'), { recursive: true })
      const data = join(dir, 'short', 'model.onnx_data')
      await writeFile(data, (await readFile(data)).subarray(0, 1_000))
      expect((await stat(data)).size).toBe(1_000)
      const short = { ...options, onnxFile: 'short/model.onnx', outFile: 'short/out.onnx' }
      await expect(quantize(short)).rejects.toMatchObject({ code: 'INVALID_GRAPH' })
      expect(await readdir(join(dir, 'short'))).not.toContain('out.onnx')
      const quantized = { ...options, dir: join(MODELS_DIR, 'bge-small-zh-v1.5'), onnxFile: 'model.onnx' }
      await expect(quantize({ ...quantized, outFile: join(dir, 'twice.onnx') })).rejects.toThrow(
        /is quantized already/,
      )
    })
  },
)
