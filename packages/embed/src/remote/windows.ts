import type { Tokenizer } from '../tokenizer.js'

/** A part of a text that fits the model, and how many tokens it has there, special ones included. */
export interface TextWindow {
  readonly text: string
  readonly tokens: number
}

/** How far back from a full window's end a word's beginning is looked for, in tokens. */
const WORD_TOKENS = 32
/** How much smaller than the model's limit windows are planned at most, as a part of it. */
const MARGIN_MAX = 1 / 16

/**
 * Cuts a text into windows that fit the model, between tokens and where it can be between words; white space at
 * a cut is dropped. A server takes text, so each window is tokenized anew there, which may take a token or two
 * more than it had within the text: windows are planned that much smaller, and one that is still too long is
 * halved.
 * @param tokensMax of a window, special tokens included
 */
export async function textWindows(
  text: string,
  tokenizer: Tokenizer,
  tokensMax: number,
): Promise<TextWindow[]> {
  const room = tokensMax - specialTokens(tokenizer)
  const starts = await tokenizer.starts(text)
  for (let margin = 0; ; ) {
    const parts = cut(text, starts, room - margin)
    const counts = await tokenizer.count(parts)
    const over = counts.reduce((most, count) => Math.max(most, count - tokensMax), 0)
    if (over === 0 || margin + over > Math.max(2, room * MARGIN_MAX)) {
      return fitted(parts, counts, tokenizer, tokensMax)
    }
    margin += over
  }
}

const specialTokens = ({ special }: Tokenizer): number => special.before.length + special.after.length

async function fitted(
  parts: readonly string[],
  counts: readonly number[],
  tokenizer: Tokenizer,
  tokensMax: number,
): Promise<TextWindow[]> {
  const windows: TextWindow[] = []
  for (const [i, part] of parts.entries()) {
    const tokens = counts[i] ?? 0
    const isTooLong = tokens > tokensMax && part.length > 2
    if (isTooLong) {
      const two = halves(part)
      windows.push(...(await fitted(two, await tokenizer.count(two), tokenizer, tokensMax)))
    } else if (tokens > specialTokens(tokenizer)) windows.push({ text: part, tokens })
  }
  return windows
}

function cut(text: string, starts: Int32Array, room: number): string[] {
  const parts: string[] = []
  let from = 0
  for (let token = 0; token < starts.length; ) {
    const end = token + room
    let next =
      end < starts.length ? wordStart(text, starts, end, Math.max(token + 1, end - WORD_TOKENS)) : end
    // Tokens that share a character begin at the same place.
    while (next < starts.length && (starts[next] ?? 0) <= from) next++
    const to = next < starts.length ? (starts[next] ?? text.length) : text.length
    const part = text.slice(from, to)
    const begun = from > 0 ? part.trimStart() : part
    parts.push(to < text.length ? begun.trimEnd() : begun)
    from = to
    token = next
  }
  return parts
}

/** The last token from `least` to `end` that has white space before it or in it; `end` when there is none. */
function wordStart(text: string, starts: Int32Array, end: number, least: number): number {
  for (let token = end; token >= least; token--) {
    const at = starts[token] ?? 0
    if (/\s/.test(text.slice(Math.max(0, at - 1), at + 1))) return token
  }
  return end
}

function halves(text: string): [string, string] {
  const middle = text.length >> 1
  const code = text.charCodeAt(middle)
  const at = code >= 0xdc00 && code <= 0xdfff ? middle + 1 : middle // never within a surrogate pair
  return [text.slice(0, at), text.slice(at)]
}
