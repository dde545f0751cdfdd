import { messageOf } from '@millrace/errors'
import { titleOf } from '@millrace/text'
import mammoth from 'mammoth'
import { fileBroken } from '../errors.js'
import { Output } from '../output.js'
import { readXml } from '../xml.js'
import { openZip } from '../zip.js'
import { renderHtml } from './html.js'
import { checkOffice, mainPart, requiredPart, titleIn } from './office.js'
import type { Reader } from './reader.js'

/** Styles that mean structure, beside the headings that mammoth knows by itself. */
const STYLES = [
  "p[style-name='Title'] => h1:fresh",
  "p[style-name='Subtitle'] => p:fresh",
  ...[7, 8, 9].map((level) => `p[style-name='heading ${level}'] => h6:fresh`),
  ...['Code', 'Source Code', 'HTML Preformatted', 'Plain Text'].map(
    (name) => `p[style-name='${name}'] => pre:separator('\n')`,
  ),
  ...['Quote', 'Intense Quote'].map((name) => `p[style-name='${name}'] => blockquote > p:fresh`),
]

/** Headings, lists, tables, notes and text boxes, by way of HTML. Deleted text of tracked changes is left out. */
export const readDocx: Reader = async (file, limits) => {
  const archive = await openZip(file.bytes, limits)
  await checkOffice(archive, file.name, 'docx')
  // mammoth inflates what it wants without a limit; it gets a file that was weighed.
  await archive.weigh()
  const main = await mainPart(archive)
  readXml(await requiredPart(archive, main), main, {})
  const title = await titleIn(archive)
  const { markdown } = renderHtml(await toHtml(file.bytes))
  const output = new Output(limits)
  output.block(markdown)
  return { ...output.end(), title: title ?? titleOf(markdown) ?? null }
}

async function toHtml(bytes: Uint8Array): Promise<string> {
  try {
    const { value } = await mammoth.convertToHtml(
      { buffer: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) },
      {
        styleMap: STYLES,
        ignoreEmptyParagraphs: true,
        // Pictures hold no text, and nothing beside the file is opened.
        convertImage: mammoth.images.imgElement(async () => ({ src: '' })),
        externalFileAccess: false,
      },
    )
    // The arrow that leads from a note back to its place.
    return value.replace(/<a href="#(?:footnote|endnote)-ref-[^"]*">↑<\/a>/g, '')
  } catch (error) {
    throw fileBroken(messageOf(error), error)
  }
}
