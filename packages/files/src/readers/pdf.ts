import { fileURLToPath } from 'node:url'
import { messageOf } from '@millrace/errors'
import type { PDFDocumentProxy } from 'pdfjs-dist'
import { fileBroken, fileEncrypted, noText, textTooLong, tooManyPages } from '../errors.js'
import type { Limits } from '../limits.js'
import { Output } from '../output.js'
import { type Line, linesOf, setPages } from './pdf-lines.js'
import type { Reader } from './reader.js'

type Pdfjs = typeof import('pdfjs-dist')

/** Text page by page in the order in which it is written, larger lines as headings. Nothing in it is run or fetched. */
export const readPdf: Reader = async (file, limits) => {
  const pdfjs = await loadPdfjs()
  const task = pdfjs.getDocument({
    // It keeps what it is given, so it gets its own.
    data: new Uint8Array(file.bytes),
    isEvalSupported: false,
    useWasm: false,
    useWorkerFetch: false,
    disableFontFace: true,
    useSystemFonts: false,
    enableXfa: false,
    stopAtErrors: false,
    verbosity: pdfjs.VerbosityLevel.ERRORS,
    cMapUrl: folderOf('cmaps'),
    cMapPacked: true,
    standardFontDataUrl: folderOf('standard_fonts'),
  })
  const document = await task.promise.catch((error: unknown) => {
    throw nameOf(error) === 'PasswordException' ? fileEncrypted() : fileBroken(messageOf(error), error)
  })
  try {
    if (document.numPages > limits.pages) throw tooManyPages(document.numPages, 'pages', limits.pages)
    const { pages, broken, unreadable } = await readPages(document, limits)
    const empty = pages.flatMap((lines, at) => (lines.length === 0 && !broken.has(at + 1) ? [at + 1] : []))
    if (broken.size === pages.length) throw fileBroken([...broken.values()][0] ?? 'it has no pages')
    if (empty.length + broken.size === pages.length) {
      throw noText(`None of the file's ${pages.length} pages has text: they are pictures, scans perhaps`)
    }
    const output = new Output(limits)
    setPages(pages).forEach((blocks, at) => {
      output.part('page', at + 1)
      for (const block of blocks) output.block(block)
    })
    const warnings = [
      ...(unreadable > 0 ? [`${unreadable} characters are in fonts that do not say what they mean`] : []),
      ...(empty.length > 0 ? [`${numbered(empty)} without text: pictures, or blank`] : []),
      ...(broken.size > 0 ? [`${numbered([...broken.keys()])} could not be read`] : []),
    ]
    return { ...output.end(), title: await titleIn(document), warnings }
  } finally {
    await task.destroy()
  }
}

async function readPages(document: PDFDocumentProxy, limits: Limits) {
  const pages: Line[][] = []
  const broken = new Map<number, string>()
  let characters = 0
  let unreadable = 0
  for (let number = 1; number <= document.numPages; number++) {
    try {
      const page = await document.getPage(number)
      const { items } = await page.getTextContent({ includeMarkedContent: false })
      const lines = linesOf(items.filter((item) => 'str' in item))
      page.cleanup()
      pages.push(lines)
      for (const { text } of lines) {
        characters += text.length
        unreadable += text.match(UNREADABLE)?.length ?? 0
      }
    } catch (error) {
      pages.push([])
      broken.set(number, messageOf(error))
    }
    // Pages are kept until the sizes of all letters are known.
    if (characters > limits.textBytes) throw textTooLong(limits)
  }
  return { pages, broken, unreadable }
}

/** What stands for a glyph without a character. */
const UNREADABLE = /[\0\ufffd\ue000-\uf8ff]/g

function numbered(pages: readonly number[]): string {
  const some = pages.slice(0, 20).join(', ')
  const more = pages.length > 20 ? ` and ${pages.length - 20} more` : ''
  return pages.length === 1 ? `Page ${some} is` : `Pages ${some}${more} are`
}

/** The title in its properties, unless a program put a file's name there. */
async function titleIn(document: PDFDocumentProxy): Promise<string | null> {
  const metadata = await document.getMetadata().catch(() => null)
  const info = metadata?.info as { Title?: unknown } | undefined
  const title = typeof info?.Title === 'string' ? info.Title.replaceAll('\0', '').trim() : ''
  const isFileName = /^(?:microsoft (?:word|powerpoint) - |untitled)|^\S+\.[a-z]{2,5}$/i.test(title)
  return title === '' || isFileName ? null : title
}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '')

/** Files that come with pdfjs-dist: how the characters of Chinese, Japanese and Korean fonts are numbered. */
const folderOf = (name: string): string =>
  fileURLToPath(new URL(`../../${name}/`, import.meta.resolve('pdfjs-dist/legacy/build/pdf.mjs')))

let loading: Promise<Pdfjs> | undefined

/** Loaded when the first PDF comes. It wants classes that are for drawing; here nothing is drawn. */
const loadPdfjs = (): Promise<Pdfjs> => {
  const place = globalThis as { DOMMatrix?: unknown; ImageData?: unknown; Path2D?: unknown }
  place.DOMMatrix ??= class {}
  place.ImageData ??= class {}
  place.Path2D ??= class {}
  loading ??= import('pdfjs-dist/legacy/build/pdf.mjs') as Promise<Pdfjs>
  return loading
}
