import { messageOf } from '@millrace/errors'
import { titleOf } from '@millrace/text'
import { parse as parseCsv } from 'csv-parse/sync'
import type { SourceFile } from '../contract.js'
import { type Decoded, decode } from '../encodings.js'
import { fileBroken, typeUnknown } from '../errors.js'
import { Output, storable } from '../output.js'
import { markdownTable } from '../table.js'
import { declaredCharset, renderHtml } from './html.js'
import type { Read, Reader } from './reader.js'

export const readText: Reader = (file, limits) => {
  const decoded = decodeFile(file)
  return whole(decoded, storable(decoded.text), null, limits)
}

export const readMarkdown: Reader = (file, limits) => {
  const decoded = decodeFile(file)
  const text = storable(decoded.text)
  return whole(decoded, text, titleOf(text) ?? null, limits)
}

export const readHtml: Reader = (file, limits) => {
  const decoded = decodeFile(file, declaredCharset(file.bytes))
  const { markdown, title } = renderHtml(decoded.text)
  return whole(decoded, markdown, title ?? titleOf(markdown) ?? null, limits)
}

/** A table, its delimiter found out, every row of it. */
export const readCsv: Reader = (file, limits) => table(file, limits, (text) => delimiterOf(text))

export const readTsv: Reader = (file, limits) => table(file, limits, () => '\t')

/** A line, a record. */
export const readJsonLines: Reader = (file, limits) => {
  const decoded = decodeFile(file)
  const output = new Output(limits)
  decoded.text.split('\n').forEach((line, at) => {
    if (line.trim() !== '') output.block(recordText(parseJson(line, `line ${at + 1}`)))
  })
  return { ...output.end(), title: null, encoding: decoded.encoding, warnings: decoded.warnings }
}

/** A list is read as its records, anything else as one. */
export const readJson: Reader = (file, limits) => {
  const decoded = decodeFile(file)
  const output = new Output(limits)
  const value = parseJson(decoded.text, 'the text')
  for (const record of Array.isArray(value) ? value : [value]) output.block(recordText(record))
  return { ...output.end(), title: null, encoding: decoded.encoding, warnings: decoded.warnings }
}

function decodeFile(file: SourceFile, inside?: string): Decoded {
  const declared = /;\s*charset\s*=\s*"?([\w:.-]+)/i.exec(file.mediaType ?? '')?.[1]
  const decoded = decode(file.bytes, declared ?? inside)
  if (decoded === null) throw typeUnknown(file.name, 'bytes in no known encoding')
  return decoded
}

function whole(decoded: Decoded, text: string, title: string | null, limits: Parameters<Reader>[1]): Read {
  const output = new Output(limits)
  output.block(text)
  return { ...output.end(), title, encoding: decoded.encoding, warnings: decoded.warnings }
}

function table(file: SourceFile, limits: Parameters<Reader>[1], delimiter: (text: string) => string): Read {
  const decoded = decodeFile(file)
  const output = new Output(limits)
  output.block(markdownTable(rowsOf(decoded.text, delimiter(decoded.text))))
  return { ...output.end(), title: null, encoding: decoded.encoding, warnings: decoded.warnings }
}

function rowsOf(text: string, delimiter: string): string[][] {
  const options = {
    delimiter,
    relax_column_count: true,
    skip_empty_lines: true,
    // Excel writes "sep=;" before the header to say what it separates by.
    from_line: /^sep=.\r?\n/.test(text) ? 2 : 1,
  }
  try {
    return parseCsv(text, options)
  } catch {
    // A lone quotation mark in a cell; read as it stands.
  }
  try {
    return parseCsv(text, { ...options, quote: null })
  } catch (error) {
    throw fileBroken(messageOf(error), error)
  }
}

const DELIMITERS = [',', ';', '\t', '|']

/** What separates the cells: said by Excel's first line, else what the first lines have most evenly. */
function delimiterOf(text: string): string {
  const said = /^sep=(.)\r?\n/.exec(text)?.[1]
  if (said !== undefined) return said
  const sample = text
    .slice(0, 2 ** 16)
    .replace(/"(?:[^"]|"")*"/g, '')
    .split(/\r\n?|\n/)
    .filter((line) => line !== '')
    .slice(0, 50)
  const scored = DELIMITERS.map((delimiter) => {
    const counts = sample.map((line) => line.split(delimiter).length - 1)
    const header = counts[0] ?? 0
    return {
      delimiter,
      score: header === 0 ? 0 : counts.filter((count) => count === header).length + header / 1000,
    }
  })
  return scored.reduce((best, one) => (one.score > best.score ? one : best)).delimiter
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(LONG_NUMBER.test(text) ? quoteLongNumbers(text) : text)
  } catch (error) {
    throw fileBroken(`${where} is not JSON (${messageOf(error)})`, error)
  }
}

const LONG_NUMBER = /\d{16}|\d\.\d{14}/

/** Numbers that a double would change, long ids for instance, as strings: their digits are what matters here. */
const quoteLongNumbers = (json: string): string =>
  json.replace(/"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g, (token) =>
    token.startsWith('"') || token.length < 16 || Number.isNaN(Number(token)) ? token : `"${token}"`,
  )

/** A record as lines of `field: value`, nested ones with their path (`address.city: Berlin`). */
function recordText(value: unknown): string {
  const lines: string[] = []
  const visit = (value: unknown, path: string) => {
    if (value === null || value === '') return
    if (Array.isArray(value)) {
      if (value.every((item) => typeof item !== 'object' || item === null)) {
        add(value.filter((item) => item !== null && item !== '').join(', '), path)
      } else {
        for (const [at, item] of value.entries())
          visit(item, path === '' ? String(at + 1) : `${path}.${at + 1}`)
      }
    } else if (typeof value === 'object') {
      for (const [key, item] of Object.entries(value)) visit(item, path === '' ? key : `${path}.${key}`)
    } else add(String(value), path)
  }
  const add = (text: string, path: string) => {
    if (text.trim() !== '') lines.push(path === '' ? text : `${path}: ${text}`)
  }
  visit(value, '')
  return lines.join('\n')
}
