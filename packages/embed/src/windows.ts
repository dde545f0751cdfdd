/** A window of a text's tokens, without special ones. */
export interface Span {
  readonly from: number
  readonly to: number
}

/**
 * Splits a text's tokens into windows that fit the model: all full but the last, without overlap.
 * @param tokens of the text, special ones not counted
 * @param room tokens a window takes, special ones not counted
 */
export function windowSpans(tokens: number, room: number): Span[] {
  const spans: Span[] = []
  for (let from = 0; from < tokens; from += room) spans.push({ from, to: Math.min(tokens, from + room) })
  return spans
}

/** Characters given to the tokenizer at once: its answer takes some 100 bytes a token until it is collected. */
export const PIECE_CHARS = 1 << 16

/**
 * Cuts a long text into pieces for the tokenizer, before white space, so that no word is cut: the tokens of the
 * pieces are those of the text. Where there is none within a piece, between any two characters (a word of
 * that length means nothing to any model), never within a surrogate pair.
 */
export function pieces(text: string, chars = PIECE_CHARS): string[] {
  const found: string[] = []
  let from = 0
  while (text.length - from > chars) {
    const to = cutBefore(text, from, from + chars)
    found.push(text.slice(from, to))
    from = to
  }
  found.push(text.slice(from))
  return found
}

function cutBefore(text: string, from: number, end: number): number {
  for (let i = end; i > from; i--) if (/\s/.test(text.charAt(i))) return i
  const code = text.charCodeAt(end - 1)
  return code >= 0xd800 && code <= 0xdbff && end - 1 > from ? end - 1 : end
}
