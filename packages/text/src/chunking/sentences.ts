// Marks that end a sentence wherever they stand: CJK and full-width, danda, Arabic, Armenian, Ethiopic, Khmer, Burmese.
const WIDE = /[。！？；｡‼⁇⁈⁉।॥؟۔።។။։]|……/
const MARKS = /[.!?…。！？；｡‼⁇⁈⁉।॥؟۔።។။։]+/g
// Quotes, brackets and Markdown emphasis close after the mark and go along with it.
const CLOSERS = /["'”’)\]}»›」』）】》〉*_`]*/y
const WHITE = /\s*/y
const LOWER = /^\p{Ll}/u
// Before a single dot: titles, e.g. and i.e., an initial.
const ABBREVIATION = /(?:^|[\s([“"'])(?:Mr|Mrs|Ms|Dr|Prof|St|vs|cf|Fig|Eq|e\.g|i\.e|\p{Lu})$/u
// Before a single dot: the number of a list item.
const ENUMERATOR = /(?:^|\n)[\s>]*\d{1,9}$/
const LOOK_BACK = 16

/**
 * Where sentences start within [start, end), after the first. A rule of our own rather than Intl.Segmenter, which is
 * slower and ends a sentence at every abbreviation; versions (1.2.3) and domain names have no space and stay whole.
 */
export function sentenceStarts(text: string, start: number, end: number): number[] {
  const starts: number[] = []
  const slice = text.slice(start, end)
  MARKS.lastIndex = 0
  for (let match = MARKS.exec(slice); match !== null; match = MARKS.exec(slice)) {
    const closed = endOf(CLOSERS, slice, MARKS.lastIndex)
    const next = endOf(WHITE, slice, closed)
    MARKS.lastIndex = next
    if (next >= slice.length) break
    if (WIDE.test(match[0]) || (next > closed && endsHere(slice, match.index, match[0], next))) {
      starts.push(start + next)
    }
  }
  return starts
}

let segmenter: Intl.Segmenter | undefined
/** The segmenter copies what it is given: of a line of megabytes it is given one part after the other. */
const SEGMENTED_CHARS_MAX = 1 << 16

/** Where sentences start by Unicode's rules (UAX 29), after the first: Intl.Segmenter, of whatever language. */
export function segmentStarts(text: string, start: number, end: number): number[] {
  segmenter ??= new Intl.Segmenter('und', { granularity: 'sentence' })
  const starts: number[] = []
  for (let from = start; from < end; from += SEGMENTED_CHARS_MAX) {
    const part = text.slice(from, Math.min(end, from + SEGMENTED_CHARS_MAX))
    for (const { index } of segmenter.segment(part)) {
      if (index > 0) starts.push(from + index)
    }
  }
  return starts
}

function endsHere(slice: string, at: number, marks: string, next: number): boolean {
  if (LOWER.test(slice.slice(next, next + 2))) return false
  if (marks !== '.') return true
  const before = slice.slice(Math.max(0, at - LOOK_BACK), at)
  return !ABBREVIATION.test(before) && !ENUMERATOR.test(before)
}

function endOf(sticky: RegExp, text: string, at: number): number {
  sticky.lastIndex = at
  sticky.exec(text)
  return sticky.lastIndex
}
