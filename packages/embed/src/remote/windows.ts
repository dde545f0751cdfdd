import type { Tokenizer } from '../tokenizer.js'

/** A part of a text that fits the model, and how many tokens it has there, special ones included. */
export interface TextWindow {
  readonly text: string
  readonly tokens: number
}

/** How far back from a full window's end a word's beginning is looked for, in tokens. */
const WORD_TOKENS = 32

/**
 * Cuts a text into windows that fit the model, between tokens and where it can be between words. A server takes
 * text, so each window is tokenized anew there, and a token at its edge may fall apart into several: each is
 * counted, and one that became too long is halved.
 * @param tokensMax of a window, special tokens included
 */
export async function textWindows(
  text: string,
  tokenizer: Tokenizer,
  tokensMax: number,
): Promise<TextWindow[]> {
  const special = tokenizer.special.before.length + tokenizer.special.after.length
  const starts = await tokenizer.starts(text)
  let waiting = cut(text, starts, tokensMax - special)
  const windows: TextWindow[] = []
  while (waiting.length > 0) {
    const counts = await tokenizer.count(waiting)
    const next: string[] = []
    for (const [i, part] of waiting.entries()) {
      const tokens = counts[i] ?? 0
      if (tokens > tokensMax && part.length > 2) next.push(...halves(part))
      else if (tokens > special) windows.push({ text: part, tokens })
    }
    waiting = next
  }
  return windows // their order does not matter: what comes of them is a mean
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
    parts.push(text.slice(from, to))
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
