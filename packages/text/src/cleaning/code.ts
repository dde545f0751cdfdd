import { HORIZONTAL } from './space.js'

// Quoted and indented fences count too, hence the leading class.
const FENCE = new RegExp(`^[${HORIZONTAL}>]*(\`{3,}|~{3,})([^\\n]*)$|(\`+)`, 'gm')
const CLOSE = new RegExp(`^[${HORIZONTAL}>]*(\`{3,}|~{3,})[${HORIZONTAL}]*$`, 'gm')
const TICKS = /`+/g
/** Inline code is looked for so far: a stray backtick must not cost a walk through the text. */
const INLINE_CHARS_MAX = 10_000

/** The spans of a text that are no code, in order: neither in fenced blocks nor between backticks. */
export function* outsideCode(text: string): Generator<readonly [start: number, end: number]> {
  let from = 0
  FENCE.lastIndex = 0
  for (let match = FENCE.exec(text); match !== null; match = FENCE.exec(text)) {
    const [whole, fence, info = '', ticks] = match
    const opened = FENCE.lastIndex
    let end: number
    // CommonMark: a line of backticks with another backtick in it is inline code, not a fence.
    if (fence !== undefined && !(fence.startsWith('`') && info.includes('`'))) {
      end = fenceEnd(text, opened, fence)
    } else {
      const run = ticks ?? fence ?? ''
      const after = match.index + whole.indexOf(run) + run.length
      end = inlineEnd(text, after, run.length)
      if (end < 0) {
        FENCE.lastIndex = after
        continue
      }
    }
    if (match.index > from) yield [from, match.index]
    from = end
    FENCE.lastIndex = end
  }
  if (from < text.length) yield [from, text.length]
}

function fenceEnd(text: string, opened: number, fence: string): number {
  CLOSE.lastIndex = opened
  for (let match = CLOSE.exec(text); match !== null; match = CLOSE.exec(text)) {
    const close = match[1] ?? ''
    if (close[0] === fence[0] && close.length >= fence.length) return CLOSE.lastIndex
  }
  return text.length
}

/** Where inline code ends that a run of backticks opened; -1 when its paragraph has no run of the same length. */
function inlineEnd(text: string, after: number, length: number): number {
  const near = text.slice(after, after + INLINE_CHARS_MAX)
  const blank = near.indexOf('\n\n')
  const slice = blank < 0 ? near : near.slice(0, blank)
  TICKS.lastIndex = 0
  for (let match = TICKS.exec(slice); match !== null; match = TICKS.exec(slice)) {
    if (match[0].length === length) return after + TICKS.lastIndex
  }
  return -1
}
