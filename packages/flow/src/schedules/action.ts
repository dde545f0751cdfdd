import { METRICS, type Metrics } from '../golden/metrics.js'
import { badSchedule, shownValue } from './refuse.js'

/** Embeds anew what is stale: what failed, what an older recipe made, what is old. */
export interface Reembed {
  readonly kind: 'reembed'
  readonly failed: boolean
  readonly recipe: boolean
  readonly olderThanDays: number | null
  readonly switch: 'manual' | 'built'
}
/** Asks for pages again; those that changed are new revisions. */
export interface Refresh {
  readonly kind: 'refresh'
  /** What becomes of documents whose page is gone. */
  readonly gone: 'keep' | 'delete'
}
export interface Alarm {
  readonly metric: keyof Metrics
  /** Null: any value will do. */
  readonly below: number | null
  /** Than the run before with the same settings; null: however much. */
  readonly worseBy: number | null
}
/** Runs the golden set. */
export interface Golden {
  readonly kind: 'golden'
  readonly k: number
  readonly alarm: Alarm | null
}
export const RETAINED = ['documents', 'queries', 'goldenRuns', 'generations'] as const
/** Deletes what is old. */
export interface Retention {
  readonly kind: 'retention'
  readonly olderThanDays: number
  readonly of: readonly (typeof RETAINED)[number][]
  /** Of documents' metadata, with a date; null: when they last changed. */
  readonly field: string | null
}
/** Looks how far tables and indexes have drifted, and mends those that have. */
export interface Upkeep {
  readonly kind: 'upkeep'
  /** Share of a table's rows that may be dead. */
  readonly deadShare: number
  /** Share of an index's rows that may be younger than it. */
  readonly addedShare: number
  /** How much larger an index may be for a row than when it was built. */
  readonly bloat: number
  /** Least recall@10 that is good enough; null: it is not measured. */
  readonly recallBelow: number | null
}
export type Action = Reembed | Refresh | Golden | Retention | Upkeep

export const ACTIONS = ['reembed', 'refresh', 'golden', 'retention', 'upkeep'] as const

type Given = Readonly<Record<string, unknown>>
type Options = readonly string[]

const OPTIONS: Readonly<Record<Action['kind'], Options>> = {
  reembed: ['failed', 'recipe', 'olderThanDays', 'switch'],
  refresh: ['gone'],
  golden: ['k', 'alarm'],
  retention: ['olderThanDays', 'of', 'field'],
  upkeep: ['deadShare', 'addedShare', 'bloat', 'recallBelow'],
}

/** Reads what is to be done. @throws CodedError BAD_SCHEDULE */
export function readAction(given: Given): Action {
  const kind = ACTIONS.find((name) => name === given.kind)
  if (kind === undefined) {
    throw badSchedule(
      `There is no action ${shownValue(given.kind)}`,
      `action.kind is one of ${ACTIONS.join(', ')}`,
      {
        action: given,
      },
    )
  }
  refuseUnknown(given, ['kind', ...OPTIONS[kind]], 'action', kind)
  return READERS[kind](given)
}

function refuseUnknown(given: Given, known: Options, where: string, of: string): void {
  const unknown = Object.keys(given).find((name) => !known.includes(name))
  if (unknown === undefined) return
  throw badSchedule(
    `${where} has no option ${shownValue(unknown)}`,
    `${of} has ${known.filter((name) => name !== 'kind').join(', ')}`,
    { [where]: given },
  )
}

const refuse = (option: string, value: unknown, hint: string) =>
  badSchedule(`action.${option} is ${shownValue(value)}`, hint, { option, value })

function numberIn(
  given: Given,
  option: string,
  { least, most, whole = false }: { readonly least: number; readonly most: number; readonly whole?: boolean },
): number | undefined {
  const value = given[option]
  if (value === undefined || value === null) return undefined
  const isGood =
    typeof value === 'number' && value >= least && value <= most && (!whole || Number.isInteger(value))
  if (!isGood) throw refuse(option, value, `A ${whole ? 'whole ' : ''}number from ${least} to ${most}`)
  return value
}

function flagIn(given: Given, option: string): boolean | undefined {
  const value = given[option]
  if (value === undefined || typeof value === 'boolean') return value
  throw refuse(option, value, 'true or false')
}

function wordIn<Word extends string>(given: Given, option: string, words: readonly Word[]): Word | undefined {
  const value = given[option]
  if (value === undefined) return undefined
  const word = words.find((known) => known === value)
  if (word === undefined) throw refuse(option, value, `One of ${words.join(', ')}`)
  return word
}

const DAYS = { least: 1, most: 36_500, whole: true }

const READERS = {
  reembed: (given: Given): Reembed => {
    const olderThanDays = numberIn(given, 'olderThanDays', DAYS) ?? null
    const failed = flagIn(given, 'failed')
    const recipe = flagIn(given, 'recipe')
    // Where nothing is asked for, what failed and what an older recipe made.
    const isAny = olderThanDays !== null || failed !== undefined || recipe !== undefined
    const action: Reembed = {
      kind: 'reembed',
      failed: failed ?? !isAny,
      recipe: recipe ?? !isAny,
      olderThanDays,
      switch: wordIn(given, 'switch', ['manual', 'built']) ?? 'manual',
    }
    if (action.failed || action.recipe || olderThanDays !== null) return action
    throw badSchedule(
      'The action reembed has nothing to do: failed, recipe and olderThanDays are all off',
      'Leave them out for the first two, or ask for one of them',
      { action: given },
    )
  },
  refresh: (given: Given): Refresh => ({
    kind: 'refresh',
    gone: wordIn(given, 'gone', ['keep', 'delete']) ?? 'keep',
  }),
  golden: (given: Given): Golden => ({
    kind: 'golden',
    k: numberIn(given, 'k', { least: 1, most: 1_000, whole: true }) ?? 3,
    alarm: given.alarm === undefined || given.alarm === null ? null : readAlarm(given.alarm),
  }),
  retention: (given: Given): Retention => {
    const olderThanDays = numberIn(given, 'olderThanDays', DAYS)
    if (olderThanDays === undefined) {
      throw badSchedule('The action retention does not say after how many days', 'Set action.olderThanDays', {
        action: given,
      })
    }
    const of = readRetained(given.of)
    const { field = null } = given
    if (field !== null && (!isFieldName(field) || !of.includes('documents'))) {
      throw refuse('field', field, 'A field of the metadata of documents, with a date as 2026-03-31')
    }
    const name = field === 'updatedAt' ? null : field
    return { kind: 'retention', olderThanDays, of, field: name }
  },
  upkeep: (given: Given): Upkeep => ({
    kind: 'upkeep',
    deadShare: numberIn(given, 'deadShare', { least: 0, most: 1 }) ?? 0.2,
    addedShare: numberIn(given, 'addedShare', { least: 0, most: 1 }) ?? 0.5,
    bloat: numberIn(given, 'bloat', { least: 1, most: 100 }) ?? 1.5,
    recallBelow: numberIn(given, 'recallBelow', { least: 0, most: 1 }) ?? null,
  }),
} satisfies { readonly [Kind in Action['kind']]: (given: Given) => Action }

const isFieldName = (field: unknown): field is string =>
  typeof field === 'string' && /^[^\0]{1,200}$/.test(field) && field.isWellFormed()

function readRetained(given: unknown): Retention['of'] {
  if (given === undefined) return ['documents']
  const list = Array.isArray(given) ? given : [given]
  const known = RETAINED.filter((name) => list.includes(name))
  if (list.length > 0 && list.every((name) => known.some((one) => one === name))) return known
  throw refuse('of', given, `A list of ${RETAINED.join(', ')}`)
}

function readAlarm(given: unknown): Alarm {
  const hint = `As in {"metric": "hitAt3", "below": 0.9} or {"metric": "mrrAt10", "worseBy": 0.02}; metrics: ${METRICS.join(', ')}`
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw refuse('alarm', given, hint)
  const options: Given = { ...given }
  refuseUnknown(options, ['metric', 'below', 'worseBy'], 'alarm', 'An alarm')
  const metric = METRICS.find((name) => name === options.metric)
  if (metric === undefined) throw refuse('alarm.metric', options.metric, hint)
  const share = { least: 0, most: 1 }
  const below = numberIn(options, 'below', share) ?? null
  const worseBy = numberIn(options, 'worseBy', share) ?? null
  if (below === null && worseBy === null) throw refuse('alarm', given, hint)
  return { metric, below, worseBy }
}
