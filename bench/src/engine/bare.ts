import { join } from 'node:path'
import {
  coresAvailable,
  embedAll,
  type LocalManifest,
  normalize,
  openEngine,
  openTokenizer,
} from '@millrace/embed'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { type Figure, figure } from '../figure.js'
import { ROOT } from '../place.js'
import { best, race, type Side } from './race.js'
import { MODELS, readXquad } from './texts.js'

export interface BareBench {
  readonly texts: number
  readonly threads: number
  /** Text in, vectors out; special tokens included. */
  readonly engineTokensPerSecond: number
  /** Padded tokens over tokens. */
  readonly enginePadding: number
  /** Of the best budget. */
  readonly bareTokensPerSecond: number
  /** Padded tokens a batch of that budget. */
  readonly bareBudget: number
  readonly ratio: number
}

const BUDGETS = [512, 1_024, 2_048]
const ROUNDS = 4

/**
 * The engine against a bare loop over onnxruntime-node with its default options: both get texts and give unit
 * vectors, with the same tokenizer, model, threads, and texts no longer than one window.
 */
export async function measureBare(model: string, all: readonly string[]): Promise<BareBench> {
  const threads = coresAvailable()
  const engine = openEngine({ modelDirs: [join(ROOT, 'models')], threads })
  try {
    const manifest = await engine.load(model)
    if (manifest.remote !== undefined) throw new TypeError(`${model} has no graph to compare with`)
    const counts = await engine.count(model, all)
    const texts = all.filter((_, i) => (counts[i] ?? 0) <= manifest.tokensMax)
    const tokens = counts
      .filter((count) => count <= manifest.tokensMax)
      .reduce((sum, count) => sum + count, 0)
    const bare = await openBare(engine.dir(model), manifest, threads)
    const sides: Record<string, Side> = {
      engine: () => embedAll(engine, { model, texts, kind: 'document' }),
    }
    for (const budget of BUDGETS) sides[budget] = () => bare.embed(texts, budget)
    const before = engine.stats()
    const times = await race(sides, ROUNDS)
    const after = engine.stats()
    await bare.close()
    const perBudget = BUDGETS.map((budget) => best(times[budget] ?? []))
    const [bareMs, engineMs] = [Math.min(...perBudget), best(times.engine ?? [])]
    return {
      texts: texts.length,
      threads,
      engineTokensPerSecond: (tokens / engineMs) * 1_000,
      enginePadding: (after.paddedTokens - before.paddedTokens) / (after.tokens - before.tokens),
      bareTokensPerSecond: (tokens / bareMs) * 1_000,
      bareBudget: BUDGETS[perBudget.indexOf(bareMs)] ?? 0,
      ratio: bareMs / engineMs,
    }
  } finally {
    await engine.close()
  }
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

/** Both models on texts in their language. */
export async function benchBare(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const [model, language] of MODELS) {
    const bench = await measureBare(model, await readXquad(language))
    figures.push(
      figure(
        `${model}: engine, ${bench.texts} texts, ${bench.threads} threads`,
        bench.engineTokensPerSecond,
        'tokens/s',
      ),
      figure(`${model}: bare loop at ${bench.bareBudget}`, bench.bareTokensPerSecond, 'tokens/s'),
      figure(`${model}: engine over bare loop`, bench.ratio, 'x', '≥ 0.95'),
      figure(`${model}: padded tokens over tokens`, bench.enginePadding, 'x'),
    )
  }
  return figures
}
