/** What is read. */
export type Format =
  | 'text'
  | 'markdown'
  | 'html'
  | 'pdf'
  | 'docx'
  | 'xlsx'
  | 'pptx'
  | 'csv'
  | 'tsv'
  | 'json'
  | 'jsonl'

/** What the first bytes are, and what name and media type say. */
export interface FormatGuess {
  /** What to read the file as. null: it is nothing that is read, or not what its name says. */
  readonly format: Format | null
  /** What the name's extension says, else the media type; null when neither names a format that is read. */
  readonly expected: Format | null
  /** What the content is: `text`, `pdf`, `zip`, `ole`, a foreign kind such as `png`, `binary`, or `empty`. */
  readonly found: string
}

const BY_EXTENSION: Readonly<Record<string, Format>> = {
  txt: 'text',
  text: 'text',
  log: 'text',
  rst: 'text',
  adoc: 'text',
  asciidoc: 'text',
  org: 'text',
  tex: 'text',
  md: 'markdown',
  markdown: 'markdown',
  mdx: 'markdown',
  html: 'html',
  htm: 'html',
  xhtml: 'html',
  pdf: 'pdf',
  docx: 'docx',
  docm: 'docx',
  dotx: 'docx',
  xlsx: 'xlsx',
  xlsm: 'xlsx',
  xltx: 'xlsx',
  pptx: 'pptx',
  pptm: 'pptx',
  ppsx: 'pptx',
  potx: 'pptx',
  csv: 'csv',
  tsv: 'tsv',
  tab: 'tsv',
  json: 'json',
  jsonl: 'jsonl',
  ndjson: 'jsonl',
}

const OOXML = 'application/vnd.openxmlformats-officedocument'
const BY_MEDIA_TYPE: Readonly<Record<string, Format>> = {
  'text/plain': 'text',
  'text/markdown': 'markdown',
  'text/x-markdown': 'markdown',
  'text/html': 'html',
  'application/xhtml+xml': 'html',
  'application/pdf': 'pdf',
  'application/x-pdf': 'pdf',
  [`${OOXML}.wordprocessingml.document`]: 'docx',
  'application/vnd.ms-word.document.macroenabled.12': 'docx',
  [`${OOXML}.spreadsheetml.sheet`]: 'xlsx',
  'application/vnd.ms-excel.sheet.macroenabled.12': 'xlsx',
  [`${OOXML}.presentationml.presentation`]: 'pptx',
  [`${OOXML}.presentationml.slideshow`]: 'pptx',
  'application/vnd.ms-powerpoint.presentation.macroenabled.12': 'pptx',
  'text/csv': 'csv',
  'text/tab-separated-values': 'tsv',
  'application/json': 'json',
  'application/x-ndjson': 'jsonl',
  'application/ndjson': 'jsonl',
  'application/jsonl': 'jsonl',
  'application/x-jsonlines': 'jsonl',
}

/** Extensions of files that are read, lower case with their dot, for whoever walks a folder. */
export const READABLE_EXTENSIONS: readonly string[] = Object.keys(BY_EXTENSION).map((name) => `.${name}`)

/** Formats that are text; their content looks alike, so that name and media type decide among them. */
const TEXTS: ReadonlySet<Format> = new Set(['text', 'markdown', 'html', 'csv', 'tsv', 'json', 'jsonl'])
const ZIPPED: ReadonlySet<Format> = new Set(['docx', 'xlsx', 'pptx'])

export const isText = (format: Format): boolean => TEXTS.has(format)

/** How many of a file's first bytes `formatOf` looks at. */
export const HEAD_BYTES = 4096

/** First bytes of kinds that are not read, as Latin-1, and where they stand. */
const MAGIC: readonly (readonly [kind: string, bytes: string, at?: number])[] = [
  ['odt', 'mimetypeapplication/vnd.oasis.opendocument.text', 30],
  ['ods', 'mimetypeapplication/vnd.oasis.opendocument.spreadsheet', 30],
  ['odp', 'mimetypeapplication/vnd.oasis.opendocument.presentation', 30],
  ['epub', 'mimetypeapplication/epub', 30],
  ['zip', 'PK\x03\x04'],
  ['zip', 'PK\x05\x06'],
  ['zip', 'PK\x07\x08'],
  ['ole', '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1'],
  ['png', '\x89PNG\r\n\x1a\n'],
  ['jpg', '\xff\xd8\xff'],
  ['gif', 'GIF87a'],
  ['gif', 'GIF89a'],
  ['webp', 'WEBP', 8],
  ['avi', 'AVI ', 8],
  ['wav', 'WAVE', 8],
  ['tiff', 'II*\x00'],
  ['tiff', 'MM\x00*'],
  ['psd', '8BPS\x00'],
  ['ico', '\x00\x00\x01\x00'],
  ['gz', '\x1f\x8b'],
  ['bz2', 'BZh'],
  ['xz', '\xfd7zXZ\x00'],
  ['zst', '\x28\xb5\x2f\xfd'],
  ['lz4', '\x04\x22\x4d\x18'],
  ['7z', '7z\xbc\xaf\x27\x1c'],
  ['rar', 'Rar!\x1a\x07'],
  ['cab', 'MSCF\x00'],
  ['tar', 'ustar', 257],
  ['exe', 'MZ\x90\x00'],
  ['exe', 'MZ\x00'],
  ['elf', '\x7fELF'],
  ['mach-o', '\xcf\xfa\xed\xfe'],
  ['mach-o', '\xce\xfa\xed\xfe'],
  ['class', '\xca\xfe\xba\xbe'],
  ['wasm', '\x00asm'],
  ['mp3', 'ID3'],
  ['mp4', 'ftyp', 4],
  ['ogg', 'OggS\x00'],
  ['flac', 'fLaC'],
  ['mkv', '\x1a\x45\xdf\xa3'],
  ['sqlite', 'SQLite format 3\x00'],
  ['parquet', 'PAR1'],
  ['avro', 'Obj\x01'],
  ['woff', 'wOFF\x00'],
  ['woff', 'wOF2\x00'],
  ['djvu', 'AT&TFORM'],
  ['chm', 'ITSF\x03'],
  ['rtf', '{\\rtf'],
  ['ps', '%!PS'],
]

const UTF16_BOM = /^(?:\xff\xfe|\xfe\xff)/
const HTML = /^(?:<!--(?:(?!-->)[\s\S])*-->|<\?xml[^>]*>|\s)*<(?:!doctype\s+html|html|head|body)\b/i
const SVG = /^(?:<!--(?:(?!-->)[\s\S])*-->|<\?xml[^>]*>|<!DOCTYPE svg[^>]*>|\s)*<svg\b/i

/**
 * What a file is, by its first bytes (`HEAD_BYTES` of them are enough), its name and the media type it was sent with
 * (either may be unknown). Content decides whether it is a PDF, a ZIP, a text or something else; the name, then the
 * media type, which text or which ZIP it is. `format` is null when they contradict each other. Pure.
 */
export function formatOf(name: string, mediaType: string | undefined, head: Uint8Array): FormatGuess {
  const expected = expectedOf(name, mediaType)
  const start = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, HEAD_BYTES)).toString(
    'latin1',
  )
  const found = contentOf(start, expected)
  return { format: agreed(found, expected, start), expected, found }
}

function expectedOf(name: string, mediaType: string | undefined): Format | null {
  const extension = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? ''
  const type = mediaType?.split(';')[0]?.trim().toLowerCase() ?? ''
  return own(BY_EXTENSION, extension) ?? own(BY_MEDIA_TYPE, type)
}

const own = (table: Readonly<Record<string, Format>>, key: string): Format | null =>
  Object.hasOwn(table, key) ? (table[key] ?? null) : null

function contentOf(start: string, expected: Format | null): string {
  if (start === '') return 'empty'
  // A PDF may have something before it; a text that speaks of one is no PDF.
  const pdf = start.indexOf('%PDF-')
  if (pdf === 0 || (pdf > 0 && pdf < 1024 && (expected === 'pdf' || start.slice(0, pdf).trim() === '')))
    return 'pdf'
  for (const [kind, bytes, at = 0] of MAGIC) if (start.startsWith(bytes, at)) return kind
  if (SVG.test(start.replace(/^\xef\xbb\xbf/, ''))) return 'svg'
  return UTF16_BOM.test(start) || looksLikeText(start) ? 'text' : 'binary'
}

/** Texts have hardly any control characters. UTF-16 without a mark has zeros, but on one side of its pairs only. */
function looksLikeText(start: string): boolean {
  let controls = 0
  const zeros = [0, 0]
  for (let at = 0; at < start.length; at++) {
    const byte = start.charCodeAt(at)
    if (byte === 0) zeros[at % 2] = (zeros[at % 2] ?? 0) + 1
    else if (byte < 32 && !(byte >= 7 && byte <= 13) && byte !== 27) controls++
  }
  const [even = 0, odd = 0] = zeros
  if (even + odd === 0) return controls <= start.length * 0.02
  // Han characters in UTF-16 use every byte there is, so that only the zeros tell.
  const isUtf16 = Math.min(even, odd) <= Math.max(even, odd) * 0.1 && even + odd >= 2
  return isUtf16 || even + odd + controls <= start.length * 0.01
}

function agreed(found: string, expected: Format | null, start: string): Format | null {
  if (found === 'pdf') return expected === null || expected === 'pdf' ? 'pdf' : null
  if (found === 'zip') {
    const inside = start.includes('word/')
      ? 'docx'
      : start.includes('xl/')
        ? 'xlsx'
        : start.includes('ppt/')
          ? 'pptx'
          : null
    return expected === null ? inside : ZIPPED.has(expected) ? expected : null
  }
  if (found !== 'text') return null
  if (expected !== null) return isText(expected) ? expected : null
  return HTML.test(start.replace(/^\xef\xbb\xbf/, '')) ? 'html' : 'text'
}
