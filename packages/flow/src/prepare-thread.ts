import { parentPort } from 'node:worker_threads'
import { openTokenizer, type Tokenizer } from '@millrace/embed'
import { codeOf, messageOf } from '@millrace/errors'
import { prepareDocument } from './preparation.js'
import type { PrepareReply, PrepareRequest } from './preparer.js'

/** Runs in a thread of its own: cleaning and chunking a long text would stop the event loop for seconds. */
const tokenizers = new Map<string, Promise<Tokenizer>>()

function tokenizer(dir: string): Promise<Tokenizer> {
  let opened = tokenizers.get(dir)
  if (opened === undefined) {
    opened = openTokenizer(dir)
    tokenizers.set(dir, opened)
  }
  return opened
}

async function prepare(request: PrepareRequest): Promise<PrepareReply> {
  try {
    const { count } = await tokenizer(request.modelDir)
    return { id: request.id, ...(await prepareDocument(request.document, request.recipe, count)) }
  } catch (error) {
    return { id: request.id, code: codeOf(error), message: messageOf(error) }
  }
}

parentPort?.on('message', (request: PrepareRequest) => {
  void prepare(request).then((reply) => parentPort?.postMessage(reply))
})
