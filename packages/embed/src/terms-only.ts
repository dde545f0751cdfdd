import type { Counter } from './counter.js'
import { type Encoding, isCounted } from './outputs.js'
import type { EmbedResult } from './requests.js'
import { emptyText, refusal, tooLong } from './texts.js'
import { windowSpans } from './windows.js'

/** Nothing of the model is wanted but its tokenizer. */
export const isTermsOnly = ({ outputs }: Encoding): boolean => outputs.every(isCounted)

/**
 * The terms of texts without a forward pass: it waits for none, and the model need not be loaded. Without the
 * instruction for their kind, as everywhere.
 */
export async function embedTerms(
  counter: Pick<Counter, 'terms'>,
  dir: string,
  texts: readonly string[],
  { outputs, window, longTexts }: Encoding,
): Promise<EmbedResult[]> {
  const tokensMax = longTexts === 'truncate' ? window : Number.MAX_SAFE_INTEGER
  const refusals = texts.map(refusal)
  const given = texts.filter((_, i) => refusals[i] === undefined)
  const { counts, terms, special } = await counter.terms(dir, given, {
    tokensMax,
    as: outputs.find(isCounted) ?? 'terms',
  })
  let next = 0
  return refusals.map((error): EmbedResult => {
    if (error !== undefined) return { error }
    const tokens = counts[next] ?? special
    const own = terms[next++]
    if (own === undefined || tokens === special) return { error: emptyText() }
    if (longTexts === 'refuse' && tokens > window) return { error: tooLong(tokens, window) }
    const windows = longTexts === 'truncate' ? 1 : windowSpans(tokens - special, window - special).length
    const truncated = longTexts === 'truncate' && tokens > window
    return { vector: new Float32Array(), terms: own, tokens, windows, truncated }
  })
}
