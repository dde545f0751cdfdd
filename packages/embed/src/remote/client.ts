import { setTimeout as sleep } from 'node:timers/promises'
import type { RemoteManifest } from '../manifest.js'
import { checked, type RowOutcome } from '../pass.js'
import { normalize } from '../pool.js'
import { answerBytesMax, DIALECTS, readInfo, readVectors, urlOf } from './dialects.js'
import { refused, textRefused, unauthorized, wrongTokensMax } from './errors.js'
import { ask, type HttpDeps, type Refusal } from './http.js'

/** What a model elsewhere is reached with; tests hand in their own. */
export interface RemoteDeps extends HttpDeps {
  /** The value of an environment variable: where the key is. */
  readonly env: (name: string) => string | undefined
}

export const REMOTE_DEPS: RemoteDeps = {
  fetch: (input, init) => fetch(input, init),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }),
  random: Math.random,
  now: Date.now,
  env: (name) => process.env[name],
}

/** A server that was asked and gave vectors of the right dims. */
export interface Client {
  /** Texts of a request at most, as the manifest and the server have it. */
  readonly batchTexts: number
  /**
   * An outcome a text, in order: its unit vector, or why it alone has none.
   * @throws CodedError when no text is at fault
   */
  embed(texts: readonly string[], signal: AbortSignal): Promise<RowOutcome[]>
}

/** Any server takes it, and has a vector for it. */
const PROBE = 'Where is the nearest station?'

/**
 * @throws CodedError REMOTE_UNAVAILABLE (retryable), REMOTE_UNAUTHORIZED, REMOTE_REFUSED, REMOTE_BAD_ANSWER,
 * REMOTE_DIMS, REMOTE_TOKENS_MAX, ABORTED
 */
export async function openClient(
  manifest: RemoteManifest,
  deps: RemoteDeps,
  signal: AbortSignal,
): Promise<Client> {
  const { remote, dims, tokensMax } = manifest
  const url = urlOf(remote.url, DIALECTS[remote.kind].path)
  const key = keyOf(manifest, url, deps)
  const shared = { key, keyEnv: remote.keyEnv, timeoutMs: remote.timeoutMs }

  async function vectors(texts: readonly string[], by: AbortSignal): Promise<RowOutcome[] | Refusal> {
    const body = DIALECTS[remote.kind].body(texts, remote)
    const bytesMax = answerBytesMax(texts.length, dims)
    const answer = await ask({ ...shared, url, body, attempts: remote.attempts, bytesMax }, deps, by)
    if ('refusal' in answer) return answer
    const found = readVectors(remote.kind, answer.json, { url, count: texts.length, dims })
    // Also of servers that say they do it: not all do, and everything behind this takes unit length for granted.
    return found.map((vector) => checked({ dense: normalize(vector) }))
  }

  /** A text that any model takes: where the server refuses even that, no text is at fault. */
  async function probe(by: AbortSignal): Promise<void> {
    const answer = await vectors([PROBE], by)
    if ('refusal' in answer) throw refused(url, answer.refusal)
  }

  /** Halves a refused batch until the texts at fault are alone, so that their neighbours get their vectors. */
  async function halves(
    texts: readonly string[],
    { refusal }: Refusal,
    by: AbortSignal,
  ): Promise<RowOutcome[]> {
    if (texts.length === 1) return [textRefused(url, refusal)]
    const middle = texts.length >> 1
    const outcomes: RowOutcome[] = []
    for (const half of [texts.slice(0, middle), texts.slice(middle)]) {
      const answer = await vectors(half, by)
      outcomes.push(...('refusal' in answer ? await halves(half, answer, by) : answer))
    }
    return outcomes
  }

  /** Its limits, where it says them; what it does not answer to `/info` it will say to the probe. */
  async function info() {
    if (remote.kind !== 'tei') return {}
    const request = { ...shared, url: urlOf(remote.url, '/info'), attempts: 1, bytesMax: 1 << 16 }
    const answer = await ask(request, deps, signal).catch(() => undefined)
    return answer !== undefined && 'json' in answer ? readInfo(answer.json) : {}
  }

  const limits = await info()
  if (limits.tokensMax !== undefined && limits.tokensMax < tokensMax) {
    throw wrongTokensMax(url, limits.tokensMax, tokensMax)
  }
  await probe(signal)
  return {
    batchTexts: Math.min(remote.batchTexts, limits.batchTexts ?? Number.POSITIVE_INFINITY),
    embed: async (texts, by) => {
      const answer = await vectors(texts, by)
      if (!('refusal' in answer)) return answer
      await probe(by)
      return halves(texts, answer, by)
    },
  }
}

function keyOf({ remote }: RemoteManifest, url: string, { env }: RemoteDeps): string | undefined {
  if (remote.keyEnv === undefined) return undefined
  const key = env(remote.keyEnv)?.trim()
  if (key === undefined || key === '') {
    throw unauthorized(url, `the environment variable ${remote.keyEnv} is not set`, remote.keyEnv)
  }
  return key
}
