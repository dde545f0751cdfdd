import { blocks } from './blocks.js'
import { type Atom, LEVEL } from './level.js'
import { sentenceStarts } from './sentences.js'
import { divide, pieceStarts, wordStarts } from './split.js'

/** Headings, code blocks, table rows, and the sentences of paragraphs and list items. */
export function structureAtoms(text: string): Atom[] {
  const atoms: Atom[] = []
  for (const { start, end, kind, level } of blocks(text)) {
    const atom: Atom = { start, end, level, heading: kind === 'heading', weight: 0 }
    if (kind !== 'paragraph' && kind !== 'item') atoms.push(atom)
    else for (const sentence of divide(text, atom, LEVEL.sentence, sentenceStarts)) atoms.push(sentence)
  }
  return atoms
}

/** A word longer than this is cut into pieces: one of a language without spaces, or no word at all. */
const WORD_CHARS_MAX = 24

/** Words, and pieces of long ones, as all of Chinese is. No structure. */
export function wordAtoms(text: string): Atom[] {
  const whole: Atom = { start: 0, end: text.length, level: LEVEL.block, heading: false, weight: 0 }
  return divide(text, whole, LEVEL.space, wordStarts).flatMap((word) =>
    word.end - word.start > WORD_CHARS_MAX ? divide(text, word, LEVEL.piece, pieceStarts) : [word],
  )
}
