import { parse, type DefaultTreeAdapterTypes as Tree } from 'parse5'
import { fileBroken } from '../errors.js'
import { markdownTable } from '../table.js'

type Node = Tree.ChildNode | Tree.Document

/** HTML as Markdown. */
export interface RenderedHtml {
  readonly markdown: string
  /** Its title element; null when that is missing or blank. */
  readonly title: string | null
}

/** Never shown as text: programs, styles, controls, pictures and what stands in for them. */
const UNSEEN = new Set([
  'head',
  'script',
  'style',
  'noscript',
  'template',
  'iframe',
  'object',
  'embed',
  'canvas',
  'svg',
  'math',
  'audio',
  'video',
  'img',
  'map',
  'select',
  'button',
  'input',
  'textarea',
  'dialog',
  'datalist',
  'frameset',
])
const BLOCKS = new Set([
  'address',
  'article',
  'aside',
  'body',
  'center',
  'dd',
  'details',
  'div',
  'dl',
  'dt',
  'fieldset',
  'figcaption',
  'figure',
  'footer',
  'form',
  'header',
  'hgroup',
  'html',
  'legend',
  'main',
  'nav',
  'p',
  'search',
  'section',
  'summary',
])
const DEPTH_MAX = 500

/**
 * Renders HTML as Markdown: headings, lists, quotes, code, tables with every row. What a browser does not show is left
 * out; nothing is run or fetched. Links and emphasis stay as their words.
 */
export function renderHtml(html: string): RenderedHtml {
  const document = parse(html)
  const title = find(document, 'title')
  const titleText = title === null ? '' : collapse(plain(title, 0)).trim()
  return {
    markdown: blocksOf(document, 0).join('\n\n'),
    title: titleText === '' ? null : titleText,
  }
}

/** The charset that an HTML text's first bytes declare. */
export function declaredCharset(bytes: Uint8Array): string | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 1024)).toString('latin1')
  const tag = /<meta[^>]{0,500}?charset\s*=\s*["']?\s*([\w:.-]+)/i.exec(head)
  const declaration = /^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w:.-]+)/i.exec(head)
  return tag?.[1] ?? declaration?.[1]
}

/** The blocks of a node's content, each without blank lines around it. */
function blocksOf(node: Node, depth: number): string[] {
  if (depth > DEPTH_MAX) throw fileBroken(`its elements are nested deeper than ${DEPTH_MAX}`)
  const blocks: string[] = []
  let inline = ''
  const flush = () => {
    const text = lines(inline)
    if (text !== '') blocks.push(text)
    inline = ''
  }
  for (const child of childrenOf(node)) {
    const block = isElement(child) ? blockOf(child, depth + 1) : null
    if (block === null) inline += inlineOf(child, depth + 1)
    else {
      flush()
      for (const text of block) if (text.trim() !== '') blocks.push(text)
    }
  }
  flush()
  return blocks
}

/** An element's blocks; null when it stands within a line. */
function blockOf(element: Tree.Element, depth: number): string[] | null {
  const name = element.tagName
  if (isUnseen(element)) return null
  if (/^h[1-6]$/.test(name)) {
    const text = oneLine(inlineChildren(element, depth))
    return text === '' ? [] : [`${'#'.repeat(Number(name[1]))} ${text}`]
  }
  switch (name) {
    case 'ul':
    case 'ol':
    case 'menu':
      return [listOf(element, depth)]
    case 'pre':
    case 'listing':
    case 'xmp':
      return [fenced(plain(element, depth).replace(/^\n/, '').trimEnd(), languageOf(element))]
    case 'blockquote':
      return [prefixed(blocksOf(element, depth).join('\n\n'), '> ')]
    case 'table':
      return tableOf(element, depth)
    case 'hr':
      return ['---']
    case 'dl':
      return [definitionsOf(element, depth)]
  }
  if (BLOCKS.has(name)) return blocksOf(element, depth)
  // An inline element around blocks, such as a link around a card.
  return hasBlock(element, 0) ? blocksOf(element, depth) : null
}

function hasBlock(element: Tree.Element, depth: number): boolean {
  if (depth > 20) return false
  return element.childNodes.some(
    (child) =>
      isElement(child) &&
      !isUnseen(child) &&
      (BLOCKS.has(child.tagName) ||
        /^(?:h[1-6]|ul|ol|menu|pre|blockquote|table)$/.test(child.tagName) ||
        hasBlock(child, depth + 1)),
  )
}

/** Text within a line; line breaks of `br` as U+2028 until the line is set. */
function inlineOf(node: Tree.ChildNode, depth: number): string {
  if (depth > DEPTH_MAX) throw fileBroken(`its elements are nested deeper than ${DEPTH_MAX}`)
  if (isText(node)) return collapse(node.value)
  if (!isElement(node) || isUnseen(node)) return ''
  if (node.tagName === 'br') return BREAK
  if (node.tagName === 'wbr') return ''
  if (node.tagName === 'code' || node.tagName === 'kbd' || node.tagName === 'samp' || node.tagName === 'tt') {
    const text = collapse(plain(node, depth))
    return text.trim() === '' || text.includes('`') ? text : `\`${text.trim()}\``
  }
  const text = inlineChildren(node, depth)
  if (node.tagName === 'q') return `"${text}"`
  if (node.tagName === 'td' || node.tagName === 'th') return `${text} `
  return text
}

const inlineChildren = (element: Tree.Element, depth: number): string =>
  element.childNodes
    .map((child) => {
      // A block where only a line fits, in a heading or a cell, is set apart by a space.
      const text = inlineOf(child, depth + 1)
      return isElement(child) && (BLOCKS.has(child.tagName) || child.tagName === 'li') ? ` ${text} ` : text
    })
    .join('')

function listOf(list: Tree.Element, depth: number): string {
  const first = Number.parseInt(attribute(list, 'start') ?? '1', 10)
  let number = Number.isSafeInteger(first) ? first : 1
  const items: string[] = []
  for (const child of list.childNodes) {
    if (!isElement(child) || isUnseen(child)) {
      const text = isText(child) ? lines(collapse(child.value)) : ''
      if (text !== '') items.push(text)
      continue
    }
    const mark = list.tagName === 'ol' ? `${number++}. ` : '- '
    const isNested = child.tagName === 'ul' || child.tagName === 'ol'
    const blocks = isNested ? [listOf(child, depth + 1)] : blocksOf(child, depth + 1)
    const text = blocks.reduce(
      (all, block) => (all === '' ? block : `${all}${isList(block) ? '\n' : '\n\n'}${block}`),
      '',
    )
    if (text === '') continue
    items.push(
      isNested ? prefixed(text, '  ') : `${mark}${prefixed(text, ' '.repeat(mark.length)).trimStart()}`,
    )
  }
  return items.join('\n')
}

const isList = (block: string): boolean => /^(?:- |\d+\. )/.test(block)

function definitionsOf(list: Tree.Element, depth: number): string {
  const entries: string[] = []
  const visit = (element: Tree.Element, depth: number) => {
    for (const child of element.childNodes) {
      if (!isElement(child) || isUnseen(child)) continue
      if (child.tagName === 'dt') entries.push(oneLine(inlineChildren(child, depth)))
      else if (child.tagName === 'dd') entries.push(prefixed(blocksOf(child, depth).join('\n\n'), ': ', '  '))
      else visit(child, depth + 1)
    }
  }
  visit(list, depth + 1)
  return entries.filter((entry) => entry.trim() !== '').join('\n')
}

/** A table's rows; one without a second column or row is layout, and its cells are blocks. */
function tableOf(table: Tree.Element, depth: number): string[] {
  const rows: Tree.Element[][] = []
  const captions: string[] = []
  const visit = (element: Tree.Element) => {
    for (const child of element.childNodes) {
      if (!isElement(child) || isUnseen(child)) continue
      if (child.tagName === 'tr') rows.push(child.childNodes.filter(isElement).filter(isCell))
      else if (child.tagName === 'caption') captions.push(oneLine(inlineChildren(child, depth)))
      else if (/^t(?:head|body|foot)$/.test(child.tagName)) visit(child)
    }
  }
  visit(table)
  const isLayout = rows.every((row) => row.length < 2) || rows.some((row) => row.some(holdsTable))
  if (isLayout) return [...captions, ...rows.flat().flatMap((cell) => blocksOf(cell, depth + 1))]
  const cells = rows.map((row) =>
    row.flatMap((cell) => {
      const span = Math.min(Math.max(1, Number.parseInt(attribute(cell, 'colspan') ?? '1', 10) || 1), 100)
      return [oneLine(cellText(cell, depth)), ...Array<string>(span - 1).fill('')]
    }),
  )
  return [...captions, markdownTable(cells)]
}

const isCell = (element: Tree.Element): boolean => element.tagName === 'td' || element.tagName === 'th'

const holdsTable = (element: Tree.Element): boolean => find(element, 'table') !== null

const cellText = (cell: Tree.Element, depth: number): string => blocksOf(cell, depth + 1).join(' ')

const languageOf = (element: Tree.Element): string => {
  const code = element.childNodes.find((child) => isElement(child) && child.tagName === 'code')
  const names = `${attribute(element, 'class') ?? ''} ${code && isElement(code) ? (attribute(code, 'class') ?? '') : ''}`
  return /(?:^|\s)(?:language|lang|highlight-source)-([\w+#-]{1,20})/.exec(names)?.[1] ?? ''
}

function fenced(code: string, language: string): string {
  if (code.trim() === '') return ''
  const longest = (code.match(/`{3,}/g) ?? []).reduce((most, run) => Math.max(most, run.length), 2)
  const fence = '`'.repeat(longest + 1)
  return `${fence}${language}\n${code}\n${fence}`
}

const prefixed = (text: string, first: string, rest = first): string =>
  text
    .split('\n')
    .map((line, at) => (line === '' ? '' : `${at === 0 ? first : rest}${line}`))
    .join('\n')

/** An element's text with its white space as it is. */
function plain(node: Node, depth: number): string {
  if (depth > DEPTH_MAX) throw fileBroken(`its elements are nested deeper than ${DEPTH_MAX}`)
  if (isText(node)) return node.value
  if (isElement(node) && node.tagName === 'br') return '\n'
  return childrenOf(node)
    .map((child) => plain(child, depth + 1))
    .join('')
}

const BREAK = '\u2028'

const collapse = (text: string): string => text.replace(/[ \t\n\f\r]+/g, ' ')

/** Inline text as lines, broken where `br` stood. */
const lines = (inline: string): string =>
  inline
    .split(BREAK)
    .map((line) => collapse(line).trim())
    .join('\n')
    .trim()

const oneLine = (inline: string): string => collapse(inline.replaceAll(BREAK, ' ')).trim()

/** The first element of a name, breadth ignored; depth-first without recursion. */
function find(from: Node, name: string): Tree.Element | null {
  const open: Node[] = [...childrenOf(from)].reverse()
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (isElement(node)) {
      if (node.tagName === name) return node
      if (node.tagName === 'svg') continue
    }
    const children = childrenOf(node)
    for (let at = children.length - 1; at >= 0; at--) open.push(children[at]!)
  }
  return null
}

const childrenOf = (node: Node): readonly Tree.ChildNode[] => ('childNodes' in node ? node.childNodes : [])

const isElement = (node: Node): node is Tree.Element => 'tagName' in node

const isText = (node: Node): node is Tree.TextNode => node.nodeName === '#text'

const attribute = (element: Tree.Element, name: string): string | undefined =>
  element.attrs.find((attr) => attr.name === name)?.value

function isUnseen(element: Tree.Element): boolean {
  if (UNSEEN.has(element.tagName)) return true
  if (attribute(element, 'hidden') !== undefined || attribute(element, 'aria-hidden') === 'true') return true
  return /(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)/i.test(attribute(element, 'style') ?? '')
}
