import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { parse } from 'csv-parse'
import { parse as parseAll } from 'csv-parse/sync'

/** Names of columns; left out: `text`, and `id` and `title` where there are such. */
export interface Columns {
  readonly text?: string | undefined
  readonly id?: string | undefined
  readonly title?: string | undefined
}

export interface RowDocument {
  readonly id?: string
  readonly title?: string
  readonly text: string
  /** The other columns that have a value. */
  readonly metadata: Readonly<Record<string, string>>
}

export interface Row {
  /** From 1, the header not counted. */
  readonly number: number
  /** What is wrong with the row when it is a string. */
  readonly document: RowDocument | string
}

/** How much of a file is looked at for its header. */
const HEAD_BYTES = 64 * 1024
/** A record that is longer has a quotation mark that is never closed. */
const RECORD_CHARS_MAX = 16 * 1024 * 1024
const DELIMITERS = [',', ';', '\t', '|']

/** Names of the columns of a CSV file; none when it cannot be read as one. */
export async function headerOf(path: string): Promise<string[]> {
  try {
    const file = await open(path)
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
      const line = firstLine(buffer.toString('utf8', 0, bytesRead))
      const rows: unknown = parseAll(line, { bom: true, delimiter: delimiterOf(line) })
      return Array.isArray(rows) && Array.isArray(rows[0]) ? rows[0].map((cell) => String(cell).trim()) : []
    } finally {
      await file.close()
    }
  } catch {
    return []
  }
}

/**
 * The rows of CSV as documents, as they arrive; a comma, semicolon, tab or bar divides the cells, whichever the header
 * has most of. Memory is bounded by the longest row.
 * @param name of the file, for messages
 * @throws CodedError MISSING_COLUMN, INVALID_CSV with the line, INVALID_UTF8
 */
export async function* readRows(
  bytes: AsyncIterable<Uint8Array>,
  columns: Columns,
  name: string,
): AsyncGenerator<Row> {
  const text = decode(bytes, name)
  let head = ''
  while (!/[\r\n]/.test(head) && head.length < HEAD_BYTES) {
    const more = await text.next()
    if (more.done === true) break
    head += more.value
  }
  const parser = parse({
    bom: true,
    delimiter: delimiterOf(firstLine(head)),
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: RECORD_CHARS_MAX,
  })
  const fed = pipeline(chain(head, text), parser)
  // The loop below meets the same error.
  fed.catch(() => undefined)
  let reader: ((cells: readonly string[]) => RowDocument | string) | undefined
  let number = 0
  try {
    for await (const { record } of parser as AsyncIterable<{ record: string[] }>) {
      if (reader === undefined) reader = readerOf(record, columns, name)
      else yield { number: ++number, document: reader(record) }
    }
  } catch (error) {
    if (error instanceof CodedError) throw error
    throw new CodedError(
      codeOf(error).startsWith('CSV_') ? 'INVALID_CSV' : 'NO_SUCH_FILE',
      `${name} cannot be read after row ${number}: ${messageOf(error)}`,
      { hint: 'Mend that line', cause: error },
    )
  }
}

async function* chain(head: string, rest: AsyncIterable<string>): AsyncGenerator<string> {
  if (head !== '') yield head
  yield* rest
}

async function* decode(bytes: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const read = (chunk?: Uint8Array) => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true })
    } catch (cause) {
      throw new CodedError('INVALID_UTF8', `${name} is not UTF-8`, {
        hint: 'Convert it, or leave --rows out: a file that is sent whole may have any encoding',
        cause,
      })
    }
  }
  for await (const chunk of bytes) {
    const text = read(chunk)
    if (text !== '') yield text
  }
  const last = read()
  if (last !== '') yield last
  return undefined
}

const firstLine = (text: string): string => text.split(/\r|\n/, 1)[0] ?? ''

function delimiterOf(header: string): string {
  const plain = header.replaceAll(/"[^"]*"/g, '')
  const count = (delimiter: string) => plain.split(delimiter).length
  return DELIMITERS.reduce((best, one) => (count(one) > count(best) ? one : best))
}

function readerOf(
  header: readonly string[],
  wanted: Columns,
  name: string,
): (cells: readonly string[]) => RowDocument | string {
  const names = header.map((cell) => cell.trim())
  const at = (column: string) => {
    const index = names.indexOf(column)
    if (index >= 0) return index
    throw new CodedError('MISSING_COLUMN', `${name} has no column "${column}", only ${names.join(', ')}`, {
      hint: 'Name the columns with --text-column, --id-column and --title-column',
    })
  }
  const maybe = (column: string | undefined, usual: string) =>
    column === undefined ? names.indexOf(usual) : at(column)
  const text = at(wanted.text ?? 'text')
  const id = maybe(wanted.id, 'id')
  const title = maybe(wanted.title, 'title')
  const named = new Set([text, id, title])
  return (cells) => {
    if (cells.length > names.length) return `The row has ${cells.length} cells, the header ${names.length}`
    const others = names.flatMap((column, i) => {
      const cell = cells[i] ?? ''
      return named.has(i) || cell === '' ? [] : [[column, cell] as const]
    })
    return {
      ...(cells[id] ? { id: cells[id] } : {}),
      ...(cells[title] ? { title: cells[title] } : {}),
      text: cells[text] ?? '',
      metadata: Object.fromEntries(others),
    }
  }
}
