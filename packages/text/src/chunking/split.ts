import { graphemeEnd, pointEnd } from './graphemes.js'
import { type Atom, LEVEL } from './level.js'
import { localHash } from './local.js'

/** A piece of a long word ends where the hash of its last characters says so: on average after about 12 of them. */
const PIECE_CHARS_MIN = 4
const PIECE_CHARS_MAX = 24
const PIECE_ONE_IN = 8

/** Lines, clauses and words are taken together up to this length at least; single words only where that is too much. */
const GROUP_CHARS_MIN = 16

/** Where the parts of [start, end) begin, after the first. */
type Starts = (text: string, start: number, end: number) => number[]

/** Where words start. */
export const wordStarts = after(/\s+/g)

/** The ways to divide an atom that is too large, coarsest first. */
export const DIVISIONS: readonly (readonly [level: number, starts: Starts])[] = [
  [LEVEL.line, grouped(after(/\n\s*/g))],
  [LEVEL.clause, grouped(after(/[，、；：]\s*|[,;:]\s+/g))],
  [LEVEL.space, grouped(wordStarts)],
  [LEVEL.space, wordStarts],
  [LEVEL.piece, pieceStarts],
  [LEVEL.grapheme, everyStart(graphemeEnd)],
  [LEVEL.point, grouped(everyStart(pointEnd))],
  [LEVEL.point, everyStart(pointEnd)],
]

/** Divides an atom; its first part keeps its cut, the others get `level`. Blank parts are left out. */
export function divide(text: string, atom: Atom, level: number, starts: Starts): Atom[] {
  const cuts = starts(text, atom.start, atom.end)
  if (cuts.length === 0) return [atom]
  const parts: Atom[] = []
  let start = atom.start
  for (const end of [...cuts, atom.end]) {
    const cut = parts.length === 0 ? atom.level : level
    if (!isBlank(text, start, end)) {
      parts.push({ start, end, level: cut, heading: atom.heading, weight: 0, section: atom.section })
    }
    start = end
  }
  return parts
}

const WHITE = /\s/

const isBlank = (text: string, start: number, end: number): boolean =>
  WHITE.test(text.charAt(start)) && text.slice(start, end).trim() === ''

function after(separator: RegExp): Starts {
  return (text, start, end) => {
    const slice = text.slice(start, end)
    const starts: number[] = []
    for (const match of slice.matchAll(separator)) {
      const at = match.index + match[0].length
      if (match.index > 0 && at < slice.length) starts.push(start + at)
    }
    return starts
  }
}

/** Groups parts that are shorter than needed: each costs a count and a place in memory. */
function grouped(starts: Starts): Starts {
  return (text, start, end) => {
    let from = start
    return starts(text, start, end).filter((at) => {
      if (at - from < GROUP_CHARS_MIN) return false
      from = at
      return true
    })
  }
}

function everyStart(next: (text: string, at: number, end: number) => number): Starts {
  return (text, start, end) => {
    const starts: number[] = []
    for (let at = next(text, start, end); at < end; at = next(text, at, end)) starts.push(at)
    return starts
  }
}

/** Where the pieces of a long word start, by its content, between graphemes. */
export function pieceStarts(text: string, start: number, end: number): number[] {
  const starts: number[] = []
  let from = start
  for (let at = graphemeEnd(text, start, end); at < end; at = graphemeEnd(text, at, end)) {
    const length = at - from
    const chosen = length >= PIECE_CHARS_MIN && localHash(text, at, PIECE_CHARS_MIN) % PIECE_ONE_IN === 0
    if (!chosen && length < PIECE_CHARS_MAX) continue
    starts.push(at)
    from = at
  }
  return starts
}
