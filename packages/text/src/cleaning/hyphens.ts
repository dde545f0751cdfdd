import { type Rewritten, rewrite } from '../edits.js'

// With the line break behind it where a word goes on: it was the end of a line on paper.
const SOFT = /\u00ad+(?:\n(?=\p{Ll}))?/gu

/** Removes soft hyphens: nobody sees them inside a line, and they divide words. */
export const softHyphens = (text: string): Rewritten | null =>
  text.includes('\u00ad') ? rewrite(text, SOFT, () => '') : null
