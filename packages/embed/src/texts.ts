import { CodedError } from '@millrace/errors'
import type { ModelManifest } from './manifest.js'
import { checked, type RowOutcome } from './pass.js'
import { normalize, poolWindows, type WindowVector } from './pool.js'
import type { TextKind, TextsMessage } from './protocol.js'
import type { RowOwner } from './rows.js'
import type { Tokenizer } from './tokenizer.js'
import { windowSpans } from './windows.js'

/** A text in the inference thread, until the last of its windows is through the model. */
export interface Text extends RowOwner {
  /** Its place in the request. */
  readonly index: number
  /** Special tokens included, once. */
  readonly tokens: number
  readonly windows: number
  /** Of the windows that are through. */
  readonly vectors: WindowVector[]
  error?: CodedError
  windowsLeft: number
}

/**
 * Why a text cannot be embedded at all, undefined when it can: U+0000 and half surrogate pairs are dropped
 * silently by tokenizers, so that the vector would be that of another text.
 */
export function refusal(text: string): CodedError | undefined {
  if (text === '') return emptyText()
  if (text.isWellFormed() && !text.includes('\0')) return undefined
  return new CodedError('INVALID_TEXT', 'The text holds a NUL character or half of a surrogate pair', {
    hint: 'Clean the text, or decode it as what it is',
  })
}

/** Also for what has characters but no tokens: white space, control characters. */
export const emptyText = (): CodedError =>
  new CodedError('EMPTY_TEXT', 'The text is empty for the model: it has no tokens', {
    hint: 'Leave such texts out',
  })

/** What the tokenizer gets: the text with the model's instruction for its kind before it. */
export const instructed = (text: string, kind: TextKind, { instructions }: ModelManifest): string =>
  (instructions[kind] ?? '') + text

/** The rows of a text: its tokens in as many windows as the model needs, each between the special tokens. */
export function windowsOf(ids: Int32Array, { special }: Tokenizer, tokensMax: number): Int32Array[] {
  const { before, after } = special
  return windowSpans(ids.length, tokensMax - before.length - after.length).map(({ from, to }) => {
    const row = new Int32Array(before.length + to - from + after.length)
    row.set(before)
    row.set(ids.subarray(from, to), before.length)
    row.set(after, before.length + to - from)
    return row
  })
}

/** A text on its way; `tokens` as in the result. */
export const openText = (
  { request, model, priority }: TextsMessage,
  index: number,
  tokens: number,
  windows: number,
): Text => ({ request, model, priority, index, tokens, windows, windowsLeft: windows, vectors: [] })

/**
 * Takes note of a window's outcome.
 * @param tokens of the text in this window: the weight of its vector
 * @returns whether it was the text's last one
 */
export function addWindow(text: Text, outcome: RowOutcome, tokens: number): boolean {
  if (outcome instanceof CodedError) text.error ??= outcome
  else text.vectors.push({ vector: outcome, tokens })
  text.windowsLeft--
  return text.windowsLeft === 0
}

/** The unit vector of a text whose windows are all through, or why it has none. */
export function outcomeOf(text: Text): RowOutcome {
  if (text.error !== undefined) return text.error
  const vector = poolWindows(text.vectors)
  return text.windows === 1 ? vector : checked(normalize(vector))
}
