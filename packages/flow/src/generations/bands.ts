import type { Level } from '@millrace/embed'
import type { BandChange, BandRow, CarriedRow, LevelRow, NewCarried } from '@millrace/store'
import type { ScoreKind } from '../search/scores.js'
import type { Carried } from './carry.js'

export const THRESHOLD = 'threshold'
export const levelItem = (key: string): string => `level:${key}`

/** Something of a band that has a number. */
export interface Item {
  readonly item: string
  readonly value: number
}

/** What a person chose of a kind of score; levels that are the model's own are not: another model brings its own. */
export function itemsOf(band: BandRow, ownLevels: readonly Level[] | undefined): Item[] {
  const levels = band.levels ?? []
  const isOwn = ownLevels !== undefined && sameLevels(levels, ownLevels)
  return [
    ...(band.threshold === null ? [] : [{ item: THRESHOLD, value: band.threshold }]),
    ...(isOwn ? [] : levels).flatMap(({ key, above }) =>
      above === null ? [] : [{ item: levelItem(key), value: above }],
    ),
  ]
}

const sameLevels = (some: readonly LevelRow[], others: readonly Level[]): boolean =>
  some.length === others.length &&
  some.every(({ key, above }, i) => key === others[i]?.key && above === others[i]?.above)

export const rowOf = (
  given: Pick<NewCarried, 'score' | 'item' | 'recipe' | 'fromGeneration'>,
  { pairs, above, ...carried }: Carried,
): NewCarried => ({ ...given, ...carried, evidence: { pairs, above } })

/** The number of an item in a band; null: it has none there, undefined: nothing is said of it. */
export function numberIn(
  { threshold, levels }: Pick<BandChange, 'threshold' | 'levels'>,
  item: string,
): number | null | undefined {
  if (item === THRESHOLD) return threshold
  if (levels === undefined) return undefined
  return levels?.find(({ key }) => levelItem(key) === item)?.above ?? null
}

/** The least that two neighbouring levels are apart. */
const APART = 1e-4

/**
 * Levels of the live generation as they begin under the other one; undefined where one of them has no number there.
 * @param old highest first, the last one takes the rest
 */
export function levelsUnder(
  old: readonly LevelRow[],
  numberOf: (item: string) => number | null | undefined,
): LevelRow[] | undefined {
  const levels: LevelRow[] = []
  for (const level of old) {
    const above = level.above === null ? null : numberOf(levelItem(level.key))
    if (above === undefined || (above === null && level.above !== null)) return undefined
    const before = levels.at(-1)?.above
    levels.push({
      ...level,
      // Two that became one are kept apart, so that each has its place.
      above: above === null || before == null ? above : Math.min(above, before - APART),
    })
  }
  return levels.length === 0 ? undefined : levels
}

type Row = Pick<CarriedRow, 'score' | 'item' | 'recipe' | 'new' | 'sureness'>

/** Of a kind of score, what is taken over of what was carried; undefined: nothing can be. */
export function bandUnder(
  score: ScoreKind,
  rows: readonly Row[],
  band: BandRow | undefined,
  isTaken: (row: Row) => boolean,
): BandChange | undefined {
  const taken = rows.filter((row) => row.score === score && row.new !== null && isTaken(row))
  const numberOf = (item: string) => taken.find((row) => row.item === item)?.new
  const threshold = numberOf(THRESHOLD)
  const hasLevels = taken.some(({ item }) => item !== THRESHOLD)
  const levels = hasLevels ? levelsUnder(band?.levels ?? [], numberOf) : undefined
  const [first] = taken
  if (first === undefined || (threshold == null && levels === undefined)) return undefined
  return {
    score,
    recipe: first.recipe,
    chosen: true,
    ...(threshold == null ? {} : { threshold }),
    ...(levels === undefined ? {} : { levels }),
  }
}
