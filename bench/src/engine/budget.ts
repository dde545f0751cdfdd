import { join } from 'node:path'
import { coresAvailable, type Engine, embedAll, openEngine } from '@millrace/embed'
import { type Figure, figure } from '../figure.js'
import { ROOT } from '../place.js'
import { best, race, type Side } from './race.js'
import { MODELS, readXquad } from './texts.js'

const BUDGETS = [256, 512, 1_024, 2_048]
const ROUNDS = 4

/** Padded tokens of a pass, by model and cores: which is best, and what the manifest's costs against it. */
export async function benchBudget(): Promise<Figure[]> {
  const figures: Figure[] = []
  const threadCounts = [...new Set([1, Math.min(2, coresAvailable()), coresAvailable()])]
  for (const [model, language] of MODELS) {
    const texts = await readXquad(language)
    for (const threads of threadCounts) figures.push(...(await measureBudgets(model, texts, threads)))
  }
  return figures
}

async function measureBudgets(model: string, texts: readonly string[], threads: number): Promise<Figure[]> {
  const engines = new Map<number, Engine>()
  try {
    const sides: Record<string, Side> = {}
    for (const budget of BUDGETS) {
      const engine = openEngine({ modelDirs: [join(ROOT, 'models')], threads, batchTokens: budget })
      engines.set(budget, engine)
      sides[budget] = () => embedAll(engine, { model, texts, kind: 'document' })
      await sides[budget]()
    }
    const times = await race(sides, ROUNDS)
    const [engine] = engines.values()
    const tokens = (await engine?.count(model, texts))?.reduce((sum, count) => sum + count, 0) ?? 0
    return BUDGETS.map((budget) =>
      figure(
        `${model}: ${threads} threads, passes of ${budget}`,
        (tokens / best(times[budget] ?? [])) * 1_000,
        'tokens/s',
        engine?.manifest(model).batchTokens === budget ? "the manifest's" : undefined,
      ),
    )
  } finally {
    for (const engine of engines.values()) await engine.close()
  }
}
