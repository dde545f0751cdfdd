import { setTimeout as sleep } from 'node:timers/promises'
import type { Engine, SparseVector } from '@millrace/embed'
import { openBackends, openLog, readSettings, runProgram, startEngine } from '@millrace/flow'
import { startWorker } from '@millrace/worker'

/** Texts of a batch of the model that only sleeps. */
const BATCH = 16
/** Vectors to give away; which text gets which makes no difference to what is measured. */
const VECTORS = 257

/** The engine with its tokenizers and manifests, and no model: vectors at once, or after `sleepMs` a batch. */
function nullEngine(engine: Engine, sleepMs: number): Engine {
  const vectors = new Map<number, Float32Array[]>()
  const of = (dims: number): Float32Array[] => {
    let made = vectors.get(dims)
    if (made === undefined) {
      made = Array.from({ length: VECTORS }, (_, seed) => unit(dims, seed + 1))
      vectors.set(dims, made)
    }
    return made
  }
  const terms = Array.from({ length: VECTORS }, (_, seed) => someTerms(seed))
  // A model does one batch after the other, whoever asks.
  let line: Promise<unknown> = Promise.resolve()
  const pause = (batches: number): Promise<unknown> => {
    line = line.then(async () => {
      for (let i = 0; i < batches; i++) await sleep(sleepMs)
    })
    return line
  }
  return {
    ...engine,
    load: async (id) => engine.manifest(id),
    embed: async ({ model, texts, outputs }) => {
      if (sleepMs > 0) await pause(Math.ceil(texts.length / BATCH))
      const made = of(engine.manifest(model).dims)
      return texts.map((_, i) => ({
        vector: made[i % VECTORS] ?? new Float32Array(),
        tokens: 0,
        windows: 1,
        truncated: false,
        ...(outputs?.includes('terms') ? { terms: terms[i % VECTORS] ?? NO_TERMS } : {}),
      }))
    },
  }
}

const NO_TERMS: SparseVector = { ids: new Int32Array(), weights: new Float32Array() }
/** Different tokens of a paragraph of 50. */
const TERMS = 40

function someTerms(seed: number): SparseVector {
  const ids = Int32Array.from({ length: TERMS }, (_, i) => 700 * i + ((seed * (i + 1)) % 700))
  return { ids, weights: new Float32Array(TERMS).fill(1) }
}

function unit(dims: number, seed: number): Float32Array {
  const values = Float32Array.from({ length: dims }, (_, i) => Math.sin(seed * 12.9898 + i * 78.233))
  const norm = Math.hypot(...values)
  return values.map((value) => value / norm)
}

await runProgram(async () => {
  const settings = readSettings(process.env)
  const log = openLog(settings.logLevel, 'worker')
  const backends = await openBackends(settings, log)
  const engine = nullEngine(await startEngine(settings, log), Number(process.env.NULL_SLEEP_MS ?? 0))
  const worker = await startWorker({ ...backends, engine, log }, settings)
  log.info({ slots: settings.slots }, 'the worker is up')
  return async () => {
    await worker.drain(settings.drainSeconds)
    await engine.close()
    await backends.close()
  }
})
