import { join } from 'node:path'
import { coresAvailable, dot, type Engine, embedAll, type LocalManifest, openEngine } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { type Figure, figure } from '../figure.js'
import { toHub } from '../hub.js'
import { ROOT } from '../place.js'
import { importRival } from '../rivals.js'
import { withDynamic } from './dynamic.js'
import { inFolder } from './folder.js'
import { best, type Lap, race } from './race.js'
import { type Language, MODELS, readMixed } from './texts.js'

const BATCH = 32
/** The slowest side, by far. */
const BATCH_ROUNDS = 2
const ROUNDS = 4
/** Their sum is the threads of the other sides. */
const SESSIONS = coresAvailable()
const COSINE_LEAST = 0.999

/** The engine against transformers.js: same texts, same model file, same threads, onnxruntime-node below both. */
export async function benchTransformers(): Promise<Figure[]> {
  return inFolder(async (folder) => {
    const modelDirs = [await withDynamic(join(folder, 'models')), join(ROOT, 'models')]
    const engine = openEngine({ modelDirs })
    const spread = openEngine({ modelDirs, sessions: SESSIONS })
    try {
      const figures: Figure[] = []
      for (const [model, language] of [...MODELS, ['bge-small-zh-v1.5@int8-dynamic', 'zh'] as const]) {
        figures.push(...(await against(engine, spread, model, language, join(folder, 'hub'))))
      }
      return figures
    } finally {
      await engine.close()
      await spread.close()
    }
  })
}

async function against(
  engine: Engine,
  spread: Engine,
  model: string,
  language: Language,
  hub: string,
): Promise<Figure[]> {
  const manifest = await engine.load(model)
  if (manifest.remote !== undefined) throw new TypeError(`${model} has no graph to compare with`)
  const mixed = await readMixed(language)
  const counts = await engine.count(model, mixed)
  // transformers.js cuts what is longer than the model takes.
  const texts = mixed.filter((_, i) => (counts[i] ?? 0) <= manifest.tokensMax)
  const tokens = counts.filter((count) => count <= manifest.tokensMax).reduce((sum, count) => sum + count, 0)
  const theirs = await openTheirs(engine.dir(model), manifest, hub)
  try {
    await checkSameWork(engine, model, texts, theirs, tokens, manifest.batchInvariant)
    const ours = {
      engine: () => embedAll(engine, { model, texts, kind: 'document' }),
      spread: () => embedAll(spread, { model, texts, kind: 'document' }),
      single: async () => {
        for (const text of texts) await embedAll(engine, { model, texts: [text], kind: 'document' })
      },
    }
    await ours.spread() // loads it
    const times = await race({ ...ours, theirs: () => theirs.embed(texts, 1) }, ROUNDS)
    const batched = await race(
      { engine: ours.engine, theirs: () => theirs.embed(texts, BATCH) },
      BATCH_ROUNDS,
    )
    const perSecond = (laps: readonly Lap[]) => (tokens / best(laps)) * 1_000
    const over = (laps: readonly Lap[], ours: readonly Lap[]) => best(laps) / best(ours)
    const name = manifest.id
    const sessions = `${SESSIONS} sessions of one thread`
    return [
      figure(`${name}: engine, ${texts.length} texts, ${tokens} tokens`, perSecond(times.engine), 'tokens/s'),
      figure(`${name}: engine, ${sessions}`, perSecond(times.spread), 'tokens/s'),
      figure(`${name}: engine, one text at a time`, perSecond(times.single), 'tokens/s'),
      figure(`${name}: transformers.js, one text at a time`, perSecond(times.theirs), 'tokens/s'),
      figure(`${name}: transformers.js, batches of ${BATCH}`, perSecond(batched.theirs), 'tokens/s'),
      figure(`${name}: engine over its best`, over(times.theirs, times.engine), 'x', '≥ 1.6'),
      figure(`${name}: ${sessions} over its best`, over(times.theirs, times.spread), 'x', '≥ 1.6'),
      figure(`${name}: both one at a time`, over(times.theirs, times.single), 'x'),
      figure(
        `${name}: engine over its batches of ${BATCH}`,
        over(batched.theirs, batched.engine),
        'x',
        '≥ 8',
      ),
    ]
  } finally {
    await theirs.close()
  }
}

/** What is used of transformers.js, which is no dependency of this package. */
interface Transformers {
  readonly env: { allowRemoteModels: boolean; localModelPath: string }
  pipeline(task: 'feature-extraction', model: string, options: object): Promise<Extractor>
}

interface Extractor {
  (texts: string[], options: object): Promise<{ readonly data: Float32Array }>
  tokenizer(text: string, options: object): { readonly input_ids: { readonly dims: readonly number[] } }
  dispose(): Promise<unknown>
}

interface Theirs {
  embed(texts: readonly string[], batch: number): Promise<Float32Array[]>
  countTokens(texts: readonly string[]): number
  close(): Promise<void>
}

/** transformers.js on the same files, in the folder layout it wants. */
async function openTheirs(dir: string, manifest: LocalManifest, hub: string): Promise<Theirs> {
  const { dims, pooling } = manifest
  if (pooling !== 'cls' && pooling !== 'mean')
    throw new TypeError(`transformers.js has no pooling ${pooling}`)
  const name = await toHub(dir, manifest, hub)
  const { env, pipeline } = await importRival<Transformers>('transformers.mjs')
  env.allowRemoteModels = false
  env.localModelPath = hub
  const extract = await pipeline('feature-extraction', name, {
    dtype: 'fp32', // the file as it is
    session_options: { intraOpNumThreads: coresAvailable() },
  })
  return {
    embed: async (texts, batch) => {
      const vectors: Float32Array[] = []
      for (let from = 0; from < texts.length; from += batch) {
        const { data } = await extract(texts.slice(from, from + batch), { pooling, normalize: true })
        const values = Float32Array.from(data)
        for (let at = 0; at < values.length; at += dims) vectors.push(values.subarray(at, at + dims))
      }
      return vectors
    },
    countTokens: (texts) =>
      texts.reduce(
        (sum, text) => sum + (extract.tokenizer(text, { truncation: true }).input_ids.dims.at(-1) ?? 0),
        0,
      ),
    close: async () => {
      await extract.dispose()
    },
  }
}

/** As many tokens, and, where a vector depends on its text alone, the same vectors. */
async function checkSameWork(
  engine: Engine,
  model: string,
  texts: readonly string[],
  theirs: Theirs,
  tokens: number,
  isInvariant: boolean,
): Promise<void> {
  const theirTokens = theirs.countTokens(texts)
  const [one, embedded] = [await theirs.embed(texts, 1), [] as Float32Array[]]
  // One at a time on both sides: a dynamic variant gives other vectors in a batch.
  for (const some of isInvariant ? [texts] : texts.map((text) => [text])) {
    for (const { vector } of await embedAll(engine, { model, texts: some, kind: 'document' }))
      embedded.push(vector)
  }
  const cosine = Math.min(...embedded.map((vector, i) => dot(vector, one[i] ?? new Float32Array())))
  if (theirTokens === tokens && cosine >= COSINE_LEAST) return
  throw new CodedError(
    'INTERNAL',
    `The sides do not do the same work: ${tokens} and ${theirTokens} tokens, cosine down to ${cosine}`,
  )
}
