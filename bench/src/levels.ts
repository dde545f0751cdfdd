import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { dot, type Engine, embedAll, type Level, levelOf, openEngine } from '@millrace/embed'
import { type Figure, figure } from './figure.js'
import { ROOT, shared } from './place.js'
import { readSts } from './sts.js'

/** Similarities of one kind of pairs. */
export interface Scale {
  readonly kind: string
  readonly pairs: number
  readonly mean: number
  /** Quantiles. */
  readonly p5: number
  readonly p25: number
  readonly p50: number
  readonly p75: number
  readonly p95: number
  /** Share of the pairs on each level, by its key. */
  readonly shares: Readonly<Record<string, number>>
}

type Pair = readonly [string, string]
type Language = 'en' | 'zh'

/** The scales that a model's levels are read from, and the shares that those in its manifest give. */
export async function measureLevels(engine: Engine, model: string, language: Language): Promise<Scale[]> {
  const { levels } = engine.manifest(model)
  const kinds: Record<string, readonly Pair[]> = {
    ...(await readStsPairs(language)),
    ...(await readXquadPairs(language)),
  }
  const scales: Scale[] = []
  for (const [kind, pairs] of Object.entries(kinds)) {
    const similarities = await similaritiesOf(engine, model, pairs)
    scales.push(scaleOf(kind, similarities, levels))
  }
  return scales
}

async function similaritiesOf(engine: Engine, model: string, pairs: readonly Pair[]): Promise<number[]> {
  const texts = [...new Set(pairs.flat())]
  const embedded = await embedAll(engine, { model, texts, kind: 'document' })
  const vectors = new Map(texts.map((text, i) => [text, embedded[i]?.vector ?? new Float32Array()]))
  const vector = (text: string) => vectors.get(text) ?? new Float32Array()
  return pairs.map(([a, b]) => dot(vector(a), vector(b)))
}

function scaleOf(kind: string, similarities: readonly number[], levels: readonly Level[]): Scale {
  const sorted = similarities.toSorted((a, b) => a - b)
  const quantile = (share: number) =>
    rounded(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))])
  const shareOf = (key: string) =>
    sorted.filter((similarity) => levelOf(levels, similarity).key === key).length / sorted.length
  return {
    kind,
    pairs: sorted.length,
    mean: rounded(sorted.reduce((sum, similarity) => sum + similarity, 0) / sorted.length),
    p5: quantile(0.05),
    p25: quantile(0.25),
    p50: quantile(0.5),
    p75: quantile(0.75),
    p95: quantile(0.95),
    shares: Object.fromEntries(levels.map(({ key }) => [key, rounded(shareOf(key))])),
  }
}

const rounded = (value = Number.NaN): number => Math.round(value * 1_000) / 1_000

/** STS-B dev, by people's scores. */
async function readStsPairs(language: Language): Promise<Record<string, Pair[]>> {
  const pairs = await readSts(language)
  const between = (least: number, below: number): Pair[] =>
    pairs.flatMap(({ a, b, score }) => (score >= least && score < below ? [[a, b] as const] : []))
  const left = pairs.map(({ a }) => a)
  return {
    'STS-B, score 5': between(5, 6),
    'STS-B, score 4 to 5': between(4, 5),
    'STS-B, score 2 to 4': between(2, 4),
    'STS-B, score 0 to 1': between(0, 1.0001),
    'STS-B, random sentences': shuffledPairs(left, left),
  }
}

/** Questions with the paragraph that answers them, and with another. */
async function readXquadPairs(language: Language): Promise<Record<string, Pair[]>> {
  const path = (name: string) => shared('eval', 'retrieval', `xquad-a-${language}`, name)
  const jsonl = async (name: string) =>
    new Map(
      (await readFile(path(name), 'utf8'))
        .split('\n')
        .filter((line) => line !== '')
        .map((line): [string, string] => {
          const { id, text } = JSON.parse(line)
          return [id, text]
        }),
    )
  const [questions, paragraphs] = [await jsonl('queries.jsonl'), await jsonl('corpus.jsonl')]
  const right = (await readFile(path('qrels.tsv'), 'utf8'))
    .split('\n')
    .slice(1)
    .filter((line) => line !== '')
    .map((line): Pair => {
      const [question = '', paragraph = ''] = line.split('\t')
      return [questions.get(question) ?? '', paragraphs.get(paragraph) ?? '']
    })
  return {
    'xquad, question and its paragraph': right,
    'xquad, question and a random paragraph': shuffledPairs(
      right.map(([question]) => question),
      right.map(([, paragraph]) => paragraph),
    ),
  }
}

/** Pairs each text with one far away in the list, the same in every run. */
const shuffledPairs = (texts: readonly string[], others: readonly string[]): Pair[] =>
  texts.flatMap((text, i) => {
    const other = others[(i * 7 + Math.floor(others.length / 3)) % others.length]
    return other === undefined || other === text ? [] : [[text, other] as const]
  })

/** Both models, in the language each is made for. */
export async function measureAllLevels(): Promise<Record<string, Scale[]>> {
  const engine = openEngine({ modelDirs: [join(ROOT, 'models')] })
  try {
    return {
      'all-minilm-l6-v2': await measureLevels(engine, 'all-minilm-l6-v2', 'en'),
      'bge-small-zh-v1.5': await measureLevels(engine, 'bge-small-zh-v1.5', 'zh'),
    }
  } finally {
    await engine.close()
  }
}

/** How much of each kind of pairs falls on which level. */
export async function benchLevels(): Promise<Figure[]> {
  return Object.entries(await measureAllLevels()).flatMap(([model, scales]) =>
    scales.flatMap(({ kind, shares }) =>
      Object.entries(shares).map(([key, share]) => figure(`${model}: ${kind}: ${key}`, 100 * share, '%')),
    ),
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const measured = await measureAllLevels()
  for (const [model, scales] of Object.entries(measured)) {
    console.log(model)
    console.table(scales.map(({ shares, ...scale }) => ({ ...scale, ...shares })))
  }
  console.log(JSON.stringify(measured))
}
