import { SCORE_KINDS, type ScoreKind, type Scores } from '../search/scores.js'

/** A hit as far as two lists are laid beside each other. */
export interface PlacedHit {
  /** From 1. */
  readonly rank: number
  readonly documentId: string
  readonly title: string | null
  readonly chunk: number
  readonly start: number
  readonly end: number
  readonly text: string
  readonly score: number
  readonly rankedBy: ScoreKind
  readonly scores: Scores
  /** Its key. */
  readonly level: string | null
}

/** `other`: the document is in both, by passages that are not the same. */
export type Move = 'same' | 'up' | 'down' | 'other' | 'new' | 'gone'
/** A passage in both lists, or in one; or two passages of a document. */
export interface AlignedRow {
  readonly documentId: string
  readonly title: string | null
  readonly move: Move
  readonly a: PlacedHit | null
  readonly b: PlacedHit | null
}

/** Of the shorter one: with less in common two passages are not the same. */
const SHARED_LEAST = 0.5

/**
 * Two lists of hits, in the order of the second, what is only in the first behind it. Hits of one document are the same
 * passage when they share half of the shorter one's characters, however their generations cut it; what is left of a
 * document on both sides is paired in order, as `other`.
 */
export function alignHits(a: readonly PlacedHit[], b: readonly PlacedHit[]): AlignedRow[] {
  const pairs = new Map<PlacedHit, PlacedHit>()
  for (const documentId of new Set(b.map((hit) => hit.documentId))) {
    const of = (hits: readonly PlacedHit[]) => hits.filter((hit) => hit.documentId === documentId)
    for (const [one, two] of pairOf(of(a), of(b))) pairs.set(two, one)
  }
  const paired = new Set(pairs.values())
  const rows = b.map((two) => rowOf(pairs.get(two) ?? null, two))
  return [...rows, ...a.filter((one) => !paired.has(one)).map((one) => rowOf(one, null))]
}

function pairOf(a: readonly PlacedHit[], b: readonly PlacedHit[]): [PlacedHit, PlacedHit][] {
  const shares = a
    .flatMap((one) => b.map((two) => ({ one, two, share: sharedOf(one, two) })))
    .filter(({ share }) => share >= SHARED_LEAST)
    .sort((x, y) => y.share - x.share)
  const pairs: [PlacedHit, PlacedHit][] = []
  const taken = new Set<PlacedHit>()
  for (const { one, two } of shares) {
    if (taken.has(one) || taken.has(two)) continue
    taken.add(one).add(two)
    pairs.push([one, two])
  }
  const [restA, restB] = [a.filter((one) => !taken.has(one)), b.filter((two) => !taken.has(two))]
  return [
    ...pairs,
    ...restB.flatMap((two, n): [PlacedHit, PlacedHit][] => {
      const one = restA[n]
      return one === undefined ? [] : [[one, two]]
    }),
  ]
}

/** Characters that both have, over those of the shorter one. */
export function sharedOf(a: Pick<PlacedHit, 'start' | 'end'>, b: Pick<PlacedHit, 'start' | 'end'>): number {
  const shared = Math.min(a.end, b.end) - Math.max(a.start, b.start)
  return Math.max(0, shared) / Math.max(1, Math.min(a.end - a.start, b.end - b.start))
}

function rowOf(a: PlacedHit | null, b: PlacedHit | null): AlignedRow {
  const { documentId = '', title = null } = b ?? a ?? {}
  return { documentId, title, move: moveOf(a, b), a, b }
}

function moveOf(a: PlacedHit | null, b: PlacedHit | null): Move {
  if (a === null) return 'new'
  if (b === null) return 'gone'
  if (sharedOf(a, b) < SHARED_LEAST) return 'other'
  if (a.rank === b.rank) return 'same'
  return b.rank < a.rank ? 'up' : 'down'
}

/** Why a passage stands elsewhere, or not at all. */
export interface Reason {
  readonly code: string
  readonly en: string
  readonly zh: string
}

/** Documents that are named of those that passed one. */
const PASSED_SHOWN = 3

/** What the two lists themselves say of a passage that is in both. */
export function reasonsOf(row: AlignedRow, a: readonly PlacedHit[], b: readonly PlacedHit[]): Reason[] {
  const { a: one, b: two } = row
  if (one === null || two === null) return []
  return [
    ...passageReasons(one, two),
    ...(one.rank === two.rank ? [] : scoreReasons(one, two, a, b)),
    ...(one.rank === two.rank ? [] : passedReasons(one, two, a, b)),
    ...rankedReasons(one, two),
  ]
}

function passageReasons(one: PlacedHit, two: PlacedHit): Reason[] {
  if (one.start === two.start && one.end === two.end) return []
  const [before, after] = [`${one.start}–${one.end}`, `${two.start}–${two.end}`]
  return sharedOf(one, two) >= SHARED_LEAST
    ? [
        {
          code: 'CUT_OTHERWISE',
          en: `Its passage is cut otherwise: characters ${before} in a, ${after} in b.`,
          zh: `其段落的切分不同：a 中为 ${before}，b 中为 ${after}。`,
        },
      ]
    : [
        {
          code: 'OTHER_PASSAGE',
          en: `Another passage of the document is found: characters ${before} in a, ${after} in b.`,
          zh: `找到的是该文档的另一段：a 中为 ${before}，b 中为 ${after}。`,
        },
      ]
}

const WORDS: Readonly<Record<ScoreKind, readonly [string, string]>> = {
  dense: ['by meaning', '按语义'],
  sparse: ['by words', '按词语'],
  hybrid: ['by both together', '按融合得分'],
  colbert: ['as colbert reranked it', '按 colbert 重排'],
  rerank: ['as it was reranked', '按重排得分'],
}

/** By which kinds of score it went the same way. The scores of two models do not compare, their places do. */
function scoreReasons(
  one: PlacedHit,
  two: PlacedHit,
  a: readonly PlacedHit[],
  b: readonly PlacedHit[],
): Reason[] {
  const way = Math.sign(two.rank - one.rank)
  return SCORE_KINDS.flatMap((kind) => {
    const [before, after] = [placeOf(one, kind, a), placeOf(two, kind, b)]
    if (before === undefined || after === undefined || Math.sign(after - before) !== way) return []
    const [en, zh] = WORDS[kind]
    return [
      {
        code: `BY_${kind.toUpperCase()}`,
        en: `It is number ${before} of its list in a ${en}, and number ${after} in b.`,
        zh: `${zh}，它在 a 中排第 ${before} 位，在 b 中排第 ${after} 位。`,
      },
    ]
  })
}

/** Among the hits of its list by one kind of score. */
function placeOf(hit: PlacedHit, kind: ScoreKind, hits: readonly PlacedHit[]): number | undefined {
  const score = hit.scores[kind]
  if (score === undefined) return undefined
  return 1 + hits.filter((other) => (other.scores[kind] ?? Number.NEGATIVE_INFINITY) > score).length
}

function passedReasons(
  one: PlacedHit,
  two: PlacedHit,
  a: readonly PlacedHit[],
  b: readonly PlacedHit[],
): Reason[] {
  const before = (hits: readonly PlacedHit[], rank: number) =>
    new Set(
      hits.filter((hit) => hit.rank < rank && hit.documentId !== one.documentId).map((hit) => hit.documentId),
    )
  const [first, second] = [before(a, one.rank), before(b, two.rank)]
  const passed = [...second].filter((id) => !first.has(id))
  const fell = [...first].filter((id) => !second.has(id))
  const isDown = two.rank > one.rank
  const who = isDown ? passed : fell
  if (who.length === 0) return []
  const names = who.slice(0, PASSED_SHOWN).map((id) => `"${id}"`)
  const more = who.length > PASSED_SHOWN
  return isDown
    ? [
        {
          code: 'OVERTAKEN',
          en: `It is overtaken by ${who.length}: ${names.join(', ')}${more ? ', …' : ''}.`,
          zh: `被 ${who.length} 个文档超过：${names.join('、')}${more ? ' 等' : ''}。`,
        },
      ]
    : [
        {
          code: 'OVERTOOK',
          en: `It is now before ${who.length}: ${names.join(', ')}${more ? ', …' : ''}.`,
          zh: `超过了 ${who.length} 个文档：${names.join('、')}${more ? ' 等' : ''}。`,
        },
      ]
}

function rankedReasons(one: PlacedHit, two: PlacedHit): Reason[] {
  const reasons: Reason[] = []
  if (one.rankedBy !== two.rankedBy) {
    reasons.push({
      code: 'RANKED_OTHERWISE',
      en: `It is ranked by ${one.rankedBy} in a and by ${two.rankedBy} in b.`,
      zh: `它在 a 中按 ${one.rankedBy} 排序，在 b 中按 ${two.rankedBy} 排序。`,
    })
  }
  if (one.level !== two.level && one.level !== null && two.level !== null) {
    reasons.push({
      code: 'OTHER_LEVEL',
      en: `Its level is ${one.level} in a and ${two.level} in b.`,
      zh: `其等级在 a 中为 ${one.level}，在 b 中为 ${two.level}。`,
    })
  }
  return reasons
}
