import { Edits, type Rewritten } from '../edits.js'
import { HORIZONTAL } from './space.js'

const OPEN = new RegExp(`---[${HORIZONTAL}]*\\n`, 'y')
const FENCE = new RegExp(`^---[${HORIZONTAL}]*$`)
const NAME = /^["'\p{L}_]/u
const KEY = /^[^:]+:(?:\s|$)/
// What else stands between the fences: an indented continuation, a list item, a comment, an empty line.
const CONTINUED = /^(?:\s|-\s|-$|#|$)/

/** The YAML block at the very start of a text (white space before it aside), or null. */
export interface Matter {
  readonly start: number
  readonly end: number
  /** The lines between the fences. */
  readonly lines: readonly string[]
}

/**
 * Finds front matter: a `---` line, lines that all look like YAML and of which the first is a key or a comment, a
 * closing `---`. A text that merely starts with a rule (`---`) is not taken for it.
 */
export function findMatter(text: string): Matter | null {
  const start = text.search(/\S/)
  if (start < 0) return null
  OPEN.lastIndex = start
  if (!OPEN.test(text)) return null
  const lines: string[] = []
  let at = OPEN.lastIndex
  let keys = 0
  while (at <= text.length) {
    const stop = text.indexOf('\n', at)
    const end = stop < 0 ? text.length : stop
    const line = text.slice(at, end)
    if (FENCE.test(line)) return keys > 0 ? { start, end, lines } : null
    if (NAME.test(line) && KEY.test(line)) keys++
    else if (!CONTINUED.test(line) || (keys === 0 && !line.startsWith('#'))) return null
    lines.push(line)
    at = end + 1
  }
  return null
}

/** Removes front matter. */
export function frontMatter(text: string): Rewritten | null {
  const matter = findMatter(text)
  if (matter === null) return null
  const edits = new Edits(text)
  edits.replace(matter.start, matter.end, '')
  return edits.finish()
}
