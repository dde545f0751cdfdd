import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dot, type Engine, embedAll, openEngine } from '@millrace/embed'
import { z } from 'zod'
import { type Figure, figure } from '../figure.js'
import { ROOT, shared } from '../place.js'
import { readSts } from '../sts.js'
import { mean, spearman } from './spearman.js'
import { type Language, MODELS } from './texts.js'

/** Vectors of the original float32 model. */
const reference = z.object({ texts: z.array(z.object({ text: z.string(), vector: z.array(z.number()) })) })

/** What the default models give, against their references and against people's judgement. */
const AIMS: Readonly<Record<string, { least: string; mean: string; spearman: string }>> = {
  'all-minilm-l6-v2': { least: '≥ 0.994', mean: '≥ 0.997', spearman: '0.8665' },
  'bge-small-zh-v1.5': { least: '≥ 0.985', mean: '≥ 0.996', spearman: '0.820' },
}

export async function benchReference(): Promise<Figure[]> {
  const engine = openEngine({ modelDirs: [join(ROOT, 'models')] })
  try {
    const figures: Figure[] = []
    for (const [model, language] of MODELS) {
      const cosines = await cosinesOf(engine, model)
      const aim = AIMS[model]
      figures.push(
        figure(`${model}: cosine to its reference, least`, Math.min(...cosines), '', aim?.least),
        figure(`${model}: cosine to its reference, mean`, mean(cosines), '', aim?.mean),
        figure(`${model}: STS-B dev, Spearman`, await stsOf(engine, model, language), '', aim?.spearman),
      )
    }
    return figures
  } finally {
    await engine.close()
  }
}

async function cosinesOf(engine: Engine, model: string): Promise<number[]> {
  const file = await readFile(shared('models', model, 'reference.json'), 'utf8')
  const { texts } = reference.parse(JSON.parse(file))
  const all = texts.map(({ text }) => text)
  const embedded = await embedAll(engine, { model, texts: all, kind: 'document' })
  return embedded.map(({ vector }, i) => dot(vector, Float32Array.from(texts[i]?.vector ?? [])))
}

async function stsOf(engine: Engine, model: string, language: Language): Promise<number> {
  const pairs = await readSts(language)
  const texts = pairs.flatMap(({ a, b }) => [a, b])
  const embedded = await embedAll(engine, { model, texts, kind: 'document' })
  const vector = (i: number) => embedded[i]?.vector ?? new Float32Array()
  return spearman(
    pairs.map((_, i) => dot(vector(2 * i), vector(2 * i + 1))),
    pairs.map(({ score }) => score),
  )
}
