import { type Rewritten, rewrite } from '../edits.js'
import { HORIZONTAL, ODD_SPACES } from './space.js'

// Runs of white space, except the two that nearly always stay as they are: one space, one newline.
const RUNS = new RegExp(
  ` [${HORIZONTAL}\\n]+|\\n[${HORIZONTAL}\\n]+|[${ODD_SPACES}][${HORIZONTAL}\\n]*|^[ \\n]|[ \\n]$`,
  'g',
)
const NOT_INDENT = /[^\t ]/g

/**
 * One space for a run inside a line, none at a line's end, at most one empty line, nothing at either end of the text.
 * Indentation keeps its width: Markdown lists and code depend on it.
 */
export function whitespace(text: string): Rewritten | null {
  return rewrite(text, RUNS, (run, at) => {
    if (at === 0 || at + run.length === text.length) return ''
    const last = run.lastIndexOf('\n')
    if (last < 0) return ' '
    const lines = run.indexOf('\n') === last ? '\n' : '\n\n'
    return lines + run.slice(last + 1).replace(NOT_INDENT, ' ')
  })
}
