import { CodedError } from '@millrace/errors'
import type { Comparable, GateFacts } from '@millrace/store'
import { metricsOf } from '../golden/metrics.js'

/** What a gate can watch; `mrr` and `ndcg` look at the first 10. */
export const GATE_METRICS = ['hit1', 'hit3', 'hit10', 'mrr', 'ndcg'] as const
export type GateMetric = (typeof GATE_METRICS)[number]

/** What has to hold before a generation takes over, as a caller says it. */
export interface GateWishes {
  /** How much worse a watched metric may be, 0 to 1. Default 0.02. */
  readonly margin?: number | undefined
  /** Those that are watched. Default: all. */
  readonly metrics?: readonly GateMetric[] | undefined
  /** Without a golden set: the least mean overlap, 0 to 1. Default 0.5. */
  readonly overlap?: number | undefined
  /** `golden`: without a golden set nothing passes. Default: overlap will do. */
  readonly required?: 'golden' | null | undefined
}
export interface GateSettings {
  readonly margin: number
  readonly metrics: readonly GateMetric[]
  readonly overlap: number
  readonly required: 'golden' | null
}

/**
 * Wishes as they are kept.
 * @throws CodedError BAD_GATE
 */
export function checkGate(value: unknown): GateWishes {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badGate('gate', value)
  const kept: Record<string, unknown> = {}
  for (const [field, given] of Object.entries(value)) {
    if (given === undefined) continue
    if (!Object.hasOwn(CHECKS, field) || CHECKS[field as keyof GateWishes](given) !== true) {
      throw badGate(field, given)
    }
    kept[field] = given
  }
  return kept
}

const isShare = (value: unknown) => typeof value === 'number' && value >= 0 && value <= 1
const isMetric = (value: unknown) => GATE_METRICS.some((metric) => metric === value)
const CHECKS: Readonly<Record<keyof GateWishes, (value: unknown) => boolean>> = {
  margin: isShare,
  overlap: isShare,
  metrics: (value) => Array.isArray(value) && value.length > 0 && value.every(isMetric),
  required: (value) => value === 'golden' || value === null,
}
const HINTS: Readonly<Record<string, string>> = {
  margin: 'margin is how much worse a metric may be, 0 to 1',
  overlap: 'overlap is the least mean overlap without a golden set, 0 to 1',
  metrics: `metrics are some of ${GATE_METRICS.join(', ')}`,
  required: 'required is golden, or left out',
}

const badGate = (field: string, value: unknown): CodedError => {
  const name = field.slice(0, 40).toWellFormed()
  const shown = JSON.stringify(value)?.slice(0, 80).toWellFormed()
  return new CodedError('BAD_GATE', `The gate's ${name} cannot be ${shown}`, {
    hint: HINTS[field] ?? `A gate has ${Object.keys(CHECKS).join(', ')}`,
    details: { field: name },
  })
}

/** With everything said. */
export const gateSettings = (wishes: GateWishes): GateSettings => ({
  margin: wishes.margin ?? 0.02,
  metrics: GATE_METRICS.filter((metric) => wishes.metrics?.includes(metric) ?? true),
  overlap: wishes.overlap ?? 0.5,
  required: wishes.required ?? null,
})

export type GateFigures = Readonly<Record<GateMetric, number>>

/** Where a question stood; rank null: not among the first 100, or not measured. */
export interface GateStanding {
  readonly rank: number | null
  readonly score: number | null
  readonly level: string | null
}
export interface GateQuestion {
  readonly id: string
  readonly question: string
  readonly live: GateStanding
  readonly other: GateStanding
  /** Of one that got worse: the first hits of the other generation; null: it could not be asked there. */
  readonly instead?: readonly { readonly documentId: string; readonly score: number }[] | null
}
export interface GateList {
  readonly total: number
  readonly first: readonly GateQuestion[]
}
/** What a golden set says. */
export interface GoldenEvidence {
  /** Measured in the live one: those that only the other could measure say nothing. */
  readonly measured: number
  /** Of those, the ones that the other could not measure: its rank is none. */
  readonly lost: number
  readonly live: GateFigures | null
  readonly other: GateFigures | null
  /** Of the other, less that of the live one. */
  readonly change: GateFigures | null
  /** Watched, and worse by more than the margin. */
  readonly failed: readonly GateMetric[]
  readonly same: number
  readonly worse: GateList
  readonly better: GateList
}

/** Questions that are kept of what got worse, and of what got better; and how much of each. */
export const WORSE_KEPT = 50
const BETTER_KEPT = 20
const QUESTION_CHARS = 300
/** Less than this is how numbers are rounded. */
const ROUNDING = 1e-9

/** Two runs over one set: by how much the other generation is worse, and in what. */
export function judgeGolden(
  live: readonly Comparable[],
  other: readonly Comparable[],
  settings: GateSettings,
): GoldenEvidence {
  const others = new Map(other.map((one) => [one.asked, one]))
  const pairs = live
    .filter(({ state }) => state === 'ranked')
    .flatMap((one) => {
      const next = others.get(one.asked)
      return next === undefined || next.expected !== one.expected ? [] : [{ one, next }]
    })
  const before = figuresOf(pairs.map(({ one }) => ({ ranks: one.ranks, expected: foundable(one) })))
  const after = figuresOf(
    pairs.map(({ one, next }) => ({
      ranks: ranksOf(next),
      expected: Math.max(foundable(one), foundable(next)),
    })),
  )
  const moves = pairs.map(({ one, next }) => ({
    by: worth(ranksOf(next)) - worth(one.ranks),
    question: questionOf(one, next),
  }))
  const fell = moves.filter(({ by }) => by < 0).sort((a, b) => a.by - b.by)
  const rose = moves.filter(({ by }) => by > 0).sort((a, b) => b.by - a.by)
  const change = before === null || after === null ? null : less(after, before)
  return {
    measured: pairs.length,
    lost: pairs.filter(({ next }) => next.state !== 'ranked').length,
    live: before,
    other: after,
    change,
    failed:
      change === null
        ? []
        : settings.metrics.filter((metric) => change[metric] < -settings.margin - ROUNDING),
    same: moves.length - fell.length - rose.length,
    worse: { total: fell.length, first: fell.slice(0, WORSE_KEPT).map(({ question }) => question) },
    better: { total: rose.length, first: rose.slice(0, BETTER_KEPT).map(({ question }) => question) },
  }
}

const ranksOf = (one: Comparable): readonly number[] => (one.state === 'ranked' ? one.ranks : [])
const worth = ([first]: readonly number[]): number => (first === undefined ? 0 : 1 / first)
/** Expected documents that are there to be found. */
const foundable = ({ documents, absent }: Comparable): number => documents - absent.length

function figuresOf(
  questions: readonly { readonly ranks: readonly number[]; readonly expected: number }[],
): GateFigures | null {
  const metrics = metricsOf(questions.map((question) => ({ ...question, passed: false })))
  if (metrics === null) return null
  const { hitAt1, hitAt3, hitAt10, mrrAt10, ndcgAt10 } = metrics
  return { hit1: hitAt1, hit3: hitAt3, hit10: hitAt10, mrr: mrrAt10, ndcg: ndcgAt10 }
}

const less = (after: GateFigures, before: GateFigures): GateFigures => {
  const by = (metric: GateMetric) => round(after[metric] - before[metric])
  return { hit1: by('hit1'), hit3: by('hit3'), hit10: by('hit10'), mrr: by('mrr'), ndcg: by('ndcg') }
}

const round = (value: number): number => Math.round(value * 1e6) / 1e6

const standing = (one: Comparable): GateStanding => ({
  rank: ranksOf(one)[0] ?? null,
  score: one.score === null ? null : round(one.score),
  level: one.grade,
})

const questionOf = (one: Comparable, next: Comparable): GateQuestion => ({
  id: one.id,
  question: shortened(one.question),
  live: standing(one),
  other: standing(next),
})

const shortened = (text: string): string =>
  text.length <= QUESTION_CHARS ? text : `${text.slice(0, QUESTION_CHARS).toWellFormed()}…`

/** What both generations found for one text: ids of documents, best first, each once. */
export interface FoundPair {
  readonly live: readonly string[]
  readonly other: readonly string[]
}
export interface OverlapPart {
  /** Texts that were searched for, where one of the two found something. */
  readonly texts: number
  /** Mean share of documents that both found; null of none. */
  readonly overlap: number | null
  /** Share of texts whose first document is the same. */
  readonly equalFirst: number | null
}
/** What searches with texts of the domain itself say: whether the two find alike, not whether they find well. */
export interface OverlapEvidence extends OverlapPart {
  /** Texts that are stored, and what people asked. */
  readonly stored: OverlapPart
  readonly queries: OverlapPart
  /** False: its time was up before all of the sample was searched for. */
  readonly isWhole: boolean
}

/** How many documents of each list count. */
export const OVERLAP_DEPTH = 10

export function judgeOverlap(
  stored: readonly FoundPair[],
  queries: readonly FoundPair[],
  isWhole: boolean,
): OverlapEvidence {
  const all = overlapOf([...stored, ...queries])
  return { ...all, stored: overlapOf(stored), queries: overlapOf(queries), isWhole }
}

function overlapOf(pairs: readonly FoundPair[]): OverlapPart {
  const some = pairs.filter(({ live, other }) => live.length + other.length > 0)
  const mean = (of: (pair: FoundPair) => number) =>
    some.length === 0 ? null : round(some.reduce((sum, pair) => sum + of(pair), 0) / some.length)
  return {
    texts: some.length,
    overlap: mean(overlap),
    equalFirst: mean(({ live, other }) => Number(live[0] === other[0])),
  }
}

/** Shared documents over those of the longer list, so that a generation that finds less is not the same as one that finds it all. */
function overlap({ live, other }: FoundPair): number {
  const first = new Set(live.slice(0, OVERLAP_DEPTH))
  const second = other.slice(0, OVERLAP_DEPTH)
  return second.filter((id) => first.has(id)).length / Math.max(first.size, second.length)
}

/** What a verdict rests on. */
export interface GateInputs {
  /** Of the set, the settings and what is searched with: what a person changes. */
  readonly asked: string
  /** Of the documents that each generation has: what changes by itself. */
  readonly published: string
}

/** @param search of the domain */
export const inputsOf = (
  { questions, goldenHash, published }: GateFacts,
  settings: GateSettings,
  search: object,
  live: number,
): GateInputs => ({
  asked: JSON.stringify([live, questions, goldenHash, settings, search]),
  published: published.map(({ documents, revisions }) => `${documents}:${revisions}`).join(' '),
})

/** How long a verdict is not worked out anew that nobody asked for, though documents came or it ended in an error. */
export const AGAIN_MS = 15 * 60_000

/** Whether a verdict still says what it said. @param patienceMs how old one may be that may have changed by itself */
export function isStill(
  last: { readonly inputs: GateInputs; readonly at: string | null; readonly error: object | null } | null,
  inputs: GateInputs,
  { now, patienceMs }: { readonly now: Date; readonly patienceMs: number },
): boolean {
  if (last?.at == null || last.inputs.asked !== inputs.asked) return false
  const isSame = last.inputs.published === inputs.published && last.error === null
  return isSame || now.getTime() - Date.parse(last.at) < patienceMs
}
