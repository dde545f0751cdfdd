import { CodedError, codeOf, messageOf } from '@millrace/errors'
import type { EngineLog } from '../contract.js'
import { aborted, badAnswer, refused, shown, unauthorized, unavailable } from './errors.js'
import { isAboutTexts, isTemporary, parseRetryAfter, waitMs } from './retry.js'

/** What a request is made with; tests hand in their own. */
export interface HttpDeps {
  readonly fetch: typeof fetch
  /** Rejects when the signal says so. @param ms milliseconds */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<unknown>
  /** From 0 to 1. */
  readonly random: () => number
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly log?: EngineLog | undefined
}

export interface HttpRequest {
  readonly url: string
  /** Undefined: GET. */
  readonly body?: unknown
  readonly key: string | undefined
  /** Where the key is from, for the error. */
  readonly keyEnv: string | undefined
  /** Of one try, in milliseconds. */
  readonly timeoutMs: number
  readonly attempts: number
  /** Of an answer; a longer one is no answer. */
  readonly bytesMax: number
}

/** What a server said that may be about the texts it was sent: 400, 413, 422. */
export interface Refusal {
  readonly refusal: string
}

/** JSON, or why the server does not take these texts. */
export type Answer = { readonly json: unknown } | Refusal

interface Again {
  readonly again: string
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

/**
 * Asks until there is an answer: after a broken connection, a time-out and a temporary status (429, 5xx) again,
 * later and later.
 * @throws CodedError REMOTE_UNAVAILABLE (retryable), REMOTE_UNAUTHORIZED, REMOTE_REFUSED, REMOTE_BAD_ANSWER,
 * ABORTED
 */
export async function ask(request: HttpRequest, deps: HttpDeps, signal: AbortSignal): Promise<Answer> {
  for (let tries = 1; ; tries++) {
    if (signal.aborted) throw aborted(signal)
    const outcome = await tryOnce(request, deps, signal)
    if (!('again' in outcome)) return outcome
    if (tries >= request.attempts) throw unavailable(request.url, tries, outcome.again, outcome.cause)
    const ms = waitMs(tries, outcome.retryAfterMs, deps.random())
    deps.log?.info({ url: shown(request.url), tries, ms, why: outcome.again }, 'the server is asked again')
    await deps.sleep(ms, signal).catch((error: unknown) => {
      throw signal.aborted ? aborted(signal) : error
    })
  }
}

async function tryOnce(request: HttpRequest, deps: HttpDeps, signal: AbortSignal): Promise<Answer | Again> {
  const abort = new AbortController()
  const stop = () => abort.abort()
  signal.addEventListener('abort', stop)
  // Until the last byte of the answer is here, not its first.
  const timer = setTimeout(stop, request.timeoutMs)
  try {
    const response = await deps.fetch(request.url, {
      method: request.body === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'application/json',
        ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(request.key === undefined ? {} : { authorization: `Bearer ${request.key}` }),
      },
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      signal: abort.signal,
      redirect: 'manual', // a POST that follows one may become a GET, and the key must not go elsewhere
    })
    return await judge(request, response, deps.now)
  } catch (error) {
    if (error instanceof CodedError) throw error
    if (signal.aborted) throw aborted(signal)
    if (abort.signal.aborted) return { again: `nothing within ${request.timeoutMs} ms` }
    return { again: reasonOf(error), cause: error }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
}

/** Bytes of an error's body that are read: enough for a sentence. */
const WHY_BYTES_MAX = 4_096

async function judge(request: HttpRequest, response: Response, now: () => number): Promise<Answer | Again> {
  const { status } = response
  const { url, bytesMax, keyEnv } = request
  if (status >= 200 && status < 300) {
    const { text, isWhole } = await readText(response, bytesMax)
    if (!isWhole) throw badAnswer(url, `it has more than ${bytesMax} bytes`)
    return { json: parseJson(url, text) }
  }
  const { text } = await readText(response, WHY_BYTES_MAX)
  if (status === 401 || status === 403) throw unauthorized(url, `it says ${status}`, keyEnv)
  const why = `${status} ${whyOf(text, response)}`.trim()
  if (isTemporary(status)) {
    return { again: why, retryAfterMs: parseRetryAfter(response.headers.get('retry-after'), now()) }
  }
  if (isAboutTexts(status)) return { refusal: why }
  throw refused(url, why)
}

async function readText(response: Response, bytesMax: number): Promise<{ text: string; isWhole: boolean }> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > bytesMax) break // which also hangs up
  }
  return { text: Buffer.concat(chunks).subarray(0, bytesMax).toString('utf8'), isWhole: bytes <= bytesMax }
}

/** Python's JSON has NaN and Infinity, which are no JSON: a vector with them is one text's fault, not its batch's. */
const PYTHON_NUMBERS = /(?<=[[,:\s])-?(?:NaN|Infinity)(?=[\],}\s])/g

function parseJson(url: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    try {
      return JSON.parse(text.replace(PYTHON_NUMBERS, 'null'))
    } catch {
      throw badAnswer(url, messageOf(error), error)
    }
  }
}

const WHY_CHARS_MAX = 300

/** The message in an error's body, where there is one, on one line. */
function whyOf(text: string, response: Response): string {
  const where = response.headers.get('location')
  const said = where === null ? messageIn(text) : `redirects to ${where}`
  return said.replace(/\s+/g, ' ').trim().slice(0, WHY_CHARS_MAX)
}

/** `{error: {message}}` (OpenAI), `{error}` (text-embeddings-inference), `{message}`, else the body itself. */
function messageIn(text: string): string {
  try {
    let said: unknown = JSON.parse(text)
    for (const key of ['error', 'message']) {
      if (typeof said === 'object' && said !== null && key in said) said = Reflect.get(said, key)
    }
    return typeof said === 'string' ? said : text
  } catch {
    return text
  }
}

/** `fetch failed` says nothing; what it was caused by does. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const code = codeOf(cause)
  const message = messageOf(cause)
  return code === 'INTERNAL' || message.includes(code) ? message : `${message} (${code})`
}
