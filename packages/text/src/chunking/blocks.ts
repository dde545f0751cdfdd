import { headingLevel, LEVEL } from './level.js'

/** A run of whole lines: a heading, a fenced code block, a table row, a list item or a paragraph. */
export interface Block {
  /** UTF-16 code units; `end` lies before the last line's newline. */
  readonly start: number
  readonly end: number
  readonly kind: 'heading' | 'code' | 'row' | 'item' | 'paragraph'
  /** The cut before it. */
  readonly level: number
  /** Of a heading, from 1. */
  readonly rank?: number
}

interface Line {
  readonly start: number
  readonly end: number
  readonly text: string
}

type Shape = { readonly kind: Block['kind']; readonly rank?: number; readonly fence?: string } | 'blank'

const BLANK = /^\s*$/
const HEADING = /^ {0,3}(#{1,6})(?:\s|$)/
const UNDERLINE = /^ {0,3}(?:(={2,})|-{2,})\s*$/
const FENCE = /^[\s>]*(`{3,}|~{3,})(.*)$/
const CLOSE = /^[\s>]*(`{3,}|~{3,})\s*$/
const ROW = /^\s*\|/
const RULER = /^\s*\|[\s:|-]+$/
const ITEM = /^\s*(?:[-*+•]|\d{1,9}[.)])\s/
const INDENTED = /^(?:\t| {2,})/
const WORDS = /[\p{L}\p{N}]/u
const COLON = /[:：]\s*$/
/** A line's shape shows in its first characters; a line of megabytes is not worth a scan. */
const SHAPE_CHARS = 1000

/** The blocks of a text, in order, read as Markdown; plain text is paragraphs. Every non-blank line is in one. */
export function* blocks(text: string): Generator<Block> {
  let previous: Block | null = null
  let blank = true
  let at = 0
  while (at <= text.length) {
    const line = lineAt(text, at)
    const shape = shapeOf(line.text)
    at = line.end + 1
    if (shape === 'blank') {
      blank = true
      continue
    }
    const block = extend(text, line, shape, previous, blank)
    at = block.end + 1
    blank = false
    previous = block
    yield block
  }
}

function lineAt(text: string, start: number): Line {
  const stop = text.indexOf('\n', start)
  const end = stop < 0 ? text.length : stop
  return { start, end, text: text.slice(start, Math.min(end, start + SHAPE_CHARS)) }
}

function shapeOf(line: string): Shape {
  if (BLANK.test(line)) return line.length < SHAPE_CHARS ? 'blank' : { kind: 'paragraph' }
  const heading = HEADING.exec(line)?.[1]
  if (heading !== undefined) return { kind: 'heading', rank: heading.length }
  const fence = FENCE.exec(line)
  // CommonMark: backticks with another backtick behind them on the line are inline code.
  if (fence?.[1] !== undefined && !(fence[1].startsWith('`') && fence[2]?.includes('`'))) {
    return { kind: 'code', fence: fence[1] }
  }
  if (ROW.test(line)) return { kind: 'row' }
  return { kind: ITEM.test(line) ? 'item' : 'paragraph' }
}

/** The block that starts with a line: one line for headings and rows, more for the others. */
function extend(
  text: string,
  line: Line,
  shape: Exclude<Shape, 'blank'>,
  before: Block | null,
  blank: boolean,
): Block {
  const { start } = line
  const { kind, rank, fence } = shape
  const level = cutBefore(text, line, kind, before, blank)
  if (rank !== undefined) {
    const own = before?.kind === 'heading' ? LEVEL.glue : headingLevel(rank)
    return { start, end: line.end, kind, level: own, rank }
  }
  if (fence !== undefined) return { start, end: codeEnd(text, line.end, fence), kind, level }
  if (kind === 'row') return { start, end: line.end, kind, level }
  const next = lineAt(text, line.end + 1)
  const underline = kind === 'paragraph' && line.end < text.length ? UNDERLINE.exec(next.text) : null
  if (underline !== null) {
    const setext = underline[1] === undefined ? 2 : 1
    const own = before?.kind === 'heading' ? LEVEL.glue : headingLevel(setext)
    return { start, end: next.end, kind: 'heading', level: own, rank: setext }
  }
  return { start, end: paragraphEnd(text, line.end), kind, level }
}

/** The end of the line that closes a fence: the same character, at least as many; else the end of the text. */
function codeEnd(text: string, opened: number, fence: string): number {
  for (let at = opened + 1; at <= text.length; ) {
    const line = lineAt(text, at)
    const close = CLOSE.exec(line.text)?.[1]
    if (close !== undefined && close[0] === fence[0] && close.length >= fence.length) return line.end
    at = line.end + 1
  }
  return text.length
}

/** A paragraph or item goes on until a line that is blank or starts something else. */
function paragraphEnd(text: string, first: number): number {
  let end = first
  while (end < text.length) {
    const line = lineAt(text, end + 1)
    const shape = shapeOf(line.text)
    if (shape === 'blank' || shape.kind !== 'paragraph') return end
    end = line.end
  }
  return end
}

function cutBefore(
  text: string,
  line: Line,
  kind: Block['kind'],
  before: Block | null,
  blank: boolean,
): number {
  if (before === null) return LEVEL.block
  if (before.kind === 'heading') return LEVEL.glue
  if (kind === 'row' && before.kind === 'row') return RULER.test(line.text) ? LEVEL.glue : LEVEL.item
  // A rule or a closing mark (---, :::) ends what stands before it.
  if (kind === 'paragraph' && !WORDS.test(line.text)) return LEVEL.glue
  const indented = INDENTED.test(line.text)
  if (kind === 'item' && before.kind === 'item') return indented ? LEVEL.sentence : LEVEL.item
  // What "as follows:" announces stays with it where it can.
  if (kind !== 'paragraph' && COLON.test(text.slice(Math.max(before.start, before.end - 8), before.end))) {
    return LEVEL.line
  }
  if (kind === 'item' && indented) return LEVEL.item
  if (kind === 'paragraph' && indented && before.kind === 'item') return LEVEL.sentence
  return blank ? LEVEL.block : LEVEL.item
}
