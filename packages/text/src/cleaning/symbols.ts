import { Edits, type Rewritten } from '../edits.js'
import { outsideCode } from './code.js'

// Not: brackets and quotes, and what is syntax in Markdown, paths and markup.
const RUN = /((?![`<>|\\/"'&%#@$^+])[\p{S}\p{Po}\p{Pd}\p{Pc}])\1{3}/gu
const WORD = /[\p{L}\p{N}]/u
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
    RUN.lastIndex = from
    for (let match = RUN.exec(text); match !== null && match.index < to; match = RUN.exec(text)) {
      const symbol = match[1] ?? ''
      let end = RUN.lastIndex
      while (end + symbol.length <= to && text.startsWith(symbol, end)) end += symbol.length
      RUN.lastIndex = end
      const isAscii = symbol.charCodeAt(0) < 0x80
      if (end > to || (isAscii && joins(text, match.index, end))) continue
      const kept = !isAscii ? 1 : symbol === '-' && isLine(text, match.index, end) ? RULE_KEPT : ASCII_KEPT
      const by = symbol.repeat(kept)
      if (end - match.index > by.length) edits.replace(match.index, end, by)
    }
  }
  return edits.finish()
}

const joins = (text: string, start: number, end: number): boolean =>
  start > 0 && WORD.test(text.charAt(start - 1)) && WORD.test(text.charAt(end))

/** Whether nothing but the run stands on its line. */
function isLine(text: string, start: number, end: number): boolean {
  const stop = text.indexOf('\n', end)
  const from = text.lastIndexOf('\n', start - 1) + 1
  // Far from a line's ends it is no line; and a megabyte of it is not worth a copy.
  if (start - from > 100 || (stop < 0 ? text.length : stop) - end > 100) return false
  return (
    text.slice(start === 0 ? 0 : from, start).trim() === '' &&
    text.slice(end, stop < 0 ? text.length : stop).trim() === ''
  )
}
