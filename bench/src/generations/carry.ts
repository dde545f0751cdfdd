import { join } from 'node:path'
import { dot, type Engine, embedAll, openEngine } from '@millrace/embed'
import { type Carried, carryOver, matchGolden, randomOf, type Sample, scaleOf } from '@millrace/flow'
import { type Figure, figure } from '../figure.js'
import { ROOT } from '../place.js'
import { readSts } from '../sts.js'

const RANGE = { least: -1, most: 1 }
const HALVES = 100
const UNRELATED = 2_000

/** From the model that is weak in a language to the one that is made for it. */
const WAYS = [
  { language: 'en', from: 'bge-small-zh-v1.5', to: 'all-minilm-l6-v2' },
  { language: 'zh', from: 'all-minilm-l6-v2', to: 'bge-small-zh-v1.5' },
] as const
const THRESHOLDS = [0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4]
/** From which of people's scores on, 0 to 5, a pair belongs together: 3 is "roughly equivalent", 4 "mostly". */
const RELATED = [3, 4]

/** A pair under both models, and whether it belongs together. */
interface Judged {
  readonly old: number
  readonly new: number
  readonly related: boolean
}

/** The part of the pairs above a threshold that belong together, in percent. */
function precisionOf(pairs: readonly Judged[], side: 'old' | 'new', threshold: number): number {
  const above = pairs.filter((pair) => pair[side] >= threshold)
  return (100 * above.filter(({ related }) => related).length) / above.length
}

const sampleOf = (pair: Judged): Sample => {
  const one = (score: number) =>
    pair.related ? { unrelated: [], golden: [score] } : { unrelated: [score], golden: [] }
  return { old: one(pair.old), new: one(pair.new) }
}

const carryJudged = (pairs: readonly Judged[]): Promise<Carried[]> =>
  carryOver({ unrelated: [], from: [], golden: pairs.map(sampleOf), range: RANGE }, THRESHOLDS)

type Compare = (
  pairs: readonly (readonly [string, string])[],
) => { readonly old: number; readonly new: number }[]

/** Similarities of pairs of some texts under both models. */
async function comparerOf(
  engine: Engine,
  models: readonly [string, string],
  given: readonly string[],
): Promise<Compare> {
  const texts = [...new Set(given)]
  const similarities = await Promise.all(
    models.map(async (model) => {
      const embedded = await embedAll(engine, { model, texts, kind: 'document' })
      const vectors = new Map(texts.map((text, i) => [text, embedded[i]?.vector ?? new Float32Array()]))
      const vector = (text: string) => vectors.get(text) ?? new Float32Array()
      return (a: string, b: string) => dot(vector(a), vector(b))
    }),
  )
  const [old, then] = similarities
  return (pairs) =>
    pairs.map(([a, b]) => ({ old: old?.(a, b) ?? Number.NaN, new: then?.(a, b) ?? Number.NaN }))
}

/** Places of a list in an order that the seed decides. */
function shuffled<T>(all: readonly T[], seed: number): T[] {
  const random = randomOf(seed)
  return all
    .map((one) => ({ one, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one)
}

interface Halved {
  /** Precision of the old threshold. */
  readonly before: number[]
  /** That of the carried one, less that of the old one. */
  readonly apart: number[]
  /** The same of the threshold that all pairs together say: what a half of the pairs cannot tell in any case. */
  readonly least: number[]
}

/** Found on one half and judged on the other, in a hundred ways. */
function halved(pairs: readonly Judged[], whole: readonly Carried[]): Halved[] {
  const all = THRESHOLDS.map((): Halved => ({ before: [], apart: [], least: [] }))
  for (let seed = 1; seed <= HALVES; seed++) {
    const order = shuffled(pairs, seed)
    const samples = order.slice(0, order.length / 2).map(sampleOf)
    const held = order.slice(order.length / 2)
    const found = matchGolden(scaleOf(samples, 'old'), scaleOf(samples, 'new'), THRESHOLDS)
    for (const [i, threshold] of THRESHOLDS.entries()) {
      const before = precisionOf(held, 'old', threshold)
      all[i]?.before.push(before)
      all[i]?.apart.push(precisionOf(held, 'new', found[i] ?? threshold) - before)
      all[i]?.least.push(precisionOf(held, 'new', whole[i]?.new ?? threshold) - before)
    }
  }
  return all
}

const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length
const farOf = (values: readonly number[]): number => meanOf(values.map(Math.abs))

async function figuresOf(engine: Engine, { language, from, to }: (typeof WAYS)[number]): Promise<Figure[]> {
  const sts = await readSts(language)
  const texts = sts.flatMap(({ a, b }) => [a, b])
  const compare = await comparerOf(engine, [from, to], texts)
  const similar = compare(sts.map(({ a, b }) => [a, b]))
  const figures: Figure[] = []
  for (const least of RELATED) {
    const pairs = sts.flatMap(({ score }, i): Judged[] => {
      const one = similar[i]
      return one === undefined ? [] : [{ ...one, related: score >= least }]
    })
    const name = `${language}, ${from} to ${to}, related from ${least}`
    const whole = await carryJudged(pairs)
    const halves = halved(pairs, whole)
    for (const [i, threshold] of THRESHOLDS.entries()) {
      figures.push(...goldenFigures(`${name}: ${threshold}`, whole[i], halves[i]))
    }
    figures.push(...(await unrelatedFigures(name, compare, texts, pairs)))
  }
  return figures
}

const shown = (value: number | null | undefined): string => (value == null ? 'none' : value.toFixed(3))

function goldenFigures(name: string, whole: Carried | undefined, half: Halved | undefined): Figure[] {
  if (whole === undefined || half === undefined) return []
  if (whole.new === null) return [figure(`${name} has no like`, whole.why, '')]
  const carried = `${shown(whole.new)} (${shown(whole.low)} to ${shown(whole.high)}, ${whole.sureness})`
  const precision = `precision ${meanOf(half.before).toFixed(1)} %`
  const alone = `one half alone, ${farOf(half.least).toFixed(1)} of them with the number that all pairs say`
  return [
    figure(
      `${name} is ${carried}: ${precision}, then further on by`,
      meanOf(half.apart),
      'points',
      '-2 to 2',
    ),
    figure(`${name}: ${alone}`, farOf(half.apart), 'points'),
  ]
}

/** Without golden pairs: sentences that were put together at random are all that there is. */
async function unrelatedFigures(
  name: string,
  compare: Compare,
  texts: readonly string[],
  pairs: readonly Judged[],
): Promise<Figure[]> {
  const random = randomOf(3)
  const any = () => texts[Math.floor(random() * texts.length)] ?? ''
  const drawn = Array.from({ length: UNRELATED }, () => [any(), any()] as const)
  const different = drawn.filter(([a, b]) => a !== b)
  const unrelated = compare(different).map((one) => sampleOf({ ...one, related: false }))
  const carried = await carryOver({ unrelated, from: ['passages'], golden: [], range: RANGE }, THRESHOLDS)
  return carried.map((one) => {
    const title = `${name}, without golden pairs: ${one.old}`
    if (one.new === null) return figure(`${title} has no like`, one.why, '')
    const apart = precisionOf(pairs, 'new', one.new) - precisionOf(pairs, 'old', one.old)
    return figure(`${title} is ${shown(one.new)} (${one.method}, ${one.sureness}): apart`, apart, 'points')
  })
}

/** What becomes of precision where a threshold is carried from one model to another, on pairs that had no part in it. */
export async function benchCarry(): Promise<Figure[]> {
  const engine = openEngine({ modelDirs: [join(ROOT, 'models')] })
  try {
    const figures: Figure[] = []
    for (const way of WAYS) figures.push(...(await figuresOf(engine, way)))
    return figures
  } finally {
    await engine.close()
  }
}
