/**
 * How strong the cut before an atom is. Cuts are given up from the weakest to the strongest, so a chunk ends at the
 * strongest place that its size allows.
 */
export const LEVEL = {
  /** After a heading: it belongs to what follows. */
  glue: 0,
  /** Inside a grapheme, between code points: the very last resort. */
  point: 1,
  grapheme: 2,
  /** Inside a word, every dozen of characters or so. */
  piece: 3,
  space: 4,
  clause: 5,
  line: 6,
  sentence: 7,
  /** Before a list item or a table row. */
  item: 8,
  /** Before a paragraph, a list, a table, a code block. */
  block: 9,
} as const

/** The cut before a heading of a rank from 1 (strongest) to 6. */
export const headingLevel = (rank: number): number => 16 - rank

export const isHeadingLevel = (level: number): boolean => level > LEVEL.block

/** A span that is not divided further for now; between two of them lies white space at most. */
export interface Atom {
  /** UTF-16 code units in the cleaned text. */
  readonly start: number
  readonly end: number
  /** The cut before this atom. */
  readonly level: number
  /** Whether it is a heading, which must not end a chunk. */
  readonly heading: boolean
  /**
   * Its share of a chunk's budget: tokens without the special ones, or more for text that a tokenizer swallows (see
   * weigh). 0 until weighed, then final. Written in place: a large document has millions of atoms.
   */
  weight: number
  /** Index of the section that a chunk starting here belongs to. Written in place, too. */
  section: number
}
