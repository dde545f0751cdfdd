import { isUtf8 } from 'node:buffer'
import { open } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { CodedError, messageOf } from '@millrace/errors'
import { z } from 'zod'
import { type BadFile, badFile, readDocument, titleFor, titleIn } from './files.js'
import type { FoundFile, Input, ManyFile } from './find.js'
import { Places } from './places.js'
import { type Columns, readRows } from './rows.js'

/** A document as the contract has it; one of NDJSON may be anything, the server says what is wrong with it. */
type Document = Readonly<Record<string, unknown>>

export interface BodyOptions {
  readonly columns: Columns
  /** Bytes of standard input, from their beginning. */
  readonly stdin: () => AsyncIterable<Uint8Array>
  /** Nothing may be left out: what was not sent would be taken for gone and deleted. */
  readonly strict: boolean
}

/** What one reading of the inputs came to, for one request. */
export interface Attempt {
  readonly places: Places
  /** What could not be sent. */
  readonly problems: BadFile[]
  /** Found to be no text that is sent as such: they go as files. */
  readonly files: FoundFile[]
}

export const newAttempt = (): Attempt => ({ places: new Places(), problems: [], files: [] })

/** More than any server takes as one text at its defaults. */
const TYPED_BYTES_MAX = 32 * 1024 * 1024
/** Bytes that are written at once. */
const PIECE_BYTES = 64 * 1024

/** A JSON line a document, NDJSON as it is; one piece or file of it in memory at a time. */
export async function* linesBody(
  inputs: readonly Input[],
  options: BodyOptions,
  attempt: Attempt,
): AsyncGenerator<Uint8Array | string> {
  for (const input of inputs) {
    if (input.kind === 'lines') yield* rawLines(input, options, attempt)
    else
      for await (const document of documentsOf(input, options, attempt)) yield `${JSON.stringify(document)}\n`
    const [file] = attempt.files
    if (!options.strict || file === undefined) continue
    const message = 'The file changed while it was read'
    refuse({ path: file.path, code: 'FILE_CHANGED', message }, options, attempt)
  }
}

/** The same as parts of a form, and files as they are, in pieces. */
export async function* formBody(
  inputs: readonly Input[],
  boundary: string,
  options: BodyOptions,
  attempt: Attempt,
): AsyncGenerator<Uint8Array | string> {
  for (const input of inputs) {
    for await (const document of documentsOf(input, options, attempt)) yield documentPart(boundary, document)
    for (const file of attempt.files.splice(0)) yield* filePart(boundary, file, options, attempt)
  }
  if (attempt.places.count > 0) yield `--${boundary}--\r\n`
}

/** Small pieces together, so that a million documents are not a million writes. */
export async function* inPieces(parts: AsyncIterable<Uint8Array | string>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = []
  let size = 0
  for await (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part) : part
    held.push(bytes)
    size += bytes.length
    if (size < PIECE_BYTES) continue
    yield Buffer.concat(held)
    held = []
    size = 0
  }
  if (size > 0) yield Buffer.concat(held)
}

async function* documentsOf(input: Input, options: BodyOptions, attempt: Attempt): AsyncGenerator<Document> {
  const { places } = attempt
  switch (input.kind) {
    case 'url':
      places.add(input.url)
      return yield { url: input.url }
    case 'typed': {
      const text = await readTyped(options.stdin())
      if (text === '') return
      const title = titleIn(text)
      places.add('standard input')
      const named = { ...(input.id === undefined ? {} : { id: input.id }) }
      return yield { ...named, ...(title === undefined ? {} : { title: titleFor(text, '') }), text }
    }
    case 'text':
    case 'file': {
      const read = await readDocument(input)
      if ('kind' in read) return void attempt.files.push(read)
      if ('code' in read) return refuse(read, options, attempt)
      places.add(input.path)
      return yield { ...read }
    }
    case 'lines':
      return yield* parsedLines(input, options, attempt)
    case 'rows':
      return yield* rowsOf(input, options, attempt)
  }
}

/** All of it, since it is one document. */
async function readTyped(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of bytes) {
    chunks.push(chunk)
    size += chunk.length
    if (size <= TYPED_BYTES_MAX) continue
    throw new CodedError('TEXT_TOO_LONG', `Standard input has more than ${TYPED_BYTES_MAX} bytes of text`, {
      hint: 'Divide it, or send it as NDJSON',
    })
  }
  const all = Buffer.concat(chunks)
  if (isUtf8(all)) return new TextDecoder().decode(all)
  throw new CodedError('INVALID_UTF8', 'Standard input is not UTF-8', {
    hint: 'Convert it, or name the file: a file may have any encoding',
  })
}

function refuse(problem: BadFile, { strict }: BodyOptions, { problems }: Attempt): void {
  if (strict) {
    throw new CodedError('SYNC_INCOMPLETE', `${problem.path}: ${problem.code}: ${problem.message}`, {
      hint: 'Nothing was deleted: --sync needs everything that it is to keep. Mend that, and run it again',
    })
  }
  problems.push(problem)
}

const nameOf = ({ path }: ManyFile): string => (path === '-' ? 'standard input' : path)

async function* bytesOf({ path }: ManyFile, { stdin }: BodyOptions): AsyncGenerator<Uint8Array> {
  if (path === '-') return yield* stdin()
  const file = await open(path)
  yield* file.createReadStream()
}

const NEWLINE = 0x0a
const MARK = Buffer.from([0xef, 0xbb, 0xbf])

/** Lines as they are: only their ends are looked for, so that an answer about the n-th can be told as its line. */
async function* rawLines(
  input: ManyFile,
  options: BodyOptions,
  attempt: Attempt,
): AsyncGenerator<Uint8Array | string> {
  const name = nameOf(input)
  const { places } = attempt
  places.begin(name, 'line', 1)
  let isFirst = true
  let isOpen = false
  try {
    for await (const chunk of bytesOf(input, options)) {
      // Of several files one after the other, the server would take only the first one's mark for one.
      const bytes = isFirst && MARK.equals(chunk.subarray(0, 3)) ? chunk.subarray(3) : chunk
      isFirst = false
      if (bytes.length === 0) continue
      let ends = 0
      for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) ends++
      const wasOpen = isOpen
      isOpen = bytes.at(-1) !== NEWLINE
      places.advance(ends + (isOpen ? 1 : 0) - (wasOpen ? 1 : 0))
      yield bytes
    }
  } catch (error) {
    refuse(badFile(name, error), options, attempt)
  }
  if (isOpen) yield '\n'
}

/** Lines as documents, for a request that carries files too. */
async function* parsedLines(
  input: ManyFile,
  options: BodyOptions,
  attempt: Attempt,
): AsyncGenerator<Document> {
  const name = nameOf(input)
  let number = 0
  const lines = createInterface({
    input: Readable.from(bytesOf(input, options)),
    crlfDelay: Number.POSITIVE_INFINITY,
  })
  for await (const line of lines) {
    number++
    if (line.trim() === '') continue
    const document = parseLine(line)
    if (document === undefined) {
      const message = 'The line is no {"id", "title", "text", "metadata"}'
      refuse({ path: `${name}:${number}`, code: 'INVALID_NDJSON', message }, options, attempt)
      continue
    }
    attempt.places.begin(name, 'line', number)
    attempt.places.advance(1)
    yield document
  }
}

const lineDocument = z.strictObject({
  id: z.string().optional(),
  title: z.string().nullish(),
  text: z.string(),
  metadata: z.record(z.string(), z.unknown()).optional(),
})

function parseLine(line: string): Document | undefined {
  try {
    const value: unknown = JSON.parse(line.replace(/^\uFEFF/, ''))
    return lineDocument.parse(value)
  } catch {
    return undefined
  }
}

async function* rowsOf(input: ManyFile, options: BodyOptions, attempt: Attempt): AsyncGenerator<Document> {
  const name = nameOf(input)
  const { places } = attempt
  places.begin(name, 'row', 1)
  let next = 1
  try {
    for await (const { number, document } of readRows(bytesOf(input, options), options.columns, name)) {
      if (typeof document === 'string') {
        const path = `${name} row ${number}`
        refuse({ path, code: 'INVALID_CSV', message: document }, options, attempt)
        continue
      }
      if (number !== next) places.begin(name, 'row', number)
      next = number + 1
      places.advance(1)
      yield { ...document }
    }
  } catch (error) {
    if (error instanceof CodedError && error.code === 'SYNC_INCOMPLETE') throw error
    refuse(badFile(name, error), options, attempt)
  }
}

/** A document that is a text, as a part of a form. */
function documentPart(boundary: string, document: Document): string {
  const { text, url, ...fields } = document
  if (typeof text !== 'string' || url !== undefined) {
    throw new CodedError('SYNC_MIXED', 'URLs and files do not go into one request, which --sync needs', {
      hint: 'Give the URLs a source of their own',
    })
  }
  return `${fieldsOf(boundary, fields)}${fileHead(boundary, 'document.md', 'text/markdown')}${text}\r\n`
}

async function* filePart(
  boundary: string,
  { path, id }: FoundFile,
  options: BodyOptions,
  attempt: Attempt,
): AsyncGenerator<Uint8Array | string> {
  let file: Awaited<ReturnType<typeof open>>
  try {
    file = await open(path)
  } catch (error) {
    return refuse(badFile(path, error), options, attempt)
  }
  attempt.places.add(path)
  yield fieldsOf(boundary, { id, metadata: { path: id } })
  yield fileHead(
    boundary,
    basename(path),
    MEDIA_TYPES[extname(path).toLowerCase()] ?? 'application/octet-stream',
  )
  try {
    yield* file.createReadStream({ highWaterMark: PIECE_BYTES })
  } catch (cause) {
    // The part has begun: there is no way to take it back.
    throw new CodedError('NO_SUCH_FILE', `Cannot read ${path} to its end: ${messageOf(cause)}`, {
      hint: 'What was sent before it is kept; run it again without that file',
      cause,
    })
  }
  yield '\r\n'
}

const OOXML = 'application/vnd.openxmlformats-officedocument'
const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.csv': 'text/csv',
  '.docx': `${OOXML}.wordprocessingml.document`,
  '.htm': 'text/html',
  '.html': 'text/html',
  '.json': 'application/json',
  '.jsonl': 'application/jsonl',
  '.markdown': 'text/markdown',
  '.md': 'text/markdown',
  '.ndjson': 'application/x-ndjson',
  '.pdf': 'application/pdf',
  '.pptx': `${OOXML}.presentationml.presentation`,
  '.tsv': 'text/tab-separated-values',
  '.txt': 'text/plain',
  '.xlsx': `${OOXML}.spreadsheetml.sheet`,
}

const fieldsOf = (boundary: string, fields: Document): string =>
  Object.entries(fields)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(
      ([name, value]) =>
        `--${boundary}\r\ncontent-disposition: form-data; name="${quoted(name)}"\r\n\r\n` +
        `${typeof value === 'string' ? value : JSON.stringify(value)}\r\n`,
    )
    .join('')

const fileHead = (boundary: string, name: string, type: string): string =>
  `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="${quoted(name)}"\r\n` +
  `content-type: ${type}\r\n\r\n`

/** As browsers write names. */
const quoted = (name: string): string =>
  name.replaceAll('\r', '%0D').replaceAll('\n', '%0A').replaceAll('"', '%22')
