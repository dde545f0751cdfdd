import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError, messageOf } from '@millrace/errors'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import type { z } from 'zod'
import { type Ingestion, ingestionSchema, problem } from './contract.js'
import { hintOf, messageFor } from './hints.js'

export * from './contract.js'

export interface ClientOptions {
  /** Where Millrace listens, for example http://127.0.0.1:8080. */
  readonly url: string
  readonly apiKey: string | undefined
  /** Language of level names. */
  readonly language: 'zh' | 'en'
}

/** A body that is never whole in memory. */
export interface Streamed {
  readonly contentType: string
  readonly bytes: AsyncIterable<Uint8Array>
}

export interface Client {
  readonly url: string
  readonly language: 'zh' | 'en'
  get<T>(path: string, schema: z.ZodType<T>): Promise<T>
  post<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T>
  patch<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T>
  put<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T>
  remove<T>(path: string, schema: z.ZodType<T>): Promise<T>
  /** Posts bytes as they come, as fast as the server takes them. */
  send<T>(path: string, body: Streamed, schema: z.ZodType<T>): Promise<T>
  /** What a call answers that is no JSON, as it comes. */
  download(path: string): Promise<AsyncIterable<Uint8Array>>
  /** The ingestion as it changes, until it ends or `signal` aborts; connects again when the stream breaks. */
  follow(ingestion: string, signal?: AbortSignal): AsyncGenerator<Ingestion>
}

/**
 * A small client of the HTTP contract. Every failure is a CodedError: the server's own, UNREACHABLE when nothing
 * answers (retryable), BAD_ANSWER when what answers is not Millrace.
 */
export function openClient(options: ClientOptions): Client {
  const url = options.url.replace(/\/+$/, '')
  const headers = {
    'accept-language': options.language,
    ...(options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` }),
  }
  async function call(path: string, init: RequestInit): Promise<Response> {
    let response: Response
    try {
      response = await fetch(`${url}${path}`, { ...init, headers: { ...headers, ...init.headers } })
    } catch (error) {
      const cause =
        error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error)
      throw new CodedError('UNREACHABLE', `Nothing answers at ${url}: ${cause}`, {
        hint: 'Start it with `npm start`, or say where it is with MILLRACE_URL',
        retryable: true,
        cause: error,
      })
    }
    if (!response.ok) throw await refusal(response)
    return response
  }
  const json =
    (method: string) =>
    async <T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T> =>
      read(
        await call(path, {
          method,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        }),
        schema,
      )
  return {
    url,
    language: options.language,
    get: async (path, schema) => read(await call(path, {}), schema),
    post: json('POST'),
    patch: json('PATCH'),
    put: json('PUT'),
    remove: async (path, schema) => read(await call(path, { method: 'DELETE' }), schema),
    send: async (path, { contentType, bytes }, schema) =>
      read(
        await call(path, {
          method: 'POST',
          headers: { 'content-type': contentType },
          body: bytes,
          duplex: 'half',
          // Only so does fetch not keep a copy of the body, in memory, for a redirect that may come.
          redirect: 'error',
        }),
        schema,
      ),
    download: async (path) => (await call(path, {})).body ?? Readable.from([]),
    follow: (ingestion, signal = new AbortController().signal) =>
      follow((path) => call(path, { signal }), ingestion, signal),
  }
}

async function read<T>(response: Response, schema: z.ZodType<T>): Promise<T> {
  const text = await response.text()
  const known = schema.safeParse(parseJson(text))
  if (known.success) return known.data
  throw badAnswer(response, text)
}

/** Undefined for what is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Of what is not Millrace's, enough to see whose it is. */
const BAD_ANSWER_CHARS = 100

const badAnswer = ({ status, url }: Response, text: string): CodedError =>
  new CodedError(
    'BAD_ANSWER',
    `${url} gave HTTP ${status} and not what Millrace answers: ${text.slice(0, BAD_ANSWER_CHARS).replaceAll(/\s+/g, ' ')}`,
    {
      hint: 'Check MILLRACE_URL, and that command and server are of one version',
    },
  )

const RECONNECTS_MAX = 30
const RECONNECT_MS = 1_000

async function* follow(
  get: (path: string) => Promise<Response>,
  id: string,
  signal: AbortSignal,
): AsyncGenerator<Ingestion> {
  for (let broken = 0; !signal.aborted; broken++) {
    try {
      const response = await get(`/v1/ingestions/${encodeURIComponent(id)}/events`)
      if (response.body === null) return
      const events = response.body
        .pipeThrough(new TextDecoderStream())
        .pipeThrough(new EventSourceParserStream())
      for await (const event of events) {
        const ingestion = ingestionSchema.parse(JSON.parse(event.data))
        yield ingestion
        const { received, preparing, embedding } = ingestion.documents
        // Of a cancelled one the documents follow in steps.
        if (ingestion.state !== 'running' && received + preparing + embedding === 0) return
        broken = 0
      }
    } catch (error) {
      if (signal.aborted) return
      // The work goes on without us: only a refusal, or a server that stays away, ends the watching.
      const lost = !(error instanceof CodedError) || error.retryable
      if (!lost || broken >= RECONNECTS_MAX) throw error
    }
    await sleep(RECONNECT_MS, undefined, { signal }).catch(() => undefined)
  }
}

async function refusal(response: Response): Promise<CodedError> {
  const text = await response.text()
  const known = problem.safeParse(parseJson(text))
  if (!known.success) return badAnswer(response, text)
  const { code, message, details } = known.data.error
  const hint = hintOf(known.data.error)
  return new CodedError(code, messageFor(code, message), {
    ...(hint === undefined ? {} : { hint }),
    details,
    retryable: response.status === 429 || response.status === 503,
  })
}
