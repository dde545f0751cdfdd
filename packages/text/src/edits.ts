/** A half-open span of a string, in UTF-16 code units. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** Maps a span of a rewritten string to the span of the string it was made from. Monotonic. */
export type SpanMap = (start: number, end: number) => Span

/** A string that one step rewrote, with the way back. */
export interface Rewritten {
  readonly text: string
  readonly map: SpanMap
}

/** One edit in the table: where its replacement starts and ends in the output, where the original ended. */
const FIELDS = 3
/** Pieces joined at a time: one array of millions of tiny strings would cost more than the text. */
const PIECES_MAX = 4096

/**
 * Replacements in a string, recorded from left to right. What lies between two edits is the same on both sides,
 * so the way back needs three numbers an edit and none for untouched text.
 */
export class Edits {
  readonly #source: string
  #table = new Uint32Array(FIELDS * 64)
  #count = 0
  #sourceAt = 0
  #outLength = 0
  #text = ''
  #pieces: string[] = []

  constructor(source: string) {
    this.#source = source
  }

  /** Replaces [start, end) of the source; `start` must not lie before the end of the previous edit. */
  replace(start: number, end: number, by: string): void {
    this.#keep(start)
    this.#grow()
    const at = this.#count * FIELDS
    this.#table[at] = this.#outLength
    this.#table[at + 1] = this.#outLength + by.length
    this.#table[at + 2] = end
    this.#count++
    this.#push(by)
    this.#sourceAt = end
  }

  /** The rewritten string, or null when nothing was replaced. */
  finish(): Rewritten | null {
    if (this.#count === 0) return null
    this.#keep(this.#source.length)
    const text = this.#text + this.#pieces.join('')
    return { text, map: spanMap(this.#table.slice(0, this.#count * FIELDS), this.#count) }
  }

  #keep(until: number): void {
    if (until > this.#sourceAt) this.#push(this.#source.slice(this.#sourceAt, until))
  }

  #push(piece: string): void {
    if (piece === '') return
    this.#outLength += piece.length
    this.#pieces.push(piece)
    if (this.#pieces.length < PIECES_MAX) return
    this.#text += this.#pieces.join('')
    this.#pieces = []
  }

  #grow(): void {
    if ((this.#count + 1) * FIELDS <= this.#table.length) return
    const larger = new Uint32Array(this.#table.length * 2)
    larger.set(this.#table)
    this.#table = larger
  }
}

/** Replaces every match of a global expression; a replacement equal to its match is no edit. */
export function rewrite(
  source: string,
  expression: RegExp,
  replacement: (match: string, at: number) => string,
): Rewritten | null {
  const edits = new Edits(source)
  for (const match of source.matchAll(expression)) {
    const by = replacement(match[0], match.index)
    if (by !== match[0]) edits.replace(match.index, match.index + match[0].length, by)
  }
  return edits.finish()
}

/**
 * The way back through a table of edits. A start that falls on a deletion moves behind it and an end before it, so
 * that a span never grows by text that was removed at its edges; inside a replacement the whole original counts.
 */
function spanMap(table: Uint32Array, count: number): SpanMap {
  const field = (edit: number, offset: number): number => table[edit * FIELDS + offset] ?? 0
  /** The last edit whose replacement starts before `limit`, or -1. */
  const editBefore = (limit: number): number => {
    let low = 0
    let high = count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (field(middle, 0) < limit) low = middle + 1
      else high = middle
    }
    return low - 1
  }
  /** Where the original of an edit began: as far behind the previous edit as on the other side. */
  const originalStart = (edit: number): number =>
    edit === 0 ? field(0, 0) : field(edit - 1, 2) + (field(edit, 0) - field(edit - 1, 1))
  const startOf = (at: number): number => {
    const edit = editBefore(at + 1)
    if (edit < 0) return at
    return at < field(edit, 1) ? originalStart(edit) : field(edit, 2) + (at - field(edit, 1))
  }
  const endOf = (at: number): number => {
    const edit = editBefore(at)
    if (edit < 0) return at
    return at <= field(edit, 1) ? field(edit, 2) : field(edit, 2) + (at - field(edit, 1))
  }
  return (start, end) => {
    const from = startOf(start)
    return { start: from, end: Math.max(from, endOf(end)) }
  }
}
