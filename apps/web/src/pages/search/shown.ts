const FACTS_MAX = 6
const CHARS_MAX = 80

/** Metadata as a line shows it: the first fields, each short. */
export function shownMetadata(
  metadata: Readonly<Record<string, unknown>>,
): { readonly name: string; readonly value: string }[] {
  return Object.entries(metadata)
    .slice(0, FACTS_MAX)
    .map(([name, value]) => ({
      name,
      value: shortText(typeof value === 'string' ? value : JSON.stringify(value)),
    }))
}

function shortText(text: string): string {
  const characters = [...text]
  return characters.length <= CHARS_MAX ? text : `${characters.slice(0, CHARS_MAX).join('')}…`
}

/** A heading of Markdown, at the beginning. */
const HEADING = /^#{1,6} +(.*?) *#*$/

/**
 * A passage as a list shows it: without the headings at its beginning that the hit shows above it, and without blank
 * lines. Whole it stands in its document.
 */
export function previewOf(text: string, shown: readonly (string | null)[]): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const first = lines.findIndex((line) => {
    const heading = HEADING.exec(line)?.[1]
    return heading === undefined || !shown.includes(heading)
  })
  return lines.slice(Math.max(first, 0)).join('\n')
}

/** Of a long document only so much around the passage is shown. */
const AROUND = 50_000

export interface Excerpt {
  readonly text: string
  /** The passage in it. */
  readonly start: number
  readonly end: number
  readonly isCut: boolean
}

/** The document around a span, cut where characters begin. */
export function excerptOf(text: string, span: { readonly start: number; readonly end: number }): Excerpt {
  const from = boundary(text, Math.max(0, span.start - AROUND))
  const to = boundary(text, Math.min(text.length, span.end + AROUND))
  return {
    text: text.slice(from, to),
    start: span.start - from,
    end: span.end - from,
    isCut: from > 0 || to < text.length,
  }
}

/** Not between the two halves of a surrogate pair. */
const boundary = (text: string, at: number): number => (/[\udc00-\udfff]/.test(text[at] ?? '') ? at + 1 : at)
