/** Columns as wide as their widest cell, two spaces apart; what a cell carries does not move the cursor. */
export function table(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(printable))
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0)),
  )
  return cells
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}

/** Other people's texts do not move the cursor or colour the terminal. */
export const printable = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ')
