import type { Waiting } from '../waiting.js'
import type { ScoreKind, Scores } from './scores.js'

/** Why a document is among the hits of a search, or not. */
export const VERDICTS = [
  'HIT',
  'UNKNOWN_DOCUMENT',
  'NOT_INGESTED',
  'FAILED',
  'CANCELLED',
  'EMPTY',
  'FILTERED_OUT',
  'NO_COMMON_TERMS',
  'BELOW_THRESHOLD',
  'BEATEN',
  'MISSED_BY_INDEX',
  'CUT_IN_FUSION',
] as const
export type Verdict = (typeof VERDICTS)[number]

/** A part of a filter that a document does not pass, and what it has there. */
export interface FailedCondition {
  readonly filter: Readonly<Record<string, unknown>>
  /** Undefined: nothing; also of a part that is about several fields. */
  readonly value?: unknown
}

export interface Rival {
  readonly documentId: string
  readonly chunk: number
  readonly score: number
}

/** Where a chunk is by one kind of score, among all of its domain. */
export interface Standing {
  readonly score: number
  /** Null: not worked out in time. */
  readonly place: number | null
  /** Among how many; null: not worked out. */
  readonly chunks: number | null
  readonly before: Rival | null
}

/** What an explanation rests on; what does not matter for the verdict is left out. */
export interface Details {
  /** UNKNOWN_DOCUMENT: ids that are there and look like it. */
  readonly nearest?: readonly string[]
  /** NOT_INGESTED, FAILED, CANCELLED. */
  readonly state?: string
  readonly waiting?: Waiting | null
  readonly error?: { readonly code: string; readonly message: string }
  /** Readers see an older revision than the one that was submitted last. */
  readonly outdated?: { readonly shown: number; readonly submitted: number }
  /** FILTERED_OUT. */
  readonly failed?: readonly FailedCondition[]
  /** The kind of score that ranks. */
  readonly rankedBy?: ScoreKind
  readonly k?: number
  /** HIT: from 1. BEATEN: as it was ranked, null where that is not known. */
  readonly rank?: number | null
  /** BELOW_THRESHOLD: which, and what it has; null: no such score, which reaches no threshold. */
  readonly below?: { readonly kind: ScoreKind; readonly threshold: number; readonly score: number | null }
  /** The last one that was a hit. */
  readonly last?: Rival | null
  /** By kind of score. */
  readonly exact?: { readonly dense?: Standing; readonly sparse?: Standing }
  /** CUT_IN_FUSION: of how many of each kind the fusion was made. */
  readonly candidates?: number
  /** BEATEN, BELOW_THRESHOLD: by what the hits that it was among were reranked, a model or `colbert`. */
  readonly rerankedBy?: string
}

export interface Explanation {
  readonly verdict: Verdict
  readonly sentence: { readonly en: string; readonly zh: string }
  readonly details: Details
  /** Of the document, the best three. */
  readonly chunks: readonly { readonly chunk: number; readonly text: string; readonly scores: Scores }[]
}

/** The parts of a filter that must all hold, each a filter of its own. */
export function conjunctsOf(filter: Readonly<Record<string, unknown>>): Record<string, unknown>[] {
  return Object.entries(filter).flatMap(([name, value]): Record<string, unknown>[] => {
    if (name === 'and' && Array.isArray(value)) return value.flatMap((part) => conjunctsOf(part))
    if (name === 'or' || name === 'not' || !isObject(value)) return [{ [name]: value }]
    return Object.entries(value).map(([operator, operand]) => ({ [name]: { [operator]: operand } }))
  })
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What a document has where a part of a filter looks; undefined for a part about several fields. */
export function valueAt(
  part: Readonly<Record<string, unknown>>,
  document: {
    readonly id: string
    readonly title: string | null
    readonly createdAt: Date
    readonly metadata: Readonly<Record<string, unknown>>
  },
): unknown {
  const [field = ''] = Object.keys(part)
  if (field === 'or' || field === 'not' || field === 'and') return undefined
  if (field === 'document.id') return document.id
  if (field === 'document.title') return document.title
  if (field === 'document.createdAt') return document.createdAt.toISOString()
  return Object.hasOwn(document.metadata, field) ? document.metadata[field] : undefined
}

const NEAR_SHOWN = 5

/** Of ids that are there, those that look like one that is not: it is in them or they in it, or half of it is the same. */
export function lookalikes(id: string, others: readonly string[]): string[] {
  const wanted = plain(id)
  return others
    .map((other) => ({ other, likeness: likeness(wanted, plain(other)) }))
    .filter(({ likeness: share }) => share >= 0.5)
    .sort((a, b) => b.likeness - a.likeness)
    .slice(0, NEAR_SHOWN)
    .map(({ other }) => other)
}

/** How much of the longer one is the same from both ends, 0 to 1. */
function likeness(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length)
  let start = 0
  while (start < shorter && a[start] === b[start]) start++
  let end = 0
  while (end < shorter - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++
  return (start + end) / Math.max(a.length, b.length, 1)
}

/** Ids as people mix them up: case, white space, percent-encoding, form of accents. */
export function spellings(id: string): string[] {
  const decoded = decode(id)
  const forms = [
    id.trim(),
    decoded,
    id.toLowerCase(),
    id.toUpperCase(),
    id.normalize('NFC'),
    id.normalize('NFD'),
  ]
  const base = decoded.split('/').at(-1) ?? decoded
  return [...new Set([...forms, base, base.replace(/\.[^.]+$/, ''), `${base}.md`])].filter(
    (form) => form !== '' && form !== id,
  )
}

const plain = (id: string): string => decode(id).normalize('NFKC').trim().toLowerCase()

function decode(id: string): string {
  try {
    return decodeURIComponent(id)
  } catch {
    return id
  }
}

/** The verdict in a sentence, in both languages. */
export function sentenceOf(
  documentId: string,
  verdict: Verdict,
  details: Details,
): { readonly en: string; readonly zh: string } {
  const named = `"${documentId}"`
  const [en, zh] = SENTENCES[verdict](details)
  return { en: `${named} ${en}`, zh: `“${documentId}”${zh}` }
}

type Pair = readonly [string, string]

const SENTENCES: Readonly<Record<Verdict, (details: Details) => Pair>> = {
  HIT: ({ rank }) => [`is hit ${rank}.`, `是第 ${rank} 个结果。`],
  UNKNOWN_DOCUMENT: ({ nearest = [] }) =>
    nearest.length === 0
      ? ['is no document of this domain.', '不是该知识库中的文档。']
      : [
          `is no document of this domain; there is ${nearest.map((id) => `"${id}"`).join(', ')}.`,
          `不是该知识库中的文档；相近的有：${nearest.map((id) => `“${id}”`).join('、')}。`,
        ],
  NOT_INGESTED: ({ state, waiting }) => [
    `cannot be found yet: it is ${state}${waiting == null ? '' : ` (${waiting.message})`}.`,
    `尚不能被检索：状态为 ${state}${waiting == null ? '' : `（${waiting.code}）`}。`,
  ],
  FAILED: ({ error }) => [
    `failed, and was never ready: ${error?.message ?? 'no reason is known'}.`,
    `处理失败，从未就绪：${error?.code ?? '原因未知'}。`,
  ],
  CANCELLED: () => [
    'was cancelled before it was ready; a resume of its ingestion goes on with it.',
    '在就绪之前已被取消；恢复其导入任务即可继续。',
  ],
  EMPTY: () => ['has no chunks: cleaning left nothing of its text.', '没有任何分块：清洗后没有留下文本。'],
  FILTERED_OUT: ({ failed = [] }) => {
    const parts = failed.map(({ filter }) => JSON.stringify(filter)).join(', ')
    return [`does not pass the filter: ${parts}.`, `不符合过滤条件：${parts}。`]
  },
  NO_COMMON_TERMS: () => ['shares no word with the query.', '与查询没有共同的词。'],
  BELOW_THRESHOLD: belowThreshold,
  BEATEN: beaten,
  MISSED_BY_INDEX: ({ exact, k }) => {
    const place = exact?.dense?.place ?? exact?.sparse?.place ?? null
    return place === null
      ? [
          'scores more than the last hit, and the index did not find it.',
          '得分高于最后一个结果，但索引没有找到它。',
        ]
      : [
          `would be ${place} of ${k} if all were compared: the index did not find it.`,
          `逐一比较时应排在第 ${place} 位（共取 ${k} 个）：索引没有找到它。`,
        ]
  },
  CUT_IN_FUSION: ({ exact, candidates }) => [
    `is not among the best ${candidates} by meaning (place ${exact?.dense?.place ?? 'unknown'}) or by words (place ${exact?.sparse?.place ?? 'none'}), of which the fusion is made.`,
    `不在语义（第 ${exact?.dense?.place ?? '未知'} 位）或词语（第 ${exact?.sparse?.place ?? '无'} 位）各自的前 ${candidates} 名之中，因此未参与融合。`,
  ],
}

function belowThreshold({ below, rerankedBy }: Details): Pair {
  const [kind, least] = [below?.kind, shown(below?.threshold)]
  if (below == null || below.score !== null) {
    return [
      `is below the threshold: its ${kind} score is ${shown(below?.score ?? undefined)}, the threshold ${least}.`,
      `低于阈值：其 ${kind} 得分为 ${shown(below?.score ?? undefined)}，阈值为 ${least}。`,
    ]
  }
  if (rerankedBy !== undefined) {
    return [
      `is below the threshold: ${rerankedBy} did not rerank it, and without a ${kind} score it cannot reach ${least}.`,
      `低于阈值：${rerankedBy} 没有对它重排，没有 ${kind} 得分，无法达到阈值 ${least}。`,
    ]
  }
  return [
    `is below the threshold: this search computes no ${kind} score, and without one nothing can reach ${least}.`,
    `低于阈值：本次检索不计算 ${kind} 得分，没有该得分的都无法达到阈值 ${least}。`,
  ]
}

function beaten({ rank, k, last, rankedBy, rerankedBy }: Details): Pair {
  if (rerankedBy !== undefined) {
    return [
      `was found, and is number ${rank} now that ${rerankedBy} has reranked the hits; k is ${k}.`,
      `已被找到，经 ${rerankedBy} 重排后排在第 ${rank} 位，而只取 ${k} 个。`,
    ]
  }
  const at = rank == null ? 'beaten' : `number ${rank}`
  const ahead =
    last == null ? '' : `; the last hit, "${last.documentId}", has ${shown(last.score)} (${rankedBy})`
  const aheadZh =
    last == null ? '' : `；最后一个结果“${last.documentId}”的得分为 ${shown(last.score)}（${rankedBy}）`
  return [
    `is ${at}, and k is ${k}${ahead}.`,
    `${rank == null ? '未进入前列' : `排在第 ${rank} 位`}，而只取 ${k} 个${aheadZh}。`,
  ]
}

const shown = (score: number | undefined): string => (score === undefined ? '?' : score.toFixed(4))
