import { readFile } from 'node:fs/promises'
import { dot, embedAll, openEngine } from '@millrace/embed'
import { afterAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { BGE_ZH, MINILM, MODELS_DIR, sharedFile } from './models.js'

const reference = z.object({
  texts: z.array(z.object({ text: z.string(), vector: z.array(z.number()) })).min(1),
})

const engine = openEngine({ modelDirs: [MODELS_DIR] })
afterAll(() => engine.close())

describe('the vectors of the original float32 model', () => {
  for (const [model, least, mean] of [
    [MINILM, 0.994, 0.997],
    [BGE_ZH, 0.985, 0.996],
  ] as const) {
    const file = sharedFile(`models/${model}/reference.json`, `the reference vectors of ${model}`)
    test.skipIf(file === undefined)(`${model}: cosine at least ${least}, ${mean} on average`, async () => {
      const { texts } = reference.parse(JSON.parse(await readFile(file ?? '', 'utf8')))
      const embedded = await embedAll(engine, {
        model,
        texts: texts.map(({ text }) => text),
        kind: 'document',
      })
      const cosines = texts.map(({ vector }, i) =>
        dot(Float32Array.from(vector), embedded[i]?.vector ?? new Float32Array(vector.length)),
      )
      expect(Math.min(...cosines)).toBeGreaterThanOrEqual(least)
      expect(cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length).toBeGreaterThanOrEqual(mean)
    })
  }
})
