import { CodedError, messageOf } from '@millrace/errors'
import type { GivenQuestion } from '@millrace/flow'
import { parse } from 'csv-parse/sync'

const COLUMNS = ['question', 'documentId', 'id', 'note'] as const
const DELIMITERS = [',', ';', '\t']
/** Rows that are looked at: ten documents for each question that a set may have. */
const ROWS_MAX = 100_000

/**
 * Questions of CSV with a header; a comma, semicolon or tab divides the cells, whichever the header has most of. A row
 * that is wrong is refused alone; index: of the row after the header, from 0.
 * @throws CodedError INVALID_CSV for what is no table, or has no such header
 */
export function readQuestions(csv: string): GivenQuestion[] {
  const [header, ...rows] = readRows(csv)
  const names = (header ?? []).map((cell) => cell.trim())
  const at = (column: (typeof COLUMNS)[number]) => names.indexOf(column)
  if (at('question') < 0 || at('documentId') < 0) {
    const found = names.join(', ').slice(0, 200).toWellFormed()
    throw new CodedError(
      'INVALID_CSV',
      `The first line is no header with question and documentId: ${found}`,
      {
        hint: 'Begin with a line like question,documentId,id,note',
      },
    )
  }
  return rows.map((cells, index): GivenQuestion => {
    if (cells.length > names.length) {
      const message = `The row has ${cells.length} cells, the header ${names.length}`
      return { index, refusal: { code: 'INVALID_CSV', message } }
    }
    const cell = (column: (typeof COLUMNS)[number]) => cells[at(column)]?.trim() || undefined
    return {
      index,
      question: {
        question: cells[at('question')] ?? '',
        documentId: cell('documentId'),
        id: cell('id'),
        note: cell('note'),
      },
    }
  })
}

function readRows(csv: string): string[][] {
  const [line = ''] = csv.replace(/^\uFEFF/, '').split(/\r|\n/, 1)
  const count = (delimiter: string) => line.split(delimiter).length
  const delimiter = DELIMITERS.reduce((best, one) => (count(one) > count(best) ? one : best))
  try {
    const rows: string[][] = parse(csv, {
      bom: true,
      delimiter,
      relax_column_count: true,
      skip_empty_lines: true,
      to: ROWS_MAX,
    })
    return rows
  } catch (cause) {
    throw new CodedError('INVALID_CSV', `The CSV cannot be read: ${messageOf(cause)}`, {
      hint: 'Mend that line: a quotation mark within a cell is written twice',
      cause,
    })
  }
}
