/** A grapheme longer than this (stacked marks without end) is cut between code points. */
const GRAPHEME_CHARS_MAX = 1024
const WINDOWS = [64, GRAPHEME_CHARS_MAX]

let segmenter: Intl.Segmenter | undefined

/** Where the grapheme that starts at `at` ends, in UTF-16 code units, at most `end`. */
export function graphemeEnd(text: string, at: number, end: number): number {
  if (at + 1 >= end) return end
  // Between two of these there is always a boundary (UAX 29): spares the segmenter nearly all of the work.
  if (isPlain(text.charCodeAt(at)) && isPlain(text.charCodeAt(at + 1))) return at + 1
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' })
  for (const window of WINDOWS) {
    const stop = Math.min(end, at + window)
    const first = segmenter.segment(text.slice(at, stop)).containing(0)
    const length = first?.segment.length ?? 1
    if (at + length < stop || stop === end) return at + length
  }
  return pointEnd(text, at + GRAPHEME_CHARS_MAX - 2, end)
}

/** Where the code point that starts at `at` ends; a lone surrogate counts as one. */
export function pointEnd(text: string, at: number, end: number): number {
  return Math.min(end, at + ((text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1))
}

/** Printable ASCII, Latin letters, kana, Han, Hangul syllables: neither marks nor joiners nor parts of an emoji. */
function isPlain(code: number): boolean {
  return (
    (code >= 0x20 && code < 0x7f) ||
    (code >= 0xc0 && code < 0x250) ||
    isHan(code) ||
    (code >= 0x3041 && code <= 0x3096) ||
    (code >= 0x30a1 && code <= 0x30fa) ||
    (code >= 0xac00 && code <= 0xd7a3)
  )
}

/** Whether a code unit is a Chinese character of the basic plane: words there are not separated by spaces. */
export function isHan(code: number): boolean {
  return code >= 0x3400 && code <= 0x9fff
}
