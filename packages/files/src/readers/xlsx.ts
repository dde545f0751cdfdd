import { fileBroken, textTooLong, tooManyPages } from '../errors.js'
import type { Limits } from '../limits.js'
import { Output } from '../output.js'
import { markdownTable } from '../table.js'
import { readXml } from '../xml.js'
import { type Archive, openZip } from '../zip.js'
import { checkOffice, mainPart, relationsOf, requiredPart, titleIn } from './office.js'
import type { Reader } from './reader.js'
import { type NumberStyle, shown, styleOf } from './xlsx-numbers.js'

interface Sheet {
  readonly name: string
  readonly relation: string
}

interface Workbook {
  readonly sheets: readonly Sheet[]
  /** Days are counted from 1904 on, as an old Mac did. */
  readonly is1904: boolean
}

const COLUMNS_MAX = 16_384

/** Every sheet that is not hidden, as a heading and a table of its rows; cells as they are shown, dates as ISO 8601. */
export const readXlsx: Reader = async (file, limits) => {
  const archive = await openZip(file.bytes, limits)
  await checkOffice(archive, file.name, 'xlsx')
  const main = await mainPart(archive)
  const relations = await relationsOf(archive, main)
  const workbook = workbookOf(await requiredPart(archive, main), main)
  if (workbook.sheets.length > limits.sheets) {
    throw tooManyPages(workbook.sheets.length, 'sheets', limits.sheets)
  }
  const targetOf = (type: string) =>
    [...relations.values()].find((relation) => relation.type === type)?.target
  const strings = await stringsOf(archive, targetOf('sharedStrings'))
  const styles = await stylesOf(archive, targetOf('styles'))

  const output = new Output(limits)
  const counts = { withoutResult: 0 }
  for (const [at, sheet] of workbook.sheets.entries()) {
    const relation = relations.get(sheet.relation)
    if (relation?.type !== 'worksheet') continue // a sheet that is one chart
    const rows = rowsOf(await requiredPart(archive, relation.target), relation.target, {
      strings,
      styles,
      is1904: workbook.is1904,
      limits,
      counts,
    })
    const table = markdownTable(rows)
    if (table === '') continue
    output.part('sheet', at + 1, sheet.name)
    output.block(`## ${sheet.name.replace(/\s+/g, ' ').trim()}`)
    output.block(table)
  }
  const { withoutResult } = counts
  const warnings =
    withoutResult > 0 ? [`${withoutResult} formulas have no stored result; they are blank`] : []
  return { ...output.end(), title: await titleIn(archive), warnings }
}

function workbookOf(bytes: Buffer, where: string): Workbook {
  const sheets: Sheet[] = []
  let is1904 = false
  readXml(bytes, where, {
    open: (name, attribute) => {
      if (name === 'workbookPr') is1904 = isTrue(attribute('date1904'))
      if (name !== 'sheet') return
      const isHidden = (attribute('state') ?? 'visible') !== 'visible'
      // A hidden one keeps its number, so that those of the others are what the program shows with it.
      sheets.push({ name: attribute('name') ?? '', relation: isHidden ? '' : (attribute('r:id') ?? '') })
    },
  })
  return { sheets, is1904 }
}

const isTrue = (value: string | undefined): boolean => value === '1' || value === 'true'

/** Texts that cells refer to by number; their phonetic guides are left out. */
async function stringsOf(archive: Archive, part: string | undefined): Promise<string[]> {
  const strings: string[] = []
  const bytes = part === undefined ? null : await archive.read(part)
  if (bytes === null || part === undefined) return strings
  let text = ''
  let isText = false
  let phonetic = 0
  readXml(bytes, part, {
    open: (name) => {
      if (name === 'si') text = ''
      if (name === 'rPh') phonetic++
      isText = name === 't'
    },
    text: (value) => {
      if (isText && phonetic === 0) text += value
    },
    close: (name) => {
      if (name === 'si') strings.push(unescaped(text))
      if (name === 'rPh') phonetic--
      isText = false
    },
  })
  return strings
}

/** Characters that XML cannot hold stand as `_x000D_`. */
const unescaped = (text: string): string =>
  text.replace(/_x([0-9A-Fa-f]{4})_/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))

/** How the numbers of each cell style are shown. */
async function stylesOf(archive: Archive, part: string | undefined): Promise<NumberStyle[]> {
  const bytes = part === undefined ? null : await archive.read(part)
  if (bytes === null || part === undefined) return []
  const codes = new Map<number, string>()
  const styles: NumberStyle[] = []
  let isCells = false
  readXml(bytes, part, {
    open: (name, attribute) => {
      if (name === 'numFmt') codes.set(Number(attribute('numFmtId')), attribute('formatCode') ?? '')
      if (name === 'cellXfs') isCells = true
      if (name === 'xf' && isCells) {
        const id = Number(attribute('numFmtId') ?? 0)
        styles.push(styleOf(id, codes.get(id)))
      }
    },
    close: (name) => {
      if (name === 'cellXfs') isCells = false
    },
  })
  return styles
}

interface Context {
  readonly strings: readonly string[]
  readonly styles: readonly NumberStyle[]
  readonly is1904: boolean
  readonly limits: Limits
  /** Counted on the way. */
  readonly counts: { withoutResult: number }
}

function rowsOf(bytes: Buffer, where: string, context: Context): string[][] {
  const rows: string[][] = []
  let row: string[] = []
  let column = 0
  let cell = { type: 'n', style: 0, value: '', isFormula: false }
  let isValue = false
  let phonetic = 0
  let characters = 0
  readXml(bytes, where, {
    open: (name, attribute) => {
      if (name === 'row') row = []
      if (name === 'c') {
        const reference = attribute('r')
        column = reference === undefined ? row.length : columnOf(reference)
        if (column >= COLUMNS_MAX) throw fileBroken(`${where}: there is no cell ${reference}`)
        cell = {
          type: attribute('t') ?? 'n',
          style: Number(attribute('s') ?? 0),
          value: '',
          isFormula: false,
        }
      }
      if (name === 'rPh') phonetic++
      if (name === 'f') cell.isFormula = true
      isValue = name === 'v' || name === 't'
    },
    text: (text) => {
      if (isValue && phonetic === 0) cell.value += text
    },
    close: (name) => {
      isValue = false
      if (name === 'rPh') phonetic--
      if (name === 'c') {
        const text = textOf(cell, context)
        if (cell.isFormula && cell.value === '' && cell.type !== 'str') context.counts.withoutResult++
        if (text !== '') {
          row[column] = text // holes before it: a row may have a cell far out and nothing else
          characters += text.length
          // A shared text used a million times is small in the file and large here.
          if (characters > context.limits.textBytes) throw textTooLong(context.limits)
        }
      }
      if (name === 'row' && row.length > 0) rows.push(row)
    },
  })
  return rows
}

/** `AB12` is column 27. */
function columnOf(reference: string): number {
  let column = 0
  for (const letter of /^[A-Z]{1,4}/.exec(reference)?.[0] ?? 'A')
    column = column * 26 + letter.charCodeAt(0) - 64
  return column - 1
}

function textOf(cell: { type: string; style: number; value: string }, context: Context): string {
  switch (cell.type) {
    case 's':
      return context.strings[Number(cell.value)] ?? ''
    case 'inlineStr':
    case 'str':
      return unescaped(cell.value)
    case 'b':
      return cell.value === '1' ? 'TRUE' : 'FALSE'
    case 'e':
      return cell.value
    case 'd':
      return cell.value.replace('T00:00:00.000', '').replace('T00:00:00', '')
    default:
      return cell.value === '' ? '' : shown(cell.value, context.styles[cell.style] ?? 'plain', context.is1904)
  }
}
