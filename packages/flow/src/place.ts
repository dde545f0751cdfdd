import type { LayoutPart, Place } from '@millrace/store'

/**
 * Where a span lies in a document that has pages, sheets or slides.
 * @param layout in the order of their starts; a part reaches to the start of the next
 * @param start UTF-16 code units in the text that the layout is of, like `end`
 */
export function placeOf(layout: readonly LayoutPart[], start: number, end: number): Place | null {
  const first = partAt(layout, start)
  if (first === undefined) return null
  if (first.kind === 'sheet') return { sheet: first.name ?? String(first.number) }
  if (first.kind === 'slide') return { slide: first.number }
  const last = partAt(layout, Math.max(start, end - 1))
  return last === undefined || last.kind !== 'page' || last.number === first.number
    ? { page: first.number }
    : { page: first.number, pageTo: last.number }
}

/** The last part that starts at or before a place. */
function partAt(layout: readonly LayoutPart[], at: number): LayoutPart | undefined {
  let low = 0
  let high = layout.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((layout[middle]?.start ?? 0) <= at) low = middle + 1
    else high = middle
  }
  return layout[low - 1]
}
