import { askedTexts, type Db, firstTexts, type SharedDocument, sampleGolden, titlesOf } from '@millrace/store'
import type { Domain } from '../verbs/domains.js'
import type { PairSource } from './carry.js'

/** A text that is asked, and the documents (external ids) that may well belong to it: those are no strangers. */
export interface Question {
  readonly text: string
  readonly own: readonly string[]
}

export interface Questions {
  readonly from: readonly PairSource[]
  readonly all: readonly Question[]
}

/** Fewer say what they are about, not how alike questions and passages are. */
export const QUESTIONS_MIN = 3
/** Each is embedded by the models of both generations. */
const QUESTIONS_MAX = 200
/** Of a stored text: about as much as people ask. */
const CHARS = 300

type Read = (
  db: Db,
  { id, generationId }: Domain,
  among: readonly SharedDocument[],
) => Promise<readonly Question[]>

/**
 * Texts that are asked where it is to be known how alike a question and a passage are that have nothing to do with each
 * other: what people ask; else titles, which are as short; else stored passages.
 * @param among documents of both generations
 */
export async function questionsOf(
  db: Db,
  old: Domain,
  among: readonly SharedDocument[],
  random: () => number,
): Promise<Questions> {
  const golden = await readGolden(db, old, among)
  const asked = mergeQuestions({ golden, logged: await readLogged(db, old, among) })
  if (asked.all.length >= QUESTIONS_MIN) return asked
  const some = shuffled(among, random).slice(0, QUESTIONS_MAX)
  const titled = mergeQuestions({ titles: await readTitles(db, old, some) })
  if (titled.all.length >= QUESTIONS_MIN) return titled
  return mergeQuestions({ passages: await readPassages(db, old, some) })
}

const readGolden: Read = async (db, { id }) =>
  (await sampleGolden(db, id, QUESTIONS_MAX)).map(({ question, documents }) => ({
    text: question,
    own: documents,
  }))

/** What was found first for it may well belong to it. */
const readLogged: Read = async (db, { id }) =>
  (await askedTexts(db, id, QUESTIONS_MAX)).map(({ text, first }) => ({
    text,
    own: first === null ? [] : [first],
  }))

const readTitles: Read = async (db, { generationId }, among) =>
  ownTexts(among, await titlesOf(db, generationId, idsOf(among), CHARS))

const readPassages: Read = async (db, { generationId }, among) =>
  ownTexts(among, await firstTexts(db, generationId, idsOf(among), CHARS))

const idsOf = (among: readonly SharedDocument[]): number[] => among.map(({ id }) => id)

const ownTexts = (among: readonly SharedDocument[], texts: readonly (string | null)[]): Question[] =>
  among.flatMap(({ externalId }, i) => {
    const text = texts[i]
    return text == null ? [] : [{ text, own: [externalId] }]
  })

/** Each text once, with all that may belong to it; of those that are too many the first. */
export function mergeQuestions(read: Partial<Readonly<Record<PairSource, readonly Question[]>>>): Questions {
  const merged = new Map<string, { readonly from: PairSource; readonly own: Set<string> }>()
  for (const [from, questions] of Object.entries(read) as [PairSource, readonly Question[]][]) {
    for (const { text, own } of questions) {
      const key = text.trim()
      const known = merged.get(key)
      if (known !== undefined) for (const one of own) known.own.add(one)
      else if (key !== '' && merged.size < QUESTIONS_MAX) merged.set(key, { from, own: new Set(own) })
    }
  }
  return {
    from: [...new Set([...merged.values()].map(({ from }) => from))],
    all: [...merged].map(([text, { own }]) => ({ text, own: [...own] })),
  }
}

/** Documents that have nothing to do with a question. */
export const strangersOf = ({ own }: Question, among: readonly SharedDocument[]): SharedDocument[] =>
  among.filter(({ externalId }) => !own.includes(externalId))

/** A place in a document: 0 to 1 of the way through its passages. */
export interface Place {
  readonly document: number
  readonly at: number
}

/** Passages drawn at random of all documents alike: each once before any of them a second time. */
export function drawPlaces(among: readonly SharedDocument[], count: number, random: () => number): Place[] {
  const places: Place[] = []
  while (among.length > 0 && places.length < count) {
    const left = count - places.length
    places.push(
      ...shuffled(among, random)
        .slice(0, left)
        .map(({ id }) => ({ document: id, at: random() })),
    )
  }
  return places
}

export const shuffled = <T>(all: readonly T[], random: () => number): T[] =>
  all
    .map((one) => ({ one, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one)
