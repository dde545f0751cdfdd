import { blocks } from './blocks.js'
import { type Atom, LEVEL } from './level.js'
import { segmentStarts, sentenceStarts } from './sentences.js'
import { divide, pieceStarts, wordStarts } from './split.js'

/** Headings, code blocks, table rows, and the sentences of paragraphs and list items. */
export function structureAtoms(text: string): Atom[] {
  const atoms: Atom[] = []
  for (const { start, end, kind, level } of blocks(text)) {
    const atom: Atom = { start, end, level, heading: kind === 'heading', weight: 0, section: 0 }
    if (kind !== 'paragraph' && kind !== 'item') atoms.push(atom)
    else for (const sentence of divide(text, atom, LEVEL.sentence, sentenceStarts)) atoms.push(sentence)
  }
  return atoms
}

/** As by structure, with a table as one: where it does not fit, it is divided between its rows. */
export function markdownAtoms(text: string): Atom[] {
  const atoms: Atom[] = []
  let table: Atom | undefined
  for (const { start, end, kind, level } of blocks(text)) {
    if (kind === 'row' && table !== undefined && text.slice(table.end, start).trim() === '') {
      table = { ...table, end }
      atoms[atoms.length - 1] = table
      continue
    }
    const atom: Atom = { start, end, level, heading: kind === 'heading', weight: 0, section: 0 }
    table = kind === 'row' ? atom : undefined
    if (kind !== 'paragraph' && kind !== 'item') atoms.push(atom)
    else for (const sentence of divide(text, atom, LEVEL.sentence, sentenceStarts)) atoms.push(sentence)
  }
  return atoms
}

/** The sentences of every line, as Intl.Segmenter sees them. */
export function sentenceAtoms(text: string): Atom[] {
  const atoms: Atom[] = []
  let blank = true
  for (let start = 0; start < text.length; ) {
    const stop = text.indexOf('\n', start)
    const end = stop < 0 ? text.length : stop
    if (text.slice(start, end).trim() === '') blank = true
    else {
      const level = blank ? LEVEL.block : LEVEL.item
      const line: Atom = { start, end, level, heading: false, weight: 0, section: 0 }
      for (const sentence of divide(text, line, LEVEL.sentence, segmentStarts)) atoms.push(sentence)
      blank = false
    }
    start = end + 1
  }
  return atoms
}

/** A word longer than this is cut into pieces: one of a language without spaces, or no word at all. */
const WORD_CHARS_MAX = 24

/** Words, and pieces of long ones, as all of Chinese is. No structure. */
export function wordAtoms(text: string): Atom[] {
  const whole: Atom = {
    start: 0,
    end: text.length,
    level: LEVEL.block,
    heading: false,
    weight: 0,
    section: 0,
  }
  return divide(text, whole, LEVEL.space, wordStarts).flatMap((word) =>
    word.end - word.start > WORD_CHARS_MAX ? divide(text, word, LEVEL.piece, pieceStarts) : [word],
  )
}
