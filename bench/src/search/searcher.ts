import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { Order, Took } from './searcher-process.js'

const answerSchema = z.union([
  z.object({ took: z.object({ times: z.array(z.number()), seconds: z.number() }) }),
  z.object({ failed: z.string() }),
])

/** Whoever searches over HTTP: a process of its own, as in production, so that its work is not the server's. */
export interface Searcher {
  /** One order at a time. @throws when a search did not come back with its hits */
  ask(order: Order): Promise<Took>
  close(): void
}

export function openSearcher(url: string, k: number): Searcher {
  const child = fork(fileURLToPath(new URL('searcher-process.js', import.meta.url)), [url, String(k)])
  return {
    ask: async (order) => {
      child.send(order)
      const [message] = await once(child, 'message')
      const answer = answerSchema.parse(message)
      if ('failed' in answer) throw new Error(answer.failed)
      return answer.took
    },
    close: () => child.disconnect(),
  }
}
