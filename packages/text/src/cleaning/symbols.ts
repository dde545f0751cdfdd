import { Edits, type Rewritten } from '../edits.js'
import { outsideCode } from './code.js'

// Not: brackets and quotes, and what is syntax in Markdown, paths and markup.
const RUN = /((?![`<>|\\/"'&%#@$^+])[\p{S}\p{Po}\p{Pd}\p{Pc}])\1{3}/gu
const WORD = /[\p{L}\p{N}]/u
/** White space looked through for the ends of a line; a line with more of it is none. */
const NEAR_CHARS = 100
const BLANK_BEFORE = /(?:^|\n)[^\S\n]*$/
const BLANK_AFTER = /^[^\S\n]*(?:\n|$)/
const RULER = /[|:]/
const ASCII_KEPT = 3
/** A line of dashes: three would be front matter at the start of a text. */
const RULE_KEPT = 4

/**
 * Shortens runs of one symbol: to three where it is ASCII (an ellipsis, a rule, the underline of a heading go on
 * meaning what they do), else to one. Tokenizers take each for a token, and a line of them says nothing. Code stays, and
 * so do names with such a run inside (a____b).
 */
export function symbolRuns(text: string): Rewritten | null {
  const edits = new Edits(text)
  for (const [from, to] of outsideCode(text)) {
    const span = text.slice(from, to)
    RUN.lastIndex = 0
    for (let match = RUN.exec(span); match !== null; match = RUN.exec(span)) {
      const symbol = match[1] ?? ''
      let stop = RUN.lastIndex
      while (span.startsWith(symbol, stop)) stop += symbol.length
      RUN.lastIndex = stop
      const start = from + match.index
      const end = from + stop
      const isAscii = symbol.charCodeAt(0) < 0x80
      if (isAscii && (joins(text, start, end) || isRuler(text, start, end))) continue
      const kept = !isAscii ? 1 : symbol === '-' && isLine(text, start, end) ? RULE_KEPT : ASCII_KEPT
      const by = symbol.repeat(kept)
      if (end - start > by.length) edits.replace(start, end, by)
    }
  }
  return edits.finish()
}

const joins = (text: string, start: number, end: number): boolean =>
  start > 0 && WORD.test(text.charAt(start - 1)) && WORD.test(text.charAt(end))

/** The rule below a table's header belongs to the step for tables. */
const isRuler = (text: string, start: number, end: number): boolean =>
  RULER.test(text.charAt(start - 1)) || RULER.test(text.charAt(end))

/** Whether nothing but the run stands on its line. */
function isLine(text: string, start: number, end: number): boolean {
  const before = text.slice(Math.max(0, start - NEAR_CHARS), start)
  const after = text.slice(end, end + NEAR_CHARS)
  return BLANK_BEFORE.test(before) && BLANK_AFTER.test(after)
}
