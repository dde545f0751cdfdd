import { type Db, passagePairs, questionPairs, type SharedDocument } from '@millrace/store'
import { embedQueries } from '../search/query.js'
import type { Domain } from '../verbs/domains.js'
import { type Asker, type Found, PASSAGES, type Reader, type SampledKind, type Sides } from './asker.js'
import type { Sample, Scored } from './place.js'
import { drawPlaces, type Place, type Question, type Questions, shuffled, strangersOf } from './questions.js'

/** Questions that are asked at a time. */
export const SLICE = 16
export const PAIRS = 2_000
export const PAIRS_AT_ONCE = 100
/** Searches for questions among documents that have nothing to do with them, and among how many each. */
const SEARCHES = 120
const STRANGERS = 8

/** A question with what it is held against: all of it is one sample, since it is as near or far as the question is. */
export interface Drawn<T> {
  readonly question: Question
  readonly with: readonly T[]
}

/** Questions at a time, so that about as much is done at once however much each has. */
export const atOnce = (drawn: readonly Drawn<unknown>[], most: number): number =>
  Math.max(1, Math.min(SLICE, Math.floor(most / Math.max(1, ...drawn.map((one) => one.with.length)))))

/** Any passages, not those that are found: how often one is above a threshold is to be the share of all of them. */
export function drawnOf(
  { all }: Questions,
  among: readonly SharedDocument[],
  random: () => number,
): Drawn<Place>[] {
  const each = Math.ceil(PAIRS / Math.max(1, all.length))
  return all.map((question) => ({
    question,
    with: drawPlaces(strangersOf(question, among), each, random),
  }))
}

export async function askPassages(
  deps: Reader,
  sides: Sides,
  drawn: readonly Drawn<Place>[],
): Promise<Sample[]> {
  const old = await similaritiesOf(deps, sides.old, drawn)
  const then = await similaritiesOf(deps, sides.new, drawn)
  return drawn.flatMap((one, i) => {
    const pairs = one.with.map((_, n) => [old[i]?.[n], then[i]?.[n]] as const)
    // In a small domain the same passage is drawn again and again.
    return sampleOf([...new Map(pairs.map((pair) => [pair.join(' '), pair])).values()])
  })
}

/** Of each question and each of its passages under one generation; null of what cannot be read. */
async function similaritiesOf(
  deps: Reader,
  side: Domain,
  drawn: readonly Drawn<Place>[],
): Promise<(number | null)[][]> {
  const read = await embedQueries(
    deps,
    side,
    drawn.map(({ question }) => question.text),
  )
  const vectors = read.map((one) => ('error' in one ? undefined : one.vector))
  const pairs = drawn.flatMap((one, question) =>
    vectors[question] === undefined ? [] : one.with.map((place) => ({ question, ...place })),
  )
  const found: (number | null)[] = []
  for (let from = 0; from < pairs.length; from += PAIRS_AT_ONCE) {
    const some = pairs.slice(from, from + PAIRS_AT_ONCE)
    found.push(
      ...(await questionPairs(
        deps.db,
        side,
        vectors.map((one) => one ?? NONE),
        some,
      )),
    )
  }
  let next = 0
  return drawn.map((one, i) =>
    one.with.map(() => (vectors[i] === undefined ? null : (found[next++] ?? null))),
  )
}

const NONE = new Float32Array()

/** Strangers are searched for a few at a time: of more, not each would be among the passages that are looked at. */
export function searchesOf(
  { all }: Questions,
  among: readonly SharedDocument[],
  random: () => number,
): Drawn<readonly string[]>[] {
  const each = Math.max(1, Math.floor(SEARCHES / Math.max(1, all.length)))
  return all.slice(0, SEARCHES).map((question) => {
    const strangers = shuffled(strangersOf(question, among), random).map(({ externalId }) => externalId)
    const groups = Array.from({ length: each }, (_, n) => strangers.slice(n * STRANGERS, (n + 1) * STRANGERS))
    return { question, with: groups.filter(({ length }) => length > 0) }
  })
}

/** A text without a word of the query is no hit: its words score nothing. */
export async function askStrangers(
  ask: Asker,
  kind: SampledKind,
  searches: readonly Drawn<readonly string[]>[],
): Promise<Sample[]> {
  const found = await ask(
    searches.flatMap(({ question, with: groups }) =>
      groups.map((among) => ({ query: question.text, k: PASSAGES, among })),
    ),
  )
  let next = 0
  return searches.flatMap(({ with: groups }) => {
    const pairs = groups.flatMap((strangers) => {
      const one = found[next++]
      if (one == null) return []
      const scoreOf = (hits: readonly Found[], documentId: string) =>
        hits.find((hit) => hit.documentId === documentId)?.score ?? (kind === 'sparse' ? 0 : undefined)
      return strangers.map((id) => [scoreOf(one.old, id), scoreOf(one.new, id)] as const)
    })
    return sampleOf(pairs)
  })
}

/** Of pairs that both generations have a score of; none where they have not. */
function sampleOf(
  pairs: readonly (readonly [number | null | undefined, number | null | undefined])[],
): Sample[] {
  const both = pairs.flatMap(([old, then]) => (old == null || then == null ? [] : [{ old, new: then }]))
  if (both.length === 0) return []
  const sideOf = (side: 'old' | 'new'): Scored => ({ golden: [], unrelated: both.map((pair) => pair[side]) })
  return [{ old: sideOf('old'), new: sideOf('new') }]
}

export function pairOf(among: readonly SharedDocument[], random: () => number) {
  const a = Math.floor(random() * among.length)
  const b = (a + 1 + Math.floor(random() * (among.length - 1))) % among.length
  return { a: among[a]?.id ?? 0, b: among[b]?.id ?? 0, atA: random(), atB: random() }
}

/** In a small domain the same two passages are drawn again and again. */
export const different = (samples: readonly Sample[]): Sample[] => [
  ...new Map(samples.map((one) => [`${one.old.unrelated} ${one.new.unrelated}`, one])).values(),
]

/** Stored vectors of both generations: nothing is embedded. */
export async function passages(
  db: Db,
  sides: Sides,
  pairs: Parameters<typeof passagePairs>[2],
): Promise<Sample[]> {
  const old = await passagePairs(db, sides.old, pairs)
  const then = await passagePairs(db, sides.new, pairs)
  return pairs.flatMap((_, i) => sampleOf([[old[i], then[i]]]))
}
