import type { Tokenizer as Native } from 'tokenizers'
import { pieces } from './windows.js'

/** Where the tokens of a text are in it, special tokens left out; each list has an element a token. */
export interface TokenSpans {
  readonly ids: Int32Array
  /** In UTF-16 code units, without the white space around a token. One that is white space alone has an empty span. */
  readonly starts: Int32Array
  readonly ends: Int32Array
}

/**
 * Characters of one call: the library makes an array of each offset, and reading those of 8,000 characters takes the
 * calling thread 2 ms.
 */
const PIECE_CHARS = 1 << 13

/** Only the encoding of a text's own tokens. */
const bare = { addSpecialTokens: false }

export async function spansOf(native: Pick<Native, 'encode'>, text: string): Promise<TokenSpans> {
  const ids: number[] = []
  const starts: number[] = []
  const ends: number[] = []
  let before = 0
  for (const piece of pieces(text, PIECE_CHARS)) {
    const encoding = await native.encode(piece, null, bare)
    const names = encoding.getTokens()
    const unitOf = unitsOf(piece)
    const spans = encoding
      .getOffsets()
      .map(
        ([from = 0, to = 0], i): Span =>
          names[i] === WORD_BEGINS ? empty(unitOf(from)) : trimmed(piece, unitOf(from), unitOf(to)),
      )
    ids.push(...encoding.getIds())
    for (const [i, { start, end }] of spans.entries()) {
      starts.push(before + start)
      ends.push(before + withMarks(piece, end, start, spans[i + 1]))
    }
    before += piece.length
  }
  return { ids: Int32Array.from(ids), starts: Int32Array.from(starts), ends: Int32Array.from(ends) }
}

interface Span {
  readonly start: number
  readonly end: number
}

const empty = (at: number): Span => ({ start: at, end: at })

/** SentencePiece's sign by itself. The library gives it the first character of the word, which is another token's. */
const WORD_BEGINS = '\u2581'

function trimmed(text: string, from: number, to: number): Span {
  const inner = text.slice(from, to)
  const start = from + inner.length - inner.trimStart().length
  return start >= to ? empty(from) : { start, end: from + inner.trimEnd().length }
}

const MARK = /^\p{M}$/u

/** An accent that a tokenizer strips belongs to the letter before it, unless the next token has it. */
function withMarks(text: string, end: number, start: number, next: Span | undefined): number {
  if (end === start) return end
  const most = next === undefined || next.start < end ? text.length : next.start
  let to = end
  while (to < most && MARK.test(text.charAt(to))) to++
  return to
}

/** The library counts in code points, JavaScript's strings in UTF-16 code units. */
function unitsOf(text: string): (point: number) => number {
  const units: number[] = []
  let unit = 0
  for (const point of text) {
    units.push(unit)
    unit += point.length
  }
  return (point) => units[point] ?? text.length
}
