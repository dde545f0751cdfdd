import { join } from 'node:path'
import { embedAll, type Isolation, openEngine } from '@millrace/embed'
import { type Figure, figure } from '../figure.js'
import { ROOT } from '../place.js'
import { latencyFigures, measureLatency } from './latency.js'
import { best, race } from './race.js'
import { readXquad } from './texts.js'

const MODEL = 'all-minilm-l6-v2'
const ROUNDS = 5

/** A process of its own for the models, against a thread. */
export async function benchIsolation(): Promise<Figure[]> {
  const open = (isolation: Isolation) => openEngine({ modelDirs: [join(ROOT, 'models')], isolation })
  const engines = { process: open('process'), thread: open('thread') }
  try {
    const texts = await readXquad('en')
    const embed = (isolation: Isolation) => () =>
      embedAll(engines[isolation], { model: MODEL, texts, kind: 'document' })
    await embed('process')()
    await embed('thread')()
    const times = await race({ process: embed('process'), thread: embed('thread') }, ROUNDS)
    const tokens = (await engines.process.count(MODEL, texts)).reduce((sum, count) => sum + count, 0)
    const perSecond = (isolation: Isolation) => (tokens / best(times[isolation])) * 1_000
    const figures = [
      figure('process: tokens a second', perSecond('process'), 'tokens/s'),
      figure('thread: tokens a second', perSecond('thread'), 'tokens/s'),
      figure('process over thread', perSecond('process') / perSecond('thread'), 'x'),
    ]
    const documents = await readXquad('en', 120, 0)
    const queries = await readXquad('en', 0)
    for (const isolation of ['process', 'thread'] as const) {
      const latency = await measureLatency(engines[isolation], MODEL, documents, queries)
      figures.push(...latencyFigures(isolation, latency))
    }
    return figures
  } finally {
    await Promise.all(Object.values(engines).map((engine) => engine.close()))
  }
}
