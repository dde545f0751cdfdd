import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CodedError, messageOf } from '@millrace/errors'
import { type Encoding, Tokenizer as Native } from 'tokenizers'
import { z } from 'zod'
import { spansOf, type TokenSpans } from './spans.js'
import { pieces } from './windows.js'

/** A model's tokenizer with truncation and padding off, and its special tokens where a text begins and ends only. */
export interface Tokenizer {
  /** Tokens that stand before and after every text. */
  readonly special: { readonly before: Int32Array; readonly after: Int32Array }
  /** What stands around two texts that are read together; undefined where its post-processor has no such template. */
  readonly pair: PairTemplate | undefined
  /** Stands for what the vocabulary does not have; undefined where there is no such token. */
  readonly unknownId: number | undefined
  /** Whether that token is one Chinese character. */
  readonly isIdeograph: (id: number) => boolean
  /** Whether that token is one letter, neither Chinese nor ASCII. */
  readonly isLetter: (id: number) => boolean
  /** The largest id that it can give. */
  readonly largestId: number
  /**
   * Tokens of each text, special ones included, in order; nothing is refused, an empty text has the special
   * tokens only. Works in native threads, in slices that keep the calling thread below a few milliseconds.
   */
  readonly count: (texts: readonly string[]) => Promise<number[]>
  /** Token ids of each text without special tokens, in order. */
  readonly encode: (texts: readonly string[]) => Promise<Int32Array[]>
  /** Where each token of a text begins, in UTF-16 code units, without special tokens; never falling. */
  readonly starts: (text: string) => Promise<Int32Array>
  /** Which tokens a text has and where in it they are, without special tokens. */
  readonly spans: (text: string) => Promise<TokenSpans>
}

export interface PairTemplate {
  readonly before: Int32Array
  readonly between: Int32Array
  readonly after: Int32Array
  /** Whether all from the second text on is of token type 1. */
  readonly isTyped: boolean
}

/**
 * Bounds of one native call. Measured with both models: handing over and reading the answer takes the calling
 * thread 0.4 ms for 1,024 texts and 0.2 ms for 256,000 characters, the native threads 12 and 70 ms.
 */
const CALL_TEXTS_MAX = 1_024
const CALL_CHARS_MAX = 1 << 18

const bare = { addSpecialTokens: false }

/**
 * Opens `tokenizer.json` in a model's folder. Parsing blocks the thread: 10 to 40 ms for a vocabulary of 30,000.
 * @throws CodedError INVALID_TOKENIZER when the file is missing or the library does not take it
 */
export async function openTokenizer(dir: string): Promise<Tokenizer> {
  const file = join(dir, 'tokenizer.json')
  try {
    const { json, unknownId, largestId, isIdeograph, isLetter } = withoutMarkup(await readFile(file, 'utf8'))
    const native = Native.fromString(json)
    // A tokenizer.json may carry both (all-minilm: 128 tokens), and would cut or lengthen texts silently.
    native.disableTruncation()
    native.disablePadding()
    const special = await specialTokens(native)
    const length = special.before.length + special.after.length
    return {
      special,
      pair: await pairTemplate(native),
      unknownId,
      isIdeograph,
      isLetter,
      largestId,
      count: async (texts) => {
        const counts = await inPieces(native, texts, (encoding) => encoding.getLength())
        return counts.map((parts) => parts.reduce((sum, part) => sum + part, length))
      },
      encode: async (texts) => {
        const ids = await inPieces(native, texts, (encoding) => encoding.getIds())
        return ids.map((parts) => Int32Array.from(parts.length === 1 ? (parts[0] ?? []) : parts.flat()))
      },
      starts: (text) => starts(native, text),
      spans: (text) => spansOf(native, text),
    }
  } catch (error) {
    if (error instanceof CodedError) throw error
    throw new CodedError('INVALID_TOKENIZER', `Cannot open ${file}: ${messageOf(error)}`, {
      hint: 'Copy the model again; `tokenizer.json` must be in the format of Hugging Face tokenizers',
      cause: error,
    })
  }
}

/** Pieces with their ids (WordPiece, BPE), or with their scores in the order of their ids (Unigram). */
type Vocabulary = Record<string, number> | [string, number][]

/** By hand: a schema of each entry takes three quarters of the time in which a model's tokenizer opens. */
function isVocabulary(given: unknown): given is Vocabulary {
  if (typeof given !== 'object' || given === null) return false
  if (!Array.isArray(given)) return Object.values(given).every(Number.isInteger)
  return given.every(
    (entry: unknown) =>
      Array.isArray(entry) &&
      entry.length === 2 &&
      typeof entry[0] === 'string' &&
      typeof entry[1] === 'number',
  )
}

const tokenizerFile = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.int(), content: z.string(), special: z.boolean() })).optional(),
  model: z.looseObject({
    vocab: z.custom<Vocabulary>(isVocabulary, 'is neither pieces with ids nor pieces with scores'),
    unk_token: z.string().nullish(),
    unk_id: z.int().nullish(),
  }),
})

/**
 * Special tokens are also cut out of the text itself ("[SEP]" in a document would end its first sentence for the
 * model). The native tokenizer has no switch for that in JavaScript, but what is not listed as an added token is
 * text like any other. Only those that the vocabulary knows under the same id are taken off the list, so that no
 * id moves; the post-processor, which puts them around a text, has ids of its own. A Unigram vocabulary would
 * still find "<s>" in a text as a piece like any other, so the piece gets a name that no text has: U+0000 is
 * refused in texts.
 */
function withoutMarkup(
  file: string,
): { json: string } & Pick<Tokenizer, 'unknownId' | 'largestId' | 'isIdeograph' | 'isLetter'> {
  const parsed = tokenizerFile.parse(JSON.parse(file))
  const { vocab, unk_token, unk_id } = parsed.model
  const idOf = (content: string, id: number) =>
    Array.isArray(vocab) ? (vocab[id]?.[0] === content ? id : undefined) : vocab[content]
  const markup = (parsed.added_tokens ?? []).filter(
    ({ special, content, id }) => special && idOf(content, id) === id,
  )
  const kept = (parsed.added_tokens ?? []).filter((token) => !markup.includes(token))
  if (Array.isArray(vocab)) {
    for (const { id, content } of markup) vocab[id] = [`\0${content}`, vocab[id]?.[1] ?? 0]
  }
  const unknownId = unk_id ?? (Array.isArray(vocab) || unk_token == null ? undefined : vocab[unk_token])
  const ids = [...(Array.isArray(vocab) ? vocab.keys() : Object.values(vocab)), ...kept.map(({ id }) => id)]
  const largestId = ids.reduce((most, id) => Math.max(most, id), 0)
  const pieceIds: [string, number][] = Array.isArray(vocab)
    ? vocab.map(([piece], id) => [piece, id])
    : Object.entries(vocab)
  const idsOf = (kind: RegExp) => new Set(pieceIds.flatMap(([piece, id]) => (kind.test(piece) ? [id] : [])))
  const [ideographs, letters] = [idsOf(IDEOGRAPH), idsOf(LETTER)]
  return {
    json: JSON.stringify({ ...parsed, added_tokens: kept }),
    unknownId,
    largestId,
    isIdeograph: (id) => ideographs.has(id),
    isLetter: (id) => letters.has(id),
  }
}

/** Alone, or after WordPiece's sign that it is inside a word, or SentencePiece's that one begins. */
const IDEOGRAPH = /^(##|\u2581)?\p{Script=Han}$/u
const LETTER = /^(##|\u2581)?(?![a-zA-Z]|\p{Script=Han})[\p{L}\p{M}]$/u

/** Finds them by encoding a text with and without. */
async function specialTokens(native: Native): Promise<Tokenizer['special']> {
  const [whole, inner] = await Promise.all([native.encode('a'), native.encode('a', null, bare)])
  const ids = whole.getIds()
  const length = inner.getLength()
  const at = ids.findIndex((_, i) => inner.getIds().every((id, j) => ids[i + j] === id))
  if (length === 0 || at < 0) {
    throw new CodedError('INVALID_TOKENIZER', 'The tokenizer gives no tokens for the text "a"')
  }
  return {
    before: Int32Array.from(ids.slice(0, at)),
    after: Int32Array.from(ids.slice(at + length)),
  }
}

/** Finds it by encoding two texts with it, and without. */
async function pairTemplate(native: Native): Promise<PairTemplate | undefined> {
  const [whole, inner] = await Promise.all([native.encode('a', 'a'), native.encode('a', null, bare)])
  const [ids, types, text] = [whole.getIds(), whole.getTypeIds(), inner.getIds()]
  const found = (from: number) =>
    ids.findIndex((_, i) => i >= from && text.every((id, j) => ids[i + j] === id))
  const first = found(0)
  const second = first < 0 ? -1 : found(first + text.length)
  if (text.length === 0 || second <= first + text.length) return undefined
  return {
    before: Int32Array.from(ids.slice(0, first)),
    between: Int32Array.from(ids.slice(first + text.length, second)),
    after: Int32Array.from(ids.slice(second + text.length)),
    isTyped: types.every((type, i) => type === (i < second ? 0 : 1)),
  }
}

/**
 * Characters of one call for offsets: the library makes an array of each, and reading those of 8,000 characters
 * takes the calling thread 2 ms.
 */
const STARTS_CHARS_MAX = 1 << 13

async function starts(native: Native, text: string): Promise<Int32Array> {
  const found: Int32Array[] = []
  let before = 0
  for (const piece of pieces(text, STARTS_CHARS_MAX)) {
    const offsets = (await native.encode(piece, null, bare)).getOffsets()
    const inUnits = unitsOf(piece)
    const base = before
    found.push(Int32Array.from(offsets, ([start = 0]) => base + inUnits(start)))
    before += piece.length
  }
  const all = new Int32Array(found.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of found) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** The library counts in code points, JavaScript's strings in UTF-16 code units; asked for in rising order. */
function unitsOf(text: string): (point: number) => number {
  let point = 0
  let unit = 0
  return (wanted) => {
    for (; point < wanted && unit < text.length; point++)
      unit += (text.codePointAt(unit) ?? 0) > 0xffff ? 2 : 1
    return unit
  }
}

/** Reads something off each piece of each text, a bounded number of texts and characters a call. */
async function inPieces<T>(
  native: Native,
  texts: readonly string[],
  read: (encoding: Encoding) => T,
): Promise<T[][]> {
  const results: T[][] = texts.map(() => [])
  let call: string[] = []
  let owners: number[] = []
  let chars = 0
  const flush = async () => {
    const encodings = call.length === 0 ? [] : await native.encodeBatch(call, bare)
    for (const [i, encoding] of encodings.entries()) results[owners[i] ?? -1]?.push(read(encoding))
    call = []
    owners = []
    chars = 0
  }
  for (const [owner, text] of texts.entries()) {
    for (const piece of pieces(text)) {
      if (call.length >= CALL_TEXTS_MAX || chars + piece.length > CALL_CHARS_MAX) await flush()
      call.push(piece)
      owners.push(owner)
      chars += piece.length
    }
  }
  await flush()
  return results
}
