const ATX = /^ {0,3}#{1,6}\s*/
const ATX_END = /(?:^|\s+)#+\s*$/

/** The words of a heading block, ATX or Setext. */
export function headingText(heading: string): string {
  const stop = heading.indexOf('\n')
  const line = stop < 0 ? heading : heading.slice(0, stop)
  return ATX.test(line) ? line.replace(ATX, '').replace(ATX_END, '').trim() : line.trim()
}
