import { blocks } from './chunking/blocks.js'
import { findMatter } from './cleaning/matter.js'

const TITLE = /^title:\s+(.+)$/
const QUOTED = /^(["'])(.*)\1$/
const ATX = /^ {0,3}#{1,6}\s*/
const ATX_END = /\s+#+\s*$/

/**
 * A Markdown text's title: `title` of its front matter, else its first heading (ATX or Setext, not in a code block),
 * as plain text. undefined when it has neither. Expects LF line breaks.
 */
export function titleOf(markdown: string): string | undefined {
  const matter = findMatter(markdown)
  for (const line of matter?.lines ?? []) {
    const title = unquote(TITLE.exec(line)?.[1]?.trim() ?? '')
    if (title !== '') return title
  }
  const body = markdown.slice(matter?.end ?? 0)
  for (const block of blocks(body)) {
    if (block.kind !== 'heading') continue
    const title = headingText(body.slice(block.start, block.end))
    if (title !== '') return title
  }
  return undefined
}

function headingText(heading: string): string {
  const [line = ''] = heading.split('\n')
  return ATX.test(line) ? line.replace(ATX, '').replace(ATX_END, '').trim() : line.trim()
}

const unquote = (value: string): string => QUOTED.exec(value)?.[2]?.trim() ?? value
