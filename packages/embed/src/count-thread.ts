import { parentPort } from 'node:worker_threads'
import { CodedError } from '@millrace/errors'
import type { CountMessage, CountReply } from './counter.js'
import { toPlain } from './plain.js'
import { countTerms } from './terms.js'
import { openTokenizer, type Tokenizer } from './tokenizer.js'

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

async function answer({ id, dir, texts, terms }: CountMessage): Promise<CountReply> {
  try {
    const tokenizer = await tokenizerOf(dir)
    if (terms === undefined) return { id, counts: await tokenizer.count(texts) }
    const { before, after } = tokenizer.special
    const special = before.length + after.length
    const encoded = await tokenizer.encode(texts)
    return {
      id,
      counts: encoded.map((ids) => ids.length + special),
      terms: encoded.map((ids) => countTerms(ids.subarray(0, terms.tokensMax - special), tokenizer)),
      special,
    }
  } catch (error) {
    return { id, error: toPlain(error) }
  }
}

port.on('message', async (message: CountMessage) => port.postMessage(await answer(message)))
