import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import {
  coresAvailable,
  embedAll,
  type LocalManifest,
  normalize,
  openEngine,
  openTokenizer,
} from '@millrace/embed'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { type Figure, figure } from './figure.js'
import { ROOT, shared } from './place.js'

export interface EngineBenchOptions {
  readonly modelDirs: readonly string[]
  readonly model: string
  readonly texts: readonly string[]
  /** Cores of a pass, for both sides. Default: those this process may use. */
  readonly threads?: number
  /** Each side runs this often, in turns; the best run counts. Default 3. */
  readonly rounds?: number
}

export interface EngineBench {
  readonly texts: number
  /** Special tokens included. */
  readonly tokens: number
  readonly threads: number
  /** Text in, vectors out. */
  readonly engineTokensPerSecond: number
  /** Padded tokens over tokens. */
  readonly enginePadding: number
  /** Of the best budget. */
  readonly bareTokensPerSecond: number
  /** Padded tokens a batch of that budget. */
  readonly bareBudget: number
  readonly ratio: number
  /** Of the process that holds the engine, while it is saturated; of the worst round. */
  readonly lagMs: { readonly p50: number; readonly p99: number; readonly max: number }
}

const BUDGETS = [512, 1_024, 2_048]
const NS_PER_MS = 1e6

/**
 * The engine against a bare loop over onnxruntime-node with its default options: both get texts and give unit
 * vectors, with the same tokenizer, model, threads, and texts no longer than one window. They run in turns, so that what else the
 * machine does hits both.
 */
export async function measureEngine(options: EngineBenchOptions): Promise<EngineBench> {
  const { modelDirs, model, threads = coresAvailable(), rounds = 3 } = options
  const engine = openEngine({ modelDirs, threads })
  try {
    const manifest = await engine.load(model)
    if (manifest.remote !== undefined) throw new TypeError(`${model} has no graph to compare with`)
    const counts = await engine.count(model, options.texts)
    const texts = options.texts.filter((_, i) => (counts[i] ?? 0) <= manifest.tokensMax)
    const tokens = counts
      .filter((count) => count <= manifest.tokensMax)
      .reduce((sum, count) => sum + count, 0)
    const bare = await openBare(engine.dir(model), manifest, threads)
    const best = { engine: Number.POSITIVE_INFINITY, bare: Number.POSITIVE_INFINITY, budget: 0 }
    const lagMs = { p50: 0, p99: 0, max: 0 }
    const before = engine.stats()
    for (let round = 0; round < rounds; round++) {
      // A new one each round: one that was paused would take the blocking bare loop for lag.
      const lag = monitorEventLoopDelay({ resolution: 1 })
      lag.enable()
      best.engine = Math.min(
        best.engine,
        await timed(() => embedAll(engine, { model, texts, kind: 'document' })),
      )
      lag.disable()
      lagMs.p50 = Math.max(lagMs.p50, lag.percentile(50) / NS_PER_MS)
      lagMs.p99 = Math.max(lagMs.p99, lag.percentile(99) / NS_PER_MS)
      lagMs.max = Math.max(lagMs.max, lag.max / NS_PER_MS)
      for (const budget of BUDGETS) {
        const ms = await timed(() => bare.embed(texts, budget))
        if (ms < best.bare) Object.assign(best, { bare: ms, budget })
      }
    }
    const after = engine.stats()
    await bare.close()
    return {
      texts: texts.length,
      tokens,
      threads,
      engineTokensPerSecond: (tokens / best.engine) * 1_000,
      enginePadding: (after.paddedTokens - before.paddedTokens) / (after.tokens - before.tokens),
      bareTokensPerSecond: (tokens / best.bare) * 1_000,
      bareBudget: best.budget,
      ratio: best.bare / best.engine,
      lagMs,
    }
  } finally {
    await engine.close()
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

/** The least there is to it: tokenize, sort by length, run, pool, normalize. */
async function openBare(dir: string, manifest: LocalManifest, threads: number) {
  const tokenizer = await openTokenizer(dir)
  const session = await InferenceSession.create(join(dir, manifest.onnx.file), { intraOpNumThreads: threads })
  const { before, after } = tokenizer.special
  return {
    close: () => session.release(),
    embed: async (texts: readonly string[], budget: number): Promise<Float32Array[]> => {
      const ids = await tokenizer.encode(texts)
      const rows = ids.map((inner) => [...before, ...inner, ...after])
      const order = rows.map((_, i) => i).sort((a, b) => (rows[b]?.length ?? 0) - (rows[a]?.length ?? 0))
      const vectors: Float32Array[] = []
      for (let from = 0; from < order.length; ) {
        const longest = rows[order[from] ?? -1]?.length ?? 0
        const to = Math.min(order.length, from + Math.max(1, Math.floor(budget / longest)))
        const batch = order.slice(from, to)
        const outcome = await runBare(
          session,
          manifest,
          batch.map((i) => rows[i] ?? []),
          longest,
        )
        for (const [i, vector] of outcome.entries()) vectors[batch[i] ?? -1] = vector
        from = to
      }
      return vectors
    },
  }
}

async function runBare(
  session: InferenceSession,
  { dims, onnx, pooling }: LocalManifest,
  rows: readonly number[][],
  longest: number,
): Promise<Float32Array[]> {
  const shape = [rows.length, longest]
  const tensor = (value: (row: readonly number[], at: number) => number) =>
    new Tensor(
      'int64',
      BigInt64Array.from(
        rows.flatMap((row) => Array.from({ length: longest }, (_, at) => BigInt(value(row, at)))),
      ),
      shape,
    )
  const outputs = await session.run({
    [onnx.inputs.ids]: tensor((row, at) => row[at] ?? 0),
    [onnx.inputs.mask]: tensor((row, at) => (at < row.length ? 1 : 0)),
    ...(onnx.inputs.types === null ? {} : { [onnx.inputs.types]: tensor(() => 0) }),
  })
  const values = outputs[onnx.output]?.data
  if (!(values instanceof Float32Array)) throw new TypeError(`${onnx.output} is not float32`)
  return rows.map((row, i) => {
    const vector = values.slice(i * longest * dims, i * longest * dims + dims)
    for (let token = 1; pooling === 'mean' && token < row.length; token++) {
      const at = (i * longest + token) * dims
      for (let d = 0; d < dims; d++) vector[d] = (vector[d] ?? 0) + (values[at + d] ?? 0)
    }
    return normalize(vector)
  })
}

/** 60 paragraphs and 240 questions of xquad: short texts and long ones. */
export async function readXquad(language: 'en' | 'zh'): Promise<string[]> {
  const read = async (name: string) =>
    (await readFile(shared('eval', 'retrieval', `xquad-a-${language}`, name), 'utf8'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line): string => JSON.parse(line).text)
  return [...(await read('corpus.jsonl')).slice(0, 60), ...(await read('queries.jsonl')).slice(0, 240)]
}

/** Both models on texts in their language. */
export async function benchEngine(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const [model, language] of [
    ['all-minilm-l6-v2', 'en'],
    ['bge-small-zh-v1.5', 'zh'],
  ] as const) {
    const texts = await readXquad(language)
    const bench = await measureEngine({ modelDirs: [join(ROOT, 'models')], model, texts })
    figures.push(
      figure(
        `${model}: engine, ${bench.texts} texts, ${bench.threads} threads`,
        bench.engineTokensPerSecond,
        'tokens/s',
      ),
      figure(`${model}: bare loop at ${bench.bareBudget}`, bench.bareTokensPerSecond, 'tokens/s'),
      figure(`${model}: engine over bare loop`, bench.ratio, 'x', '≥ 0.95'),
      figure(`${model}: padded tokens over tokens`, bench.enginePadding, 'x'),
      figure(`${model}: event-loop lag, p99`, bench.lagMs.p99, 'ms', '≤ 20'),
      figure(`${model}: event-loop lag, largest`, bench.lagMs.max, 'ms'),
    )
  }
  return figures
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.table(await benchEngine())
