import type { SparseVector } from './outputs.js'
import type { TokenSpans } from './spans.js'
import { pairTerm, runsOf, TERMS_MAX, WORDS_FROM } from './terms.js'
import type { Tokenizer } from './tokenizer.js'

/**
 * The terms of any text, whatever a vocabulary has. The text is folded first, so that words meet in whatever case and
 * width they are written. What the tokenizer spells are its tokens; what it cannot spell, or only letter by letter (a
 * bag of letters finds any text of that script), is a term by itself: a word, or each character and each pair of
 * neighbours where a script has no spaces.
 */
export type Speller = Pick<Tokenizer, 'unknownId' | 'isIdeograph' | 'isLetter'>

/** Written without spaces, and no ideographs, which every tokenizer takes one by one. */
const SPACELESS =
  '\\p{sc=Thai}\\p{sc=Lao}\\p{sc=Khmer}\\p{sc=Myanmar}\\p{sc=Hiragana}\\p{sc=Katakana}\\u30fc\\uff70\\uff9e\\uff9f'
const STARTS_SPACELESS = new RegExp(`^[${SPACELESS}]`, 'u')
const HAS_SPACELESS = new RegExp(`[${SPACELESS}]`, 'u')

/** What shows nothing: joiners, soft hyphens, variation selectors. */
const INVISIBLE = /\p{Cf}|\p{Variation_Selector}/gu
/** Emoji and other symbols one by one, and scripts without spaces: tokenizers would take "word👍" for one word. */
const APART = new RegExp(`\\p{RI}{2}|[^\\P{S}\\0-\\x7f]|[${SPACELESS}][${SPACELESS}\\p{M}]*`, 'gu')

/** The text that terms are counted in. */
export const fold = (text: string): string => foldCase(text.replace(INVISIBLE, '').replace(APART, ' $& '))

/** Upper case first: ß is SS, and a σ at the end of a word is a Σ. */
const foldCase = (text: string): string =>
  text.normalize('NFKC').toUpperCase().toLowerCase().replaceAll('ς', 'σ').normalize('NFKC')

interface FoldedText {
  readonly text: string
  /** Of each code unit of it, what it was made from. */
  readonly starts: readonly number[]
  readonly ends: readonly number[]
}

/** What folds together: a letter with its marks, the parts of a Hangul syllable, katakana of half width. */
const CLUSTER = /[\u1100-\u11ff]+|[\uff66-\uff9f]+|\P{M}\p{M}*|\p{M}/gu

/** The same as `fold`, piece by piece. */
export function foldWithPlaces(text: string): FoldedText {
  const breaks = new Set<number>()
  for (const { 0: found, index } of text.matchAll(APART)) breaks.add(index).add(index + found.length)
  let folded = ''
  const starts: number[] = []
  const ends: number[] = []
  for (const { 0: cluster, index } of text.matchAll(CLUSTER)) {
    const end = index + cluster.length
    const piece = (breaks.has(index) ? ' ' : '') + foldCase(cluster.replace(INVISIBLE, ''))
    folded += piece
    for (let i = 0; i < piece.length; i++) {
      starts.push(index)
      ends.push(end)
    }
  }
  return { text: folded, starts, ends }
}

/** The parts of a text that are a term each, in order. */
interface Units {
  readonly ids: Int32Array
  /** Whether it is one character of a script without spaces: two beside each other are a term too. */
  readonly isCharacter: readonly boolean[]
  readonly starts: Int32Array
  readonly ends: Int32Array
}

/** @param text folded, with the tokens that it has */
function unitsOf(text: string, { ids, starts, ends }: TokenSpans, speller: Speller): Units {
  const found: { id: number; isCharacter: boolean; start: number; end: number }[] = []
  const isDoubtful = (i: number) => {
    const id = ids[i] ?? -1
    return id === speller.unknownId || speller.isLetter(id) || isSpaceless(i)
  }
  const isSpaceless = (i: number) => STARTS_SPACELESS.test(text.slice(starts[i], ends[i]))
  const touches = (i: number) => i < ids.length && (starts[i] ?? 0) <= (ends[i - 1] ?? 0)
  for (let i = 0; i < ids.length; ) {
    let next = i + 1
    const start = starts[i] ?? 0
    if (isDoubtful(i)) {
      while (touches(next) && isDoubtful(next)) next++
      if (next > i + 1 || ids[i] === speller.unknownId || isSpaceless(i)) {
        for (const part of partsOf(text.slice(start, ends[next - 1]))) {
          found.push({ ...part, start: start + part.start, end: start + part.end })
        }
        i = next
        continue
      }
    }
    const id = ids[i] ?? -1
    found.push({ id, isCharacter: speller.isIdeograph(id), start, end: ends[i] ?? start })
    i = next
  }
  return {
    ids: Int32Array.from(found, ({ id }) => id),
    isCharacter: found.map(({ isCharacter }) => isCharacter),
    starts: Int32Array.from(found, ({ start }) => start),
    ends: Int32Array.from(found, ({ end }) => end),
  }
}

const PARTS = new RegExp(`(\\p{sc=Han}|[${SPACELESS}]\\p{M}*)|(?:(?!\\p{sc=Han}|[${SPACELESS}])\\S)+`, 'gu')

const partsOf = (text: string) =>
  Array.from(text.matchAll(PARTS), ({ 0: part, 1: one, index }) => ({
    id: wordTerm(part),
    isCharacter: one !== undefined,
    start: index,
    end: index + part.length,
  }))

/** FNV-1a over UTF-16 code units (Fowler, Noll, Vo; public domain). */
function wordTerm(word: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return WORDS_FROM + (((hash ^ (hash >>> 16)) >>> 0) % (TERMS_MAX - WORDS_FROM))
}

/** The term of each unit together with the next one, else -1. */
const pairsOf = ({ ids, isCharacter }: Units): Int32Array =>
  ids.map((id, i) =>
    isCharacter[i] === true && isCharacter[i + 1] === true ? pairTerm(id, ids[i + 1] ?? 0, WORDS_FROM) : -1,
  )

function countUnits(units: Units): SparseVector {
  const terms = new Int32Array(2 * units.ids.length)
  terms.set(units.ids)
  let count = units.ids.length
  for (const pair of pairsOf(units)) if (pair >= 0) terms[count++] = pair
  return runsOf(terms.subarray(0, count).sort())
}

/**
 * How often each term is in each text.
 * @param encoded the texts' tokens, for those that folding does not change
 * @param most tokens of a text that are counted
 */
export async function countWords(
  tokenizer: Tokenizer,
  texts: readonly string[],
  encoded: readonly Int32Array[],
  most = Number.MAX_SAFE_INTEGER,
): Promise<SparseVector[]> {
  const folded = texts.map(fold)
  const changed = folded.filter((text, i) => text !== texts[i])
  const anew = await tokenizer.encode(changed)
  let next = 0
  const ids = folded.map((text, i) =>
    ((text === texts[i] ? encoded[i] : anew[next++]) ?? new Int32Array()).subarray(0, most),
  )
  const count = async (text: string, own: Int32Array): Promise<SparseVector> => {
    const isSpelled = !own.some((id) => id === tokenizer.unknownId || tokenizer.isLetter(id))
    if (isSpelled && !HAS_SPACELESS.test(text)) {
      return countUnits({
        ids: own,
        isCharacter: Array.from(own, tokenizer.isIdeograph),
        starts: own,
        ends: own,
      })
    }
    const { starts, ends } = await tokenizer.spans(text)
    return countUnits(unitsOf(text, { ids: own, starts, ends }, tokenizer))
  }
  const counts: SparseVector[] = []
  for (let from = 0; from < folded.length; from += AT_A_TIME) {
    const some = folded.slice(from, from + AT_A_TIME)
    counts.push(...(await Promise.all(some.map((text, i) => count(text, ids[from + i] ?? new Int32Array())))))
  }
  return counts
}

/** Texts whose places are read at a time: each holds an object a token until it is read. */
const AT_A_TIME = 8

/** Where the terms of a text are in it, in UTF-16 code units: each list has an element a term, in order. */
export interface TermPlaces extends TokenSpans {
  /** The term of one and the one after it, -1 where they are none. */
  readonly pairs: Int32Array
}

/** Where the terms that `countWords` counts are. */
export async function placeWords(tokenizer: Tokenizer, text: string): Promise<TermPlaces> {
  const folded = foldWithPlaces(text)
  const units = unitsOf(folded.text, await tokenizer.spans(folded.text), tokenizer)
  const starts = units.starts.map((start) => folded.starts[start] ?? text.length)
  return {
    ids: units.ids,
    pairs: pairsOf(units),
    starts,
    ends: units.ends.map((end, i) =>
      end > (units.starts[i] ?? end) ? (folded.ends[end - 1] ?? text.length) : (starts[i] ?? 0),
    ),
  }
}
