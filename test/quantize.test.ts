import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { floatGraph } from '@millrace/bench/float'
import { openTokenizer } from '@millrace/embed'
import { quantize } from '@millrace/models'
import { openRunner, vectorsOf, type Wiring } from '@millrace/models/quantize/session'
import { agreement } from '@millrace/models/quantize/verify'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { sharedFile } from '../packages/models/test/shared.js'

const MODEL_DIR = fileURLToPath(new URL('../models/bge-small-zh-v1.5/', import.meta.url))
const WIRING: Wiring = {
  inputs: { ids: 'input_ids', mask: 'attention_mask', types: 'token_type_ids' },
  output: 'last_hidden_state',
  pooling: 'cls',
  padId: 0,
}
const referenceFile = z.object({
  texts: z.array(z.object({ text: z.string(), vector: z.array(z.number()) })).min(1),
})

const published = sharedFile(
  'models/bge-small-zh-v1.5/model_dynamic_int8.onnx',
  'the quantizer on bge-small-zh',
)
const reference = sharedFile('models/bge-small-zh-v1.5/reference.json', 'the quantizer on bge-small-zh')

test.skipIf(published === undefined || reference === undefined)(
  'bge-small-zh quantized by us is no worse than the file in the repository: .986 at least, .997 on average',
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'quantize-zh-'))
    await writeFile(join(dir, 'float.onnx'), await floatGraph(published ?? ''))
    const options = { ...WIRING, dir, onnxFile: 'float.onnx', outFile: 'int8row.onnx', tokensMax: 512 }
    const result = await quantize({ ...options, tokenizerDir: MODEL_DIR })
    expect(result).toMatchObject({ matmuls: 24, groups: 16 })
    const { texts } = referenceFile.parse(JSON.parse(await readFile(reference ?? '', 'utf8')))
    const { encode, special } = await openTokenizer(MODEL_DIR)
    const rows = (await encode(texts.map(({ text }) => text))).map((ids) =>
      Int32Array.from([...special.before, ...ids.subarray(0, 510), ...special.after]),
    )
    const runner = await openRunner(await readFile(join(dir, 'int8row.onnx')), dir, WIRING)
    const vectors: Float32Array[] = []
    for (const row of rows) vectors.push(...(await vectorsOf(runner, [row], WIRING)))
    const together = await vectorsOf(runner, rows, WIRING)
    await runner.close()
    const { least, mean } = agreement(
      vectors,
      texts.map(({ vector }) => Float32Array.from(vector)),
    )
    expect(least).toBeGreaterThanOrEqual(0.986)
    expect(mean).toBeGreaterThanOrEqual(0.997)
    expect(agreement(vectors, together).least).toBeGreaterThanOrEqual(0.99999)
    await rm(dir, { recursive: true })
  },
  180_000,
)
