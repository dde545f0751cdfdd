import { CodedError } from '@millrace/errors'
import type { PairTemplate, Tokenizer } from './tokenizer.js'
import { windowSpans } from './windows.js'

/** @throws CodedError INVALID_TOKENIZER where there is none */
export function requirePair(dir: string, { pair }: Pick<Tokenizer, 'pair'>): PairTemplate {
  if (pair !== undefined) return pair
  throw new CodedError(
    'INVALID_TOKENIZER',
    `The tokenizer in ${dir} does not say how two texts are read together`,
    {
      hint: 'A model that reranks needs a tokenizer.json whose post_processor has a template for pairs',
    },
  )
}

/**
 * Where the second text begins in a row of two, for token types: behind the first of the tokens that stand between,
 * which no text has (see tokenizer.ts, withoutMarkup). Undefined where all tokens are of one type.
 * @throws CodedError INVALID_TOKENIZER
 */
export function secondFrom(
  dir: string,
  tokenizer: Pick<Tokenizer, 'pair'>,
): ((row: Int32Array) => number) | undefined {
  const { before, between, isTyped } = requirePair(dir, tokenizer)
  if (!isTyped) return undefined
  const [mark = -1] = between
  return (row) => {
    const at = row.indexOf(mark, before.length)
    return at < 0 ? row.length : at + between.length
  }
}

/** What a row takes of the model besides query and text. */
export const pairSpecials = ({ before, between, after }: PairTemplate): number =>
  before.length + between.length + after.length

/**
 * The rows of a pair: the query with the text, in as many windows as the text needs beside it.
 * @throws RangeError when the query leaves no room
 */
export function pairWindows(
  query: Int32Array,
  text: Int32Array,
  template: PairTemplate,
  tokensMax: number,
): Int32Array[] {
  const { before, between, after } = template
  const head = [...before, ...query, ...between]
  const room = tokensMax - head.length - after.length
  if (room < 1) throw new RangeError(`A query of ${query.length} tokens leaves no room in ${tokensMax}`)
  return windowSpans(text.length, room).map(({ from, to }) =>
    Int32Array.from([...head, ...text.subarray(from, to), ...after]),
  )
}
