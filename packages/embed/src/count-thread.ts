import { parentPort } from 'node:worker_threads'
import { CodedError } from '@millrace/errors'
import type { CountMessage, CountReply, TermSpans } from './counter.js'
import { toPlain } from './plain.js'
import { countTerms, pairTerms } from './terms.js'
import { openTokenizer, type Tokenizer } from './tokenizer.js'
import { countWords, placeWords } from './words.js'

// The entry of the thread that counts tokens; counter.ts starts it.
if (parentPort === null)
  throw new CodedError('INTERNAL', 'count-thread.js must be started as a worker thread')
const port = parentPort
const opened = new Map<string, Promise<Tokenizer>>()

function tokenizerOf(dir: string): Promise<Tokenizer> {
  const known = opened.get(dir)
  if (known !== undefined) return known
  const opening = openTokenizer(dir)
  opened.set(dir, opening)
  opening.catch(() => opened.delete(dir)) // may be tried again
  return opening
}

async function answer({ id, dir, texts, terms, spans }: CountMessage): Promise<CountReply> {
  try {
    const tokenizer = await tokenizerOf(dir)
    if (spans === true) return { id, counts: [], spans: await spansIn(tokenizer, texts) }
    if (terms === undefined) return { id, counts: await tokenizer.count(texts) }
    const { before, after } = tokenizer.special
    const special = before.length + after.length
    const encoded = await tokenizer.encode(texts)
    const most = terms.tokensMax - special
    return {
      id,
      counts: encoded.map((ids) => ids.length + special),
      terms:
        terms.as === 'terms'
          ? await countWords(tokenizer, texts, encoded, most)
          : encoded.map((ids) => countTerms(ids.subarray(0, most), tokenizer)),
      special,
    }
  } catch (error) {
    return { id, error: toPlain(error) }
  }
}

/** One after the other: each holds an object a token until it is read. */
async function spansIn(tokenizer: Tokenizer, texts: readonly string[]): Promise<TermSpans[]> {
  const found: TermSpans[] = []
  for (const text of texts) {
    const spans = await tokenizer.spans(text)
    const words = await placeWords(tokenizer, text)
    found.push({ ...spans, pairs: pairTerms(spans.ids, tokenizer), words })
  }
  return found
}

port.on('message', async (message: CountMessage) => port.postMessage(await answer(message)))
