import { quantile } from '../engine/race.js'
import { type Figure, figure } from '../figure.js'

/** What searches came to while something else went on. */
export interface Searched {
  /** Of each answer, in milliseconds: until its JSON is read. */
  readonly times: readonly number[]
  /** Answers that were none, or no hits: the first of them is shown. */
  readonly errors: readonly string[]
}

const PAUSE_MS = 50

/** Searches over HTTP, `atATime` beside each other and each after a pause, as people do, for as long as `work` takes. */
export async function whileSearching<T>(
  url: string,
  questions: readonly string[],
  atATime: number,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly searched: Searched }> {
  const times: number[] = []
  const errors: string[] = []
  let done = false
  let next = 0
  const ask = async () => {
    while (!done) {
      const started = performance.now()
      const problem = await search(url, questions[next++ % questions.length] ?? '')
      if (problem === undefined) times.push(performance.now() - started)
      else errors.push(problem)
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    }
  }
  const asking = Array.from({ length: atATime }, ask)
  try {
    return { result: await work(), searched: { times, errors } }
  } finally {
    done = true
    await Promise.all(asking)
  }
}

/** What is wrong with the answer; undefined when it is right. */
async function search(url: string, query: string): Promise<string | undefined> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, k: 10 }),
    })
    const text = await response.text()
    const { hits } = JSON.parse(text) as { readonly hits?: readonly unknown[] }
    return response.ok && hits?.length === 10 ? undefined : `${response.status} ${text.slice(0, 300)}`
  } catch (error) {
    return String(error)
  }
}

export function searchedFigures(name: string, { times, errors }: Searched, idle?: Searched): Figure[] {
  const p95 = quantile(times, 0.95)
  const found = [
    figure(`${name}: searches`, times.length, ''),
    figure(`${name}: errors`, errors.length, '', '0'),
    figure(`${name}: p50`, quantile(times, 0.5), 'ms'),
    figure(`${name}: p95`, p95, 'ms'),
    figure(`${name}: longest`, Math.max(...times), 'ms'),
  ]
  if (errors[0] !== undefined) found.push(figure(`${name}: first error`, errors[0], ''))
  if (idle !== undefined)
    found.push(figure(`${name}: p95 over idle`, p95 / quantile(idle.times, 0.95), 'x', '≤ 2'))
  return found
}
