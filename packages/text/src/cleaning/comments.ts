import { Edits, type Rewritten } from '../edits.js'
import { HORIZONTAL } from './space.js'

// Quoted and indented fences count too, hence the leading class.
const NEXT = new RegExp(`^[${HORIZONTAL}>]*(\`{3,}|~{3,})([^\\n]*)$|<!--`, 'gm')
const CLOSE = new RegExp(`^[${HORIZONTAL}>]*(\`{3,}|~{3,})[${HORIZONTAL}]*$`, 'gm')
const WHITE = /\s/

/**
 * Removes HTML comments (in Markdown: licence headers, editors' notes) outside fenced code blocks. A comment written
 * as inline code (a backtick right before it) stays, and so does one that is never closed.
 */
export function htmlComments(text: string): Rewritten | null {
  if (!text.includes('<!--')) return null
  const edits = new Edits(text)
  NEXT.lastIndex = 0
  for (let match = NEXT.exec(text); match !== null; match = NEXT.exec(text)) {
    const fence = match[1]
    const next =
      fence === undefined ? removeAt(text, match.index, edits) : afterCode(text, fence, match[2] ?? '')
    if (next < 0) break
    NEXT.lastIndex = next
  }
  return edits.finish()
}

/** Removes the comment at `at`; answers where to go on, or -1 when no later comment can end either. */
function removeAt(text: string, at: number, edits: Edits): number {
  if (text[at - 1] === '`') return at + 4
  // From at + 2: HTML takes <!--> for an empty comment.
  const close = text.indexOf('-->', at + 2)
  if (close < 0) return -1
  const end = close + 3
  edits.replace(at, end, touchesWhite(text, at, end) ? '' : ' ')
  return end
}

/** Whether removing [start, end) joins nothing: white space or the text's edge on either side. */
function touchesWhite(text: string, start: number, end: number): boolean {
  return (
    start === 0 || end === text.length || WHITE.test(text[start - 1] ?? ' ') || WHITE.test(text[end] ?? ' ')
  )
}

/** Where the code block opened by the line just matched ends; -1 when it runs to the end of the text. */
function afterCode(text: string, fence: string, info: string): number {
  const opened = NEXT.lastIndex
  // CommonMark: a line of backticks with another backtick in it is inline code, not a fence.
  if (fence.startsWith('`') && info.includes('`')) return opened - info.length
  CLOSE.lastIndex = opened
  for (let match = CLOSE.exec(text); match !== null; match = CLOSE.exec(text)) {
    const close = match[1] ?? ''
    if (close[0] === fence[0] && close.length >= fence.length) return CLOSE.lastIndex
  }
  return -1
}
