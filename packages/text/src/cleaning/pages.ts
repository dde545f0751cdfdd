import { Edits, type Rewritten } from '../edits.js'

/** Lines looked at on either end of a page. */
const EDGE_LINES = 3
const LINE_CHARS_MAX = 200
/** A line is a header from so many pages on, and this share of all of them (left and right pages may differ). */
const PAGES_MIN = 3
const PAGES_SHARE = 1 / 3
/** Nothing has more pages; counting their lines would take the memory of many texts. */
const PAGES_MAX = 50_000
const NUMBER = /\d{1,6}/g
/** Tables are continued with their header, code with its fence. */
const KEPT = /^\s*(?:\||`{3}|~{3})/

interface Line {
  readonly start: number
  /** Behind its line break. */
  readonly end: number
  readonly keys: readonly string[]
}
interface Edges {
  readonly top: readonly Line[]
  readonly bottom: readonly Line[]
}

/**
 * Removes lines that are repeated at the tops or the bottoms of pages, page numbers that count up with them included;
 * form feeds become line breaks.
 * @param starts where pages begin, ascending; without any, form feeds (U+000C) part pages
 */
export function pageHeaders(text: string, starts: readonly number[] = []): Rewritten | null {
  const hasFeeds = text.includes('\f')
  if (!hasFeeds && starts.length < PAGES_MIN) return null
  const edits = new Edits(text)
  const spans = pagesOf(text, starts)
  const pages = (spans.length > PAGES_MAX ? [] : spans).map(([from, to], index) =>
    edgesOf(text, from, to, index),
  )
  const least = Math.max(PAGES_MIN, Math.ceil(pages.length * PAGES_SHARE))
  const tops = repeated(
    pages.map(({ top }) => top),
    least,
  )
  const bottoms = repeated(
    pages.map(({ bottom }) => bottom),
    least,
  )
  let feed = hasFeeds ? text.indexOf('\f') : -1
  const feedsBefore = (at: number): void => {
    for (; feed >= 0 && feed < at; feed = text.indexOf('\f', feed + 1)) edits.replace(feed, feed + 1, '\n')
  }
  for (const [index, { top, bottom }] of pages.entries()) {
    const gone = [...leading(top, tops), ...leading(bottom, bottoms).reverse()]
    // What would be all of a page is no header of it.
    if (isAll(text, spans[index], gone)) continue
    let last = -1
    for (const { start, end } of gone) {
      // Of a short page the same line may stand at both ends.
      if (start < last) continue
      feedsBefore(start)
      edits.replace(start, end, '')
      while (feed >= 0 && feed < end) feed = text.indexOf('\f', feed + 1)
      last = end
    }
  }
  feedsBefore(text.length)
  return edits.finish()
}

/** Whether nothing but white space is left of a page without these lines, in their order. */
function isAll(text: string, span: readonly [number, number] | undefined, gone: readonly Line[]): boolean {
  const [from, to] = span ?? [0, 0]
  let at = from
  for (const { start, end } of gone) {
    if (start > at && text.slice(at, start).trim() !== '') return false
    at = Math.max(at, end)
  }
  return text.slice(at, to).trim() === ''
}

function pagesOf(text: string, starts: readonly number[]): (readonly [from: number, to: number])[] {
  const cuts =
    starts.length >= PAGES_MIN ? starts : [0, ...[...text.matchAll(/\f/g)].map((feed) => feed.index + 1)]
  return cuts.map((from, index) => [from, cuts[index + 1] ?? text.length])
}

/** The first and the last lines of a page that are not blank; the last ones from the end. */
function edgesOf(text: string, from: number, to: number, page: number): Edges {
  const top: Line[] = []
  for (let start = from; start < to && top.length < EDGE_LINES; ) {
    const stop = text.indexOf('\n', start)
    const end = stop < 0 || stop >= to ? to : stop + 1
    const line = lineOf(text, start, end, page)
    if (line !== undefined) top.push(line)
    start = end
  }
  const bottom: Line[] = []
  for (let end = to; end > from && bottom.length < EDGE_LINES; ) {
    const start = end < 2 ? from : Math.max(from, text.lastIndexOf('\n', end - 2) + 1)
    const line = lineOf(text, start, end, page)
    if (line !== undefined) bottom.push(line)
    end = start
  }
  return { top, bottom }
}

function lineOf(text: string, start: number, end: number, page: number): Line | undefined {
  const raw = text.slice(start, Math.min(end, start + LINE_CHARS_MAX + 1)).replaceAll('\f', '')
  const line = raw.trim().replaceAll(/\s+/g, ' ')
  if (line === '') return undefined
  if (raw.length > LINE_CHARS_MAX || KEPT.test(raw)) return { start, end, keys: [] }
  const shape = line.replaceAll(NUMBER, '#')
  const numbers = isNumbered(raw.trim().replaceAll(NUMBER, '#'))
    ? [...line.matchAll(NUMBER)].map(([digits]) => Number(digits) - page)
    : []
  const keys =
    numbers.length === 0 ? [] : [numbers.at(0), numbers.at(-1)].map((offset) => `#${offset} ${shape}`)
  return { start, end, keys: [`=${line}`, ...new Set(keys)] }
}

/**
 * Whether a line carries a page number: nothing but numbers, with the words that go with them, or a running title and a
 * number set apart. "Question 1" on the first page and "Question 2" on the second is what the pages are about.
 */
const isNumbered = (shape: string): boolean => BARE.test(shape) || APART.test(shape)
const WORDS = 'pages?|pg|p|seite|s|página|pagina|pag|страница|стр|第|共|of|von|de|sur|di|из|页|頁|ページ|쪽'
const BARE = new RegExp(`^(?:[^\\p{L}]|(?<!\\p{L})(?:${WORDS})(?!\\p{L})|第|共|页|頁|ページ|쪽)*$`, 'iu')
const APART =
  /^#(?:\s{2,}|\s*[|·•–—]\s*)\S|\S(?:\s{2,}|\s*[|·•–—]\s*)(?:page |p\. ?|seite )?#(?:\s*(?:\/|of|von)\s*#)?$/iu

/** Keys that stand on enough pages. */
function repeated(edges: readonly (readonly Line[])[], least: number): Set<string> {
  const counts = new Map<string, number>()
  for (const lines of edges) {
    for (const key of new Set(lines.flatMap((line) => line.keys))) counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return new Set([...counts].filter(([, count]) => count >= least).map(([key]) => key))
}

/** Those from the edge inwards, up to the first that is not repeated. */
function leading(lines: readonly Line[], known: ReadonlySet<string>): Line[] {
  const stop = lines.findIndex((line) => !line.keys.some((key) => known.has(key)))
  return lines.slice(0, stop < 0 ? lines.length : stop)
}
