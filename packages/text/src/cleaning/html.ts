import { Edits, type Rewritten } from '../edits.js'
import { outsideCode } from './code.js'
import { characterOf } from './entities.js'

const INLINE =
  'a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|img|input|ins|kbd|label|mark|picture|q|s|samp|small|source|span|strike|strong|sub|sup|time|tt|u|var|wbr|iframe|svg|video|audio|button'
const LINES =
  'address|article|aside|blockquote|body|br|caption|center|col|colgroup|dd|details|dialog|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|head|header|hgroup|hr|html|legend|li|link|main|menu|meta|nav|noscript|ol|optgroup|option|p|pre|script|section|select|style|summary|table|tbody|td|template|textarea|tfoot|th|thead|title|tr|ul'
const BARE =
  'allowfullscreen|async|autoplay|checked|controls|defer|disabled|hidden|loop|multiple|muted|nowrap|open|readonly|required|reversed|selected'
const ATTRIBUTE = `\\s{1,100}(?:[\\w:@.-]{1,100}\\s?=\\s?(?:"[^"<]{0,2000}"|'[^'<]{0,2000}'|[^\\s"'<>\`=]{1,2000})|(?:${BARE})(?=[\\s/>]))`
// Nothing is removed before a mark or the parts of a Hangul syllable: what then stood together would be another letter.
const NOT_BEFORE = '(?![\\p{M}\\u1161-\\u1175\\u11a8-\\u11c2])'
const NEXT = new RegExp(
  `<(\\/?)(?:(${INLINE})|(${LINES}))(?:${ATTRIBUTE}){0,50}\\s{0,100}\\/?>${NOT_BEFORE}` +
    `|&(#\\d{1,7}|#[xX][\\da-fA-F]{1,6}|[A-Za-z]\\w{1,31});${NOT_BEFORE}`,
  'giu',
)
const CLOSERS = { script: /<\/script\s{0,100}>/gi, style: /<\/style\s{0,100}>/gi } as const
/** Looked back for the start of a line; in a longer one a tag is a line's end. */
const LINE_CHARS_MAX = 500
const WHITE = /\s/
/** A line of these is one: a table's row, a heading. */
const ONE_LINE = /^\s*[|#]/

/**
 * Removes tags of HTML elements and resolves character references, outside code. What is not an element (`Vec<T>`,
 * `<your name>`, `a < b`, an address in angle brackets) stays, and so does a reference that would become a tag.
 */
export function html(text: string): Rewritten | null {
  if (!/[<&]/.test(text)) return null
  const edits = new Edits(text)
  const unclosed = new Set<string>()
  let done = 0
  for (const [from, to] of outsideCode(text)) {
    // With a character more, for what must not follow.
    const span = text.slice(from, to + 2)
    NEXT.lastIndex = Math.max(0, done - from)
    for (let match = NEXT.exec(span); match !== null; match = NEXT.exec(span)) {
      const index = from + match.index
      const end = from + NEXT.lastIndex
      if (end > to) break
      const [, slash = '', inline, block, reference] = match
      if (reference !== undefined) {
        const by = characterOf(reference, text.slice(end, end + 40))
        if (by !== undefined) edits.replace(index, end, by)
        continue
      }
      const name = block?.toLowerCase()
      const stop =
        slash === '' && (name === 'script' || name === 'style') ? contentEnd(text, end, name, unclosed) : end
      edits.replace(index, stop, inline === undefined ? border(text, index, stop) : '')
      NEXT.lastIndex = stop - from
      done = stop
      if (stop > to) break
    }
  }
  return edits.finish()
}

/** What is in a script or a style is no text. */
function contentEnd(text: string, from: number, name: 'script' | 'style', unclosed: Set<string>): number {
  if (unclosed.has(name)) return from
  const closer = CLOSERS[name]
  closer.lastIndex = from
  if (closer.test(text)) return closer.lastIndex
  unclosed.add(name)
  return from
}

/** What a tag leaves that stands between two words. */
function border(text: string, start: number, end: number): string {
  const isEdge = start === 0 || end === text.length
  if (isEdge || WHITE.test(text.charAt(start - 1)) || WHITE.test(text.charAt(end))) return ''
  const before = text.slice(Math.max(0, start - LINE_CHARS_MAX), start)
  return ONE_LINE.test(before.slice(before.lastIndexOf('\n') + 1, -1)) ? ' ' : '\n'
}
