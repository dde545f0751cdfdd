import { CodedError } from '@millrace/errors'
import type { Extracted, SourceFile } from './contract.js'
import { decode } from './encodings.js'
import {
  fileBroken,
  fileEmpty,
  fileEncrypted,
  noText,
  outOfMemory,
  textTooLong,
  typeMismatch,
  typeUnknown,
} from './errors.js'
import { type Format, formatOf, HEAD_BYTES, isText } from './formats.js'
import type { Limits } from './limits.js'
import type { Reader } from './readers/reader.js'
import { openZip } from './zip.js'

/** Each is loaded when its first file comes. */
const READERS: Readonly<Record<Format, () => Promise<Reader>>> = {
  text: async () => (await import('./readers/texts.js')).readText,
  markdown: async () => (await import('./readers/texts.js')).readMarkdown,
  html: async () => (await import('./readers/texts.js')).readHtml,
  csv: async () => (await import('./readers/texts.js')).readCsv,
  tsv: async () => (await import('./readers/texts.js')).readTsv,
  json: async () => (await import('./readers/texts.js')).readJson,
  jsonl: async () => (await import('./readers/texts.js')).readJsonLines,
  pdf: async () => (await import('./readers/pdf.js')).readPdf,
  docx: async () => (await import('./readers/docx.js')).readDocx,
  xlsx: async () => (await import('./readers/xlsx.js')).readXlsx,
  pptx: async () => (await import('./readers/pptx.js')).readPptx,
}

/** Extracts a file here and now: no time and memory limit holds. `openExtractor` is for files of strangers. */
export async function extractHere(file: SourceFile, limits: Limits): Promise<Extracted> {
  const format = await settle(file, limits)
  const read = await READERS[format]()
  try {
    const { text, title, encoding = null, layout = [], warnings = [] } = await read(file, limits)
    if (text === '') {
      throw noText(isText(format) ? 'The file holds no text' : 'The file holds no text, but pictures perhaps')
    }
    return { text, title: title === null ? null : title.toWellFormed(), format, encoding, layout, warnings }
  } catch (error) {
    throw translated(error, limits)
  }
}

/** What the file is read as. Throws what is wrong with its kind. */
async function settle(file: SourceFile, limits: Limits): Promise<Format> {
  const { name, bytes } = file
  const { format, expected, found } = formatOf(name, file.mediaType, bytes.subarray(0, HEAD_BYTES))
  if (found === 'empty') throw fileEmpty(name)
  if (format !== null) return format
  if (found === 'ole') throw oleError(file, expected)
  if (found === 'zip' && expected === null) {
    const { officeFormat } = await import('./readers/office.js')
    const office = await officeFormat(await openZip(bytes, limits))
    if (office === null) throw typeUnknown(name, 'zip')
    return office
  }
  // The first bytes of a text may be rare; all of them tell.
  if (found === 'binary' && (expected === null || isText(expected)) && decode(bytes) !== null) {
    return expected ?? 'text'
  }
  if (expected !== null) throw typeMismatch(name, expected, found)
  throw typeUnknown(name, found)
}

/** Old office formats, and new ones with a password, come in the same container. */
function oleError(file: SourceFile, expected: Format | null): CodedError {
  const bytes = Buffer.from(file.bytes.buffer, file.bytes.byteOffset, file.bytes.byteLength)
  const has = (name: string) => bytes.includes(Buffer.from(name, 'utf16le'))
  if (has('EncryptedPackage')) return fileEncrypted()
  const kind = has('WordDocument')
    ? 'doc'
    : has('Workbook')
      ? 'xls'
      : has('PowerPoint Document')
        ? 'ppt'
        : 'an OLE container (old Office, msi or msg)'
  return expected === null ? typeUnknown(file.name, kind) : typeMismatch(file.name, expected, kind)
}

/** What libraries throw, in our words. */
function translated(error: unknown, limits: Limits): CodedError {
  if (error instanceof CodedError) return error
  if (error instanceof RangeError) {
    if (/call stack/i.test(error.message)) return fileBroken('it is nested too deeply', error)
    if (/string length/i.test(error.message)) return textTooLong(limits)
    if (/allocation failed|array buffer|array length/i.test(error.message)) return outOfMemory(limits)
  }
  return fileBroken(error instanceof Error ? error.message : String(error), error)
}
