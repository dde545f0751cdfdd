import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type Engine, embedAll, openEngine } from '@millrace/embed'
import { type Figure, figure } from '../figure.js'
import { ROOT } from '../place.js'
import { quantile } from './race.js'
import { MODELS, readXquad } from './texts.js'

/** Of the process that holds the engine, and of those who ask it; in milliseconds. */
export interface Latency {
  /** From call to vector, nothing else going on. */
  readonly aloneMs: readonly number[]
  /** The same while the engine has more documents than it can embed. */
  readonly loadedMs: readonly number[]
  readonly lagP99Ms: number
  readonly lagMaxMs: number
}

const QUERIES = 80
const NS_PER_MS = 1e6

/** Queries one after another, first alone, then beside bulk work that never ends before they do. */
export async function measureLatency(
  engine: Engine,
  model: string,
  documents: readonly string[],
  queries: readonly string[],
): Promise<Latency> {
  await engine.load(model)
  const ask = async (): Promise<number[]> => {
    const times: number[] = []
    for (let i = 0; i < QUERIES; i++) {
      const started = performance.now()
      await embedAll(engine, { model, texts: [queries[i % queries.length] ?? ''], kind: 'query' })
      times.push(performance.now() - started)
    }
    return times
  }
  await ask() // warm
  const aloneMs = await ask()
  let isDone = false
  const bulk = (async () => {
    while (!isDone) await embedAll(engine, { model, texts: documents, kind: 'document', priority: 'bulk' })
  })()
  const lag = monitorEventLoopDelay({ resolution: 1 })
  lag.enable()
  const loadedMs = await ask()
  lag.disable()
  isDone = true
  await bulk
  return {
    aloneMs,
    loadedMs,
    lagP99Ms: lag.percentile(99) / NS_PER_MS,
    lagMaxMs: lag.max / NS_PER_MS,
  }
}

export function latencyFigures(name: string, { aloneMs, loadedMs, lagP99Ms, lagMaxMs }: Latency): Figure[] {
  return [
    figure(`${name}: query alone, p50`, quantile(aloneMs, 0.5), 'ms'),
    figure(`${name}: query alone, p95`, quantile(aloneMs, 0.95), 'ms'),
    figure(`${name}: query under bulk load, p50`, quantile(loadedMs, 0.5), 'ms'),
    figure(`${name}: query under bulk load, p95`, quantile(loadedMs, 0.95), 'ms'),
    figure(`${name}: event-loop lag, engine saturated, p99`, lagP99Ms, 'ms', '≤ 20'),
    figure(`${name}: event-loop lag, engine saturated, largest`, lagMaxMs, 'ms'),
  ]
}

export async function benchLatency(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const [model, language] of MODELS) {
    const engine = openEngine({ modelDirs: [join(ROOT, 'models')] })
    try {
      const latency = await measureLatency(
        engine,
        model,
        await readXquad(language, 120, 0),
        await readXquad(language, 0, QUERIES),
      )
      figures.push(...latencyFigures(model, latency))
    } finally {
      await engine.close()
    }
  }
  return figures
}
