/**
 * Rows as a Markdown table; the first one is its header. Rows and columns that are blank throughout are left out.
 * '' without any cell that is not blank.
 */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const columns = usedColumns(rows)
  if (columns.length === 0) return ''
  const [header = [], ...body] = rows.filter((row) => row.some((text) => text.trim() !== ''))
  const rule = `|${' --- |'.repeat(columns.length)}`
  return [line(header, columns), rule, ...body.map((row) => line(row, columns))].join('\n')
}

function usedColumns(rows: readonly (readonly string[])[]): readonly number[] {
  const used = new Set<number>()
  for (const row of rows) {
    row.forEach((text, at) => {
      if (text !== '' && !used.has(at) && text.trim() !== '') used.add(at)
    })
  }
  return [...used].sort((a, b) => a - b)
}

function line(row: readonly string[], columns: readonly number[]): string {
  let text = '|'
  for (const column of columns) text += ` ${cell(row[column] ?? '')} |`
  return text
}

const cell = (text: string): string =>
  text
    .trim()
    .replace(/\s+/g, (space) => (/[\r\n]/.test(space) ? ' ' : space))
    .replaceAll('|', '\\|')
