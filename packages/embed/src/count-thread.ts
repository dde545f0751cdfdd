import { parentPort } from 'node:worker_threads'
import { CodedError } from '@millrace/errors'
import type { CountMessage, CountReply } from './counter.js'
import { toPlain } from './plain.js'
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

async function answer({ id, dir, texts }: CountMessage): Promise<CountReply> {
  try {
    return { id, counts: await (await tokenizerOf(dir)).count(texts) }
  } catch (error) {
    return { id, error: toPlain(error) }
  }
}

port.on('message', async (message: CountMessage) => port.postMessage(await answer(message)))
