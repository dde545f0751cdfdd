import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openTokenizer } from '@millrace/embed'
import { quantize } from '@millrace/models'
import { openRunner, type Runner, vectorsOf, type Wiring } from '@millrace/models/quantize/session'
import { agreement } from '@millrace/models/quantize/verify'
import { z } from 'zod'
import { type Figure, figure } from './figure.js'
import { floatGraph } from './float.js'
import { ROOT, shared } from './place.js'
import { speeds } from './speed.js'
import { inTemporary } from './temporary.js'

const MODEL = 'bge-small-zh-v1.5'
const WIRING: Wiring = {
  inputs: { ids: 'input_ids', mask: 'attention_mask', types: 'token_type_ids' },
  output: 'last_hidden_state',
  pooling: 'cls',
  padId: 0,
}
const TOKENS_MAX = 512

const referenceFile = z.object({
  texts: z.array(z.object({ text: z.string(), vector: z.array(z.number()) })).min(1),
})

/**
 * The quantizer on bge-small-zh: from the float32 graph behind its published dynamic int8 file. What it gives
 * against the float vectors in reference.json, against a batch, and in time against float32.
 */
export async function benchQuantize(): Promise<Figure[]> {
  const published = shared('models', MODEL, 'model_dynamic_int8.onnx')
  const given = join(ROOT, 'models', MODEL, 'model.onnx')
  const reference = referenceFile.parse(
    JSON.parse(await readFile(shared('models', MODEL, 'reference.json'), 'utf8')),
  )
  const texts = reference.texts.map(({ text }) => text)
  const vectors = reference.texts.map(({ vector }) => Float32Array.from(vector))
  return inTemporary(async (dir) => {
    await writeFile(join(dir, 'float.onnx'), await floatGraph(published))
    const tokenizerDir = join(ROOT, 'models', MODEL)
    const quantizeTo = async (outFile: string, bits: 7 | 8) => {
      const started = performance.now()
      const options = {
        ...WIRING,
        dir,
        onnxFile: 'float.onnx',
        outFile,
        tokenizerDir,
        tokensMax: TOKENS_MAX,
        bits,
      }
      const result = await quantize(options)
      return { result, seconds: (performance.now() - started) / 1_000 }
    }
    const eight = await quantizeTo('int8row.onnx', 8)
    await quantizeTo('int7row.onnx', 7)
    const rows = await rowsOf(tokenizerDir, texts)
    const open = async (path: string): Promise<Runner> => openRunner(await readFile(path), dir, WIRING)
    const float = await open(join(dir, 'float.onnx'))
    const ours = await open(join(dir, 'int8row.onnx'))
    const seven = await open(join(dir, 'int7row.onnx'))
    const before = await open(given)
    try {
      const alone = await eachAlone(ours, rows)
      const [floatFit, fit, sevenFit, givenFit] = [
        agreement(await eachAlone(float, rows), vectors),
        agreement(alone, vectors),
        agreement(await eachAlone(seven, rows), vectors),
        agreement(await eachAlone(before, rows), vectors),
      ]
      const batched = agreement(alone, await mixedBatches(ours, rows))
      const bytes = eight.result.files.reduce((sum, file) => sum + file.bytes, 0)
      return [
        figure(`${MODEL}: quantized, calibration and check included`, eight.seconds, 's'),
        figure(`${MODEL}: size`, bytes / 1e6, 'MB'),
        figure(`${MODEL}: float graph, least cosine to reference.json`, floatFit.least, ''),
        figure(`${MODEL}: int8-row, least cosine`, fit.least, '', '≥ 0.986'),
        figure(`${MODEL}: int8-row, mean cosine`, fit.mean, '', '≥ 0.997'),
        figure(`${MODEL}: the file of the repository, least cosine`, givenFit.least, ''),
        figure(`${MODEL}: the file of the repository, mean cosine`, givenFit.mean, ''),
        figure(`${MODEL}: weights of 7 bits, least cosine`, sevenFit.least, ''),
        figure(`${MODEL}: weights of 7 bits, mean cosine`, sevenFit.mean, ''),
        figure(
          `${MODEL}: least cosine alone and in mixed batches, less 1`,
          batched.least - 1,
          '',
          '≥ -0.00001',
        ),
        ...(await speeds(MODEL, float, ours, WIRING.output)),
      ]
    } finally {
      await Promise.all([float, ours, seven, before].map((runner) => runner.close()))
    }
  })
}

async function rowsOf(dir: string, texts: readonly string[]): Promise<Int32Array[]> {
  const { encode, special } = await openTokenizer(dir)
  const room = TOKENS_MAX - special.before.length - special.after.length
  return (await encode(texts)).map((ids) =>
    Int32Array.from([...special.before, ...ids.subarray(0, room), ...special.after]),
  )
}

async function eachAlone(runner: Runner, rows: readonly Int32Array[]): Promise<Float32Array[]> {
  const vectors: Float32Array[] = []
  for (const row of rows) vectors.push(...(await vectorsOf(runner, [row], WIRING)))
  return vectors
}

/** Texts in the order they have, seven at a time: long ones beside short ones. */
async function mixedBatches(runner: Runner, rows: readonly Int32Array[]): Promise<Float32Array[]> {
  const vectors: Float32Array[] = []
  for (let at = 0; at < rows.length; at += 7) {
    vectors.push(...(await vectorsOf(runner, rows.slice(at, at + 7), WIRING)))
  }
  return vectors
}
