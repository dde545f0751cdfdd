/** What pdfjs-dist says of a run of characters. */
export interface TextItem {
  readonly str: string
  /** [a, b, c, d, x, y] from text to page space; y grows upwards. */
  readonly transform: readonly number[]
  readonly width: number
  readonly height: number
  readonly hasEOL: boolean
}

/** A line as it stands on its page; lengths in points. */
export interface Line {
  readonly text: string
  /** Height of its letters. */
  readonly size: number
  readonly left: number
  readonly right: number
  readonly y: number
}

/** A page's lines, in the order in which the page writes them. */
export function linesOf(items: readonly TextItem[]): Line[] {
  const lines: Line[] = []
  let parts: TextItem[] = []
  const flush = () => {
    const line = lineOf(parts)
    if (line !== null) lines.push(line)
    parts = []
  }
  for (const item of items) {
    const last = parts.at(-1)
    // A run whose foot is elsewhere starts a line; a raised or lowered mark, by less than half a letter, does not.
    if (last !== undefined && item.str !== '' && isElsewhere(last, item)) flush()
    if (item.str !== '') parts.push(item)
    if (item.hasEOL) flush()
  }
  flush()
  return lines
}

const sizeOf = (item: TextItem): number =>
  Math.hypot(item.transform[2] ?? 0, item.transform[3] ?? 0) || item.height
const xOf = (item: TextItem): number => item.transform[4] ?? 0
const yOf = (item: TextItem): number => item.transform[5] ?? 0

const isUpright = (item: TextItem): boolean => Math.abs(item.transform[1] ?? 0) < 0.01 * sizeOf(item)

const isElsewhere = (last: TextItem, item: TextItem): boolean =>
  isUpright(last) &&
  isUpright(item) &&
  Math.abs(yOf(item) - yOf(last)) > 0.6 * Math.max(sizeOf(item), sizeOf(last), 1)

function lineOf(parts: readonly TextItem[]): Line | null {
  const text = parts
    .map(({ str }) => str)
    .join('')
    .replace(/[\s\u00ad]+/g, (space) => (space.includes('\u00ad') ? '' : ' '))
    .trim()
  const [first] = parts
  if (text === '' || first === undefined) return null
  const seen = parts.filter(({ str }) => str.trim() !== '')
  return {
    text,
    // Rounded, since programs scale: 11.96 and 12.04 are one size.
    size: Math.round(Math.max(...seen.map(sizeOf)) * 2) / 2,
    left: Math.min(...seen.map(xOf)),
    right: Math.max(...seen.map((item) => xOf(item) + item.width)),
    y: yOf(first),
  }
}

/** A line this much larger than the text is a heading. */
const HEADING_RATIO = 1.15
const HEADING_CHARS_MAX = 200
/** Where more than this share of the characters would be headings, sizes mean something else. */
const HEADING_SHARE_MAX = 0.25

/** Each page as its blocks: paragraphs, with their lines joined where a sentence goes on, and headings. */
export function setPages(pages: readonly (readonly Line[])[]): string[][] {
  const levels = headingLevels(pages.flat())
  return pages.map((lines) => blocksOf(lines, levels))
}

/** Which sizes are headings, and of which level: the largest is 1. */
function headingLevels(lines: readonly Line[]): ReadonlyMap<number, number> {
  const characters = new Map<number, number>()
  for (const { size, text } of lines) characters.set(size, (characters.get(size) ?? 0) + text.length)
  let body = 0
  let most = 0
  let total = 0
  for (const [size, count] of characters) {
    total += count
    if (count > most) {
      most = count
      body = size
    }
  }
  const larger = [...characters.keys()].filter((size) => size >= body * HEADING_RATIO).sort((a, b) => b - a)
  const share = larger.reduce((sum, size) => sum + (characters.get(size) ?? 0), 0) / Math.max(1, total)
  if (share > HEADING_SHARE_MAX) return new Map()
  return new Map(larger.map((size, at) => [size, Math.min(at + 1, 6)]))
}

function blocksOf(lines: readonly Line[], levels: ReadonlyMap<number, number>): string[] {
  const gap = usualGap(lines)
  const blocks: string[] = []
  let block = ''
  let level: number | undefined
  const flush = () => {
    if (block !== '') blocks.push(level === undefined ? block : `${'#'.repeat(level)} ${block}`)
    block = ''
  }
  for (const column of columnsOf(lines)) {
    const right = rightEdge(column)
    let last: Line | undefined
    for (const line of column) {
      const lineLevel = levelOf(line, levels)
      const isFirst = last === undefined || lineLevel !== level
      if (
        last === undefined ||
        isFirst ||
        isApart(last, line, lineLevel === undefined ? gap : line.size * 1.4)
      ) {
        flush()
        block = line.text
      } else if (level !== undefined || goesOn(last, line, right)) block = joined(block, line.text)
      else block = `${block}\n${line.text}`
      level = lineLevel
      last = line
    }
    flush()
  }
  return blocks
}

/** Lines that go down the page; one that is above the line before it starts another column. */
function columnsOf(lines: readonly Line[]): Line[][] {
  const columns: Line[][] = []
  let last: Line | undefined
  for (const line of lines) {
    if (last === undefined || line.y - last.y > Math.max(last.size, line.size) * 0.6) columns.push([])
    columns.at(-1)?.push(line)
    last = line
  }
  return columns
}

/** Whether a line was broken because it was full: the next one's first word would not have fitted. */
function goesOn(last: Line, line: Line, right: number): boolean {
  if (LIST_MARK.test(line.text)) return false
  const space = line.text.indexOf(' ')
  const word = UNSPACED.test(line.text[0] ?? '') ? 1 : space < 0 ? line.text.length : space
  const width = (line.right - line.left) / line.text.length
  return last.right + (word + 1) * width + 0.3 * line.size > right
}

function levelOf(line: Line, levels: ReadonlyMap<number, number>): number | undefined {
  const isHeading =
    line.text.length <= HEADING_CHARS_MAX && /\p{L}/u.test(line.text) && !LEADER.test(line.text)
  return isHeading ? levels.get(line.size) : undefined
}

/** The dots between an entry of a table of contents and its page. */
const LEADER = /(?:\. ?){4}|…{2}/

const LIST_MARK =
  /^(?:[•◦▪‣·●○■□–—*-]\s|\(?\d{1,3}[.)、]|\(?[a-zA-Z][.)]\s|[（(][一二三四五六七八九十\d]{1,3}[)）]|[一二三四五六七八九十]{1,3}、)/

/** A blank line between them, or letters of another size. */
function isApart(last: Line, line: Line, gap: number): boolean {
  const size = Math.max(last.size, line.size)
  return last.y - line.y > Math.max(gap * 1.35, size * 1.1) || Math.abs(last.size - line.size) > 2
}

/** The distance of lines in a paragraph: the lower quartile, since paragraphs have more of it between them. */
function usualGap(lines: readonly Line[]): number {
  const gaps: number[] = []
  lines.forEach((line, at) => {
    const before = lines[at - 1]
    const down = before === undefined ? 0 : before.y - line.y
    if (down > line.size * 0.6 && down < line.size * 3) gaps.push(down)
  })
  gaps.sort((a, b) => a - b)
  return gaps[Math.floor(gaps.length / 4)] ?? 0
}

/** Where full lines end: what nine of ten do not reach beyond. */
function rightEdge(lines: readonly Line[]): number {
  const edges = lines.map(({ right }) => right).sort((a, b) => a - b)
  return edges[Math.floor((edges.length - 1) * 0.9)] ?? 0
}

/** Han, kana and full-width punctuation, between which no space stands. */
const UNSPACED = /[\u2e80-\u303f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uff60]/

function joined(before: string, after: string): string {
  // A word divided at the line's end; a hyphen before a capital or a digit belongs to it.
  if (/\p{L}[-‐]$/u.test(before)) {
    return /^\p{Ll}/u.test(after) ? before.slice(0, -1) + after : before + after
  }
  const isUnspaced = UNSPACED.test(before.at(-1) ?? '') && UNSPACED.test(after[0] ?? '')
  return isUnspaced ? before + after : `${before} ${after}`
}
