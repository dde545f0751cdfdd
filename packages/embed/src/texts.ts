import { CodedError } from '@millrace/errors'
import type { ModelManifest } from './manifest.js'
import {
  type ColbertVectors,
  type Encoding,
  joinColbert,
  mergeSparse,
  type SparseVector,
  type Vectors,
} from './outputs.js'
import { checked, type RowOutcome } from './pass.js'
import { normalize, poolWindows } from './pool.js'
import type { TextKind } from './protocol.js'
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
  /** Its end was left out, as the caller wanted. */
  readonly truncated: boolean
  readonly encoding: Encoding
  /** It is scored with a query: what the model gives is a logit, and the best window counts. */
  readonly isPair: boolean
  readonly terms: SparseVector | undefined
  /** Of the windows that are through, in their place. */
  readonly parts: (WindowPart | undefined)[]
  error?: CodedError
  windowsLeft: number
}

interface WindowPart {
  readonly vectors: Vectors
  /** Of the text in this window: the weight of its dense vector. */
  readonly tokens: number
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

export const tooLong = (tokens: number, window: number): CodedError =>
  new CodedError('TEXT_TOO_LONG', `The text has ${tokens} tokens, one window takes ${window}`, {
    hint: 'Have long texts pooled over windows, or cut the text into chunks',
  })

/** What the tokenizer gets: the text with the model's instruction for its kind before it. */
export const instructed = (text: string, kind: TextKind, { instructions }: ModelManifest): string =>
  kind === 'plain' ? text : (instructions[kind] ?? '') + text

/** The rows of a text: its tokens in as many windows as it needs, each between the special tokens. */
export function windowsOf(ids: Int32Array, { special }: Tokenizer, window: number): Int32Array[] {
  const { before, after } = special
  return windowSpans(ids.length, window - before.length - after.length).map(({ from, to }) => {
    const row = new Int32Array(before.length + to - from + after.length)
    row.set(before)
    row.set(ids.subarray(from, to), before.length)
    row.set(after, before.length + to - from)
    return row
  })
}

/** A text on its way; `tokens` as in the result. */
export const openText = (
  { request, model, priority }: RowOwner,
  text: Pick<Text, 'index' | 'tokens' | 'windows' | 'truncated' | 'encoding' | 'isPair' | 'terms'>,
): Text => ({ request, model, priority, ...text, windowsLeft: text.windows, parts: [] })

/**
 * Takes note of a window's outcome.
 * @param window its place in the text
 * @param tokens of the text in this window
 * @returns whether it was the text's last one
 */
export function addWindow(text: Text, window: number, outcome: RowOutcome, tokens: number): boolean {
  if (outcome instanceof CodedError) text.error ??= outcome
  else text.parts[window] = { vectors: outcome, tokens }
  text.windowsLeft--
  return text.windowsLeft === 0
}

/** The vectors of a text whose windows are all through, those that were asked for, or why it has none. */
export function outcomeOf({ error, parts, encoding, isPair, terms }: Text): RowOutcome {
  if (error !== undefined) return error
  const windows = parts.filter((part) => part !== undefined)
  const { outputs, windowPooling } = encoding
  if (isPair) return { dense: best(windows) }
  const sparse = windows.flatMap(({ vectors }): SparseVector[] => (vectors.sparse ? [vectors.sparse] : []))
  const colbert = windows.flatMap(({ vectors }): ColbertVectors[] =>
    vectors.colbert ? [vectors.colbert] : [],
  )
  return checked({
    dense: outputs.includes('dense') ? pooled(windows, windowPooling) : new Float32Array(),
    ...(outputs.includes('sparse') ? { sparse: mergeSparse(sparse) } : {}),
    ...(outputs.includes('colbert') ? { colbert: joinColbert(colbert) } : {}),
    ...(terms === undefined ? {} : { terms }),
  })
}

const best = (windows: readonly WindowPart[]): Float32Array =>
  Float32Array.of(Math.max(...windows.map(({ vectors }) => vectors.dense[0] ?? Number.NEGATIVE_INFINITY)))

function pooled(windows: readonly WindowPart[], pooling: Encoding['windowPooling']): Float32Array {
  const vector = poolWindows(
    windows.map(({ vectors, tokens }) => ({ vector: vectors.dense, tokens })),
    pooling,
  )
  return windows.length === 1 ? vector : normalize(vector)
}
