import { blocks } from './chunking/blocks.js'
import { headingText } from './chunking/heading.js'
import { findMatter } from './cleaning/matter.js'

const TITLE = /^title:\s+(.+)$/
const QUOTED = /^(["'])(.*)\1$/

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

const unquote = (value: string): string => QUOTED.exec(value)?.[2]?.trim() ?? value
