import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { readModel } from '@millrace/embed/onnx'
import { openableGraph } from '@millrace/embed/openable'
import { type QuantizeOptions, type QuantizeProgress, quantize } from '@millrace/models'
import { InferenceSession } from 'onnxruntime-node'
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
        // Its own vocabulary has 17 MB and is tried once: to random weights one id is as good as another.
        tokenizerDir: join(MODELS_DIR, 'all-minilm-l6-v2'),
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
      const result = await quantize({
        ...options,
        tokenizerDir: dirname(tokenizer ?? ''),
        onProgress: (step) => progress.push(step),
      })
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

    test('beside its data when that is large, to the same vectors; weights of 7 bits can be had of it', async () => {
      const outFile = 'beside/model.onnx'
      const result = await quantize({ ...options, outFile, insideBytesMax: 0 })
      expect(result.files.map(({ path }) => path)).toEqual([outFile, `${outFile}_data`])
      for (const { path, bytes, sha256 } of result.files) {
        const file = await readFile(join(dir, path))
        expect([file.length, createHash('sha256').update(file).digest('hex')]).toEqual([bytes, sha256])
      }
      expect((await readdir(join(dir, 'beside'))).sort()).toEqual(['model.onnx', 'model.onnx_data'])
      expect(result.cosine.least).toBeGreaterThan(0.999)
      const { graph, session } = await openableGraph(join(dir, outFile), true)
      if (typeof graph === 'string') throw new Error('it was opened as it is')
      const opened = await InferenceSession.create(graph, { extra: { session } })
      expect(opened.outputNames).toContain('token_embeddings')
      await opened.release()
      // The next one keeps its data inside: what lay beside the old one goes with it.
      await quantize({ ...options, outFile })
      expect(await readdir(join(dir, 'beside'))).toEqual(['model.onnx'])
    })

    test('one that is killed half-way leaves nothing under its name', async () => {
      const outFile = 'killed/model.onnx'
      const script = `import { quantize } from '@millrace/models'
      const kill = ({ stage, done }) => stage === 'quantize' && done === 3 && process.kill(process.pid, 'SIGKILL')
      await quantize({ ...${JSON.stringify({ ...options, outFile, insideBytesMax: 0 })}, onProgress: kill })`
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        cwd: import.meta.dirname,
      })
      const [, signal] = await once(child, 'exit')
      expect(signal).toBe('SIGKILL')
      const [left, ...others] = await readdir(join(dir, 'killed'))
      expect(left).toMatch(/^\.quantize-/)
      expect(others).toEqual([])
    })

    test('never over the float model or its data', async () => {
      await expect(quantize({ ...options, outFile: options.onnxFile })).rejects.toThrow(TypeError)
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
