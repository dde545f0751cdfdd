import { tooManyPages } from '../errors.js'
import { Output } from '../output.js'
import { markdownTable } from '../table.js'
import { readXml } from '../xml.js'
import { openZip } from '../zip.js'
import { checkOffice, mainPart, relationsOf, requiredPart, titleIn } from './office.js'
import type { Reader } from './reader.js'

interface Slide {
  readonly title: string
  readonly blocks: readonly string[]
  readonly isHidden: boolean
}

/** Slides in order: the title as a heading, texts, lists and tables, then the speaker's notes. Hidden ones are left out. */
export const readPptx: Reader = async (file, limits) => {
  const archive = await openZip(file.bytes, limits)
  await checkOffice(archive, file.name, 'pptx')
  const main = await mainPart(archive)
  const ids: string[] = []
  readXml(await requiredPart(archive, main), main, {
    open: (name, attribute) => {
      if (name === 'sldId') ids.push(attribute('r:id') ?? '')
    },
  })
  if (ids.length > limits.pages) throw tooManyPages(ids.length, 'slides', limits.pages)
  const slides = await relationsOf(archive, main)

  const output = new Output(limits)
  let firstTitle: string | null = null
  for (const [at, id] of ids.entries()) {
    const part = slides.get(id)
    if (part === undefined) continue
    const slide = slideOf(await requiredPart(archive, part.target), part.target)
    if (slide.isHidden) continue
    const relations = [...(await relationsOf(archive, part.target)).values()]
    const blocks = [...slide.blocks]
    for (const { target } of relations.filter(({ type }) => type === 'diagramData')) {
      const bytes = await archive.read(target)
      if (bytes !== null) blocks.push(...slideOf(bytes, target).blocks)
    }
    const notes = relations.find(({ type }) => type === 'notesSlide')
    const notesBytes = notes === undefined ? null : await archive.read(notes.target)
    if (notes !== undefined && notesBytes !== null)
      blocks.push(...slideOf(notesBytes, notes.target, true).blocks)
    if (slide.title === '' && blocks.length === 0) continue
    firstTitle ??= slide.title === '' ? null : slide.title
    output.part('slide', at + 1, slide.title)
    if (slide.title !== '') output.block(`# ${slide.title}`)
    for (const block of blocks) output.block(block)
  }
  return { ...output.end(), title: (await titleIn(archive)) ?? firstTitle }
}

/** Placeholders that repeat on every slide, or are a picture of the slide. */
const FURNITURE = new Set(['dt', 'ftr', 'sldNum', 'hdr', 'sldImg'])

/** One slide's, or its notes', texts in the order in which they are written. */
function slideOf(bytes: Buffer, where: string, isNotes = false): Slide {
  const blocks: string[] = []
  let title = ''
  let isHidden = false
  let placeholder: string | null = null
  let paragraphs: string[] = []
  let paragraph = ''
  let level = 0
  let hasBullet = false
  let isText = false
  const rows: string[][] = []
  let cellDepth = 0
  let fallbackDepth = 0
  readXml(bytes, where, {
    open: (name, attribute) => {
      // The same thing again, for programs that do not know the first form.
      if (name === 'Fallback') fallbackDepth++
      if (fallbackDepth > 0) return
      isText = name === 't'
      switch (name) {
        case 'sld':
          isHidden = attribute('show') === '0' || attribute('show') === 'false'
          break
        case 'sp':
          placeholder = null
          break
        case 'ph':
          placeholder = attribute('type') ?? 'body'
          break
        case 'txBody':
        case 'pt':
          if (cellDepth === 0) paragraphs = []
          break
        case 'p':
          paragraph = ''
          level = 0
          hasBullet = false
          break
        case 'pPr':
          level = Math.min(8, Math.max(0, Number(attribute('lvl') ?? 0) || 0))
          break
        case 'buChar':
        case 'buAutoNum':
          hasBullet = true
          break
        case 'buNone':
          hasBullet = false
          break
        case 'br':
          paragraph += '\n'
          break
        case 'tbl':
          rows.length = 0
          break
        case 'tr':
          rows.push([])
          break
        case 'tc':
          cellDepth++
          paragraphs = []
          break
      }
    },
    text: (text) => {
      if (isText) paragraph += text
    },
    close: (name) => {
      isText = false
      if (name === 'Fallback') fallbackDepth--
      if (fallbackDepth > 0) return
      switch (name) {
        case 'p': {
          const text = paragraph.trim()
          if (text === '') break
          const isItem = cellDepth === 0 && !isNotes && (hasBullet || level > 0)
          paragraphs.push(isItem ? `${'  '.repeat(level)}- ${text.replaceAll('\n', ' ')}` : text)
          break
        }
        case 'tc':
          cellDepth--
          rows.at(-1)?.push(paragraphs.join(' '))
          paragraphs = []
          break
        case 'tbl':
          blocks.push(markdownTable(rows))
          break
        case 'txBody':
        case 'pt': {
          if (cellDepth > 0 || paragraphs.length === 0) break
          if (placeholder !== null && FURNITURE.has(placeholder)) break
          const isTitle = placeholder === 'title' || placeholder === 'ctrTitle'
          if (isTitle && title === '') title = paragraphs.join(' ').replace(/\s+/g, ' ')
          else blocks.push(asBlock(paragraphs, isNotes ? null : placeholder))
          break
        }
      }
    },
  })
  return { title, blocks: blocks.filter((block) => block !== ''), isHidden }
}

/** Several paragraphs of a content placeholder are its bullets, which the layout draws; elsewhere they are lines. */
function asBlock(paragraphs: readonly string[], placeholder: string | null): string {
  const isOutline = (placeholder === 'body' || placeholder === 'obj') && paragraphs.length > 1
  const lines = paragraphs.map((text) =>
    !isOutline || /^\s*- /.test(text) ? text : `- ${text.replaceAll('\n', ' ')}`,
  )
  return lines.some((line) => /^\s*- /.test(line)) ? lines.join('\n') : lines.join('\n\n')
}
