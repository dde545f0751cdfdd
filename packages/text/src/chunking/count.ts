import { CodedError } from '@millrace/errors'

/** Token counts of texts, in order, special tokens included, by the model's own tokenizer without truncation. */
export type Count = (texts: string[]) => Promise<number[]>

/** Bounds of one call, so that a tokenizer's answer stays small however long the document is. */
const CALL_TEXTS_MAX = 8192
const CALL_CHARS_MAX = 1 << 20
/** Words repeat; longer texts hardly do. */
const CACHED_CHARS_MAX = 32
const CACHED_TEXTS_MAX = 1 << 17

export interface Counter {
  /** Counts as the tokenizer gives them. */
  readonly full: (texts: readonly string[]) => Promise<number[]>
  /** Counts without the special tokens: what a text adds to a longer one. */
  readonly bare: (texts: readonly string[]) => Promise<number[]>
}

/** Few large calls instead of many small ones, and short texts counted once. */
export function createCounter(count: Count): Counter {
  const cache = new Map<string, number>()
  let special: number | undefined

  const full = async (texts: readonly string[]): Promise<number[]> => {
    const counts: number[] = []
    for (const call of calls(texts)) {
      const answer = await count(call)
      if (answer.length !== call.length) {
        throw new CodedError('COUNT_MISMATCH', `Counted ${answer.length} of ${call.length} texts`)
      }
      for (const tokens of answer) counts.push(tokens)
    }
    return counts
  }

  const bare = async (texts: readonly string[]): Promise<number[]> => {
    if (cache.size > CACHED_TEXTS_MAX) cache.clear()
    const known = special
    const asked = new Map<string, number>()
    for (const text of texts) if (!cache.has(text) && !asked.has(text)) asked.set(text, asked.size)
    const answer = await full(known === undefined ? [...asked.keys(), ''] : [...asked.keys()])
    const base = known ?? answer.pop() ?? 0
    special = base
    for (const [text, index] of asked) {
      if (text.length <= CACHED_CHARS_MAX) cache.set(text, (answer[index] ?? 0) - base)
    }
    return texts.map((text) => {
      const index = asked.get(text)
      return index === undefined ? (cache.get(text) ?? 0) : (answer[index] ?? 0) - base
    })
  }

  return { full, bare }
}

function* calls(texts: readonly string[]): Generator<string[]> {
  let call: string[] = []
  let chars = 0
  for (const text of texts) {
    if (call.length > 0 && (call.length >= CALL_TEXTS_MAX || chars + text.length > CALL_CHARS_MAX)) {
      yield call
      call = []
      chars = 0
    }
    call.push(text)
    chars += text.length
  }
  if (call.length > 0) yield call
}
