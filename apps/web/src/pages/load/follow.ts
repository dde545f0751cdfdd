import { type Answer, answer, api, headersOf, refusal } from '../../api/client.ts'
import { asProblem, isAborted } from '../../api/problem.ts'
import { openEvents } from './events.ts'
import { isOver } from './totals.ts'

export type Ingestion = Answer<'/v1/ingestions/{id}', 'get'>

/** live: told as it changes; asking: the stream is away, so it is asked; away: nothing answers. */
export type Link = 'live' | 'asking' | 'away'

interface FollowOptions {
  readonly signal: AbortSignal
  readonly onChange: (ingestion: Ingestion) => void
  readonly onLink: (link: Link) => void
}

const WAITS_MS = [500, 1_000, 2_000, 4_000, 8_000] as const
/** The server says something at least every 15 seconds; a stream that is quiet for longer is dead or held back. */
const QUIET_MS = 20_000

/**
 * Follows an ingestion to its end, however often the connection breaks. EventSource cannot send a key, so the
 * stream is read with fetch; while it cannot be had, the ingestion is asked for itself.
 * @throws Problem when there is no such ingestion, or the key is refused
 */
export async function follow(id: string, { signal, onChange, onLink }: FollowOptions): Promise<void> {
  let last: Ingestion | undefined
  const take = (ingestion: Ingestion) => {
    last = ingestion
    onChange(ingestion)
  }
  const ended = () => last !== undefined && isOver(last)
  for (let broken = 0; !signal.aborted && !ended(); broken++) {
    const streamed = await attempt(() =>
      stream(id, signal, (ingestion) => {
        broken = 0
        onLink('live')
        take(ingestion)
      }),
    )
    if (signal.aborted || ended()) return
    const asked = await attempt(async () => take(await ask(id, signal)))
    if (!asked || !streamed) onLink(asked ? 'asking' : 'away')
    if (ended()) return
    await pause(WAITS_MS[Math.min(broken, WAITS_MS.length - 1)] ?? 0, signal)
  }
}

export const ask = (id: string, signal: AbortSignal): Promise<Ingestion> =>
  answer(api.GET('/v1/ingestions/{id}', { params: { path: { id } }, signal }))

/** Whether it worked; what no waiting mends is thrown. */
async function attempt(work: () => Promise<void>): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    if (isAborted(error)) return false
    const problem = asProblem(error)
    if (problem.status === 404 || problem.status === 401) throw problem
    return false
  }
}

/** Until the server ends it; an error when it breaks or falls silent. */
async function stream(
  id: string,
  signal: AbortSignal,
  onChange: (ingestion: Ingestion) => void,
): Promise<void> {
  const quiet = new AbortController()
  let timer = setTimeout(() => quiet.abort(), QUIET_MS)
  try {
    const response = await fetch(`/v1/ingestions/${encodeURIComponent(id)}/events`, {
      headers: { ...headersOf(), accept: 'text/event-stream' },
      signal: AbortSignal.any([signal, quiet.signal]),
    })
    if (!response.ok) throw refusal(response, await response.json().catch(() => undefined))
    if (response.body === null) return
    const events = openEvents((data) => onChange(JSON.parse(data) as Ingestion))
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return
      clearTimeout(timer)
      timer = setTimeout(() => quiet.abort(), QUIET_MS)
      events.push(value)
    }
  } finally {
    clearTimeout(timer)
  }
}

export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const timer = setTimeout(resolve, ms)
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve()
      },
      { once: true },
    )
  })
