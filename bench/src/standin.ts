import { copyFile, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { externalOf, readModel } from '@millrace/embed/onnx'
import { quantize } from '@millrace/models'
import { openRunner, type Wiring } from '@millrace/models/quantize/session'
import { type Figure, figure } from './figure.js'
import { shared } from './place.js'
import { speeds } from './speed.js'
import { inTemporary } from './temporary.js'

const MODEL = 'bge-m3'
const WIRING: Wiring = {
  inputs: { ids: 'input_ids', mask: 'attention_mask', types: null },
  output: 'token_embeddings',
  pooling: 'cls',
  padId: 1,
}

/**
 * The quantizer on bge-m3's own graph with random weights in place of its 2.27 GB: time, memory, size and speed are
 * those of the real one, vectors mean nothing. Takes minutes, 3 GB of disk and as much memory.
 */
export async function benchQuantizeLarge(): Promise<Figure[]> {
  const source = shared('models', MODEL, 'onnx', 'model.onnx')
  return inTemporary(async (dir) => {
    await copyFile(source, join(dir, 'model.onnx'))
    await writeRandomWeights(dir)
    const peaks = { calibrate: 0, quantize: 0, verify: 0 }
    let before = 0
    const ended = { calibrate: 0, quantize: 0, verify: 0 }
    const started = performance.now()
    const { files, groups, matmuls } = await quantize({
      ...WIRING,
      dir,
      onnxFile: 'model.onnx',
      outFile: 'int8row.onnx',
      tokenizerDir: shared('models', MODEL),
      tokensMax: 8_192,
      onProgress: ({ stage }) => {
        const resident = process.memoryUsage.rss()
        if (stage === 'quantize' && before === 0) before = resident
        peaks[stage] = Math.max(peaks[stage], resident)
        ended[stage] = performance.now()
      },
    })
    const seconds = (performance.now() - started) / 1_000
    const open = async (name: string) => openRunner(await readFile(join(dir, name)), dir, WIRING)
    const float = await open('model.onnx')
    const integer = await open('int8row.onnx')
    try {
      return [
        figure(`${MODEL}, random weights: quantized, calibration and check included`, seconds, 's'),
        figure(
          `${MODEL}: of which tensors, ${matmuls} products`,
          (ended.quantize - ended.calibrate) / 1_000,
          's',
        ),
        figure(`${MODEL}: quantizations of rows a pass`, groups, ''),
        figure(`${MODEL}: size`, files.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6, 'MB'),
        figure(`${MODEL}: peak memory, calibrating`, peaks.calibrate / 1e6, 'MB'),
        figure(`${MODEL}: memory growth, quantizing`, (peaks.quantize - before) / 1e6, 'MB'),
        ...(await speeds(MODEL, float, integer, WIRING.output, 3)),
      ]
    } finally {
      await float.close()
      await integer.close()
    }
  })
}

const PIECE = 1 << 22

/** Sums of three uniform numbers, of a standard deviation of 0.02, as weights of encoders begin; the same every time. */
async function writeRandomWeights(dir: string): Promise<void> {
  const { graph } = await readModel(join(dir, 'model.onnx'))
  const placed = graph.initializer.map(externalOf).filter((external) => external !== undefined)
  const [first] = placed
  if (first === undefined) throw new TypeError('the graph has no external data')
  const total = Math.max(...placed.map(({ offset, length }) => offset + length))
  let state = 1
  // Numerical Recipes' linear congruential generator: good enough for weights that mean nothing.
  const uniform = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  const values = new Float32Array(PIECE)
  const file = await open(join(dir, first.location), 'wx')
  try {
    for (let at = 0; at < total; at += values.byteLength) {
      for (let i = 0; i < PIECE; i++) values[i] = (uniform() + uniform() + uniform() - 1.5) * 0.04
      await file.writeFile(new Uint8Array(values.buffer, 0, Math.min(values.byteLength, total - at)))
    }
  } finally {
    await file.close()
  }
}
