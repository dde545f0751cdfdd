import { setTimeout as sleep } from 'node:timers/promises'
import { type Env, openLog, readSettings } from '@millrace/flow'
import { type Standalone, startStandalone } from '@millrace/standalone'
import { type Client, openClient } from 'millrace'
import { type Ingestion, ingestionSchema } from 'millrace/client'
import type { Backend, Place } from './backends.js'

/** A whole Millrace, API and worker, on a backend of its own. */
export interface World {
  readonly url: string
  readonly running: Standalone
  readonly client: Client
  readonly place: Place
  /** Raw HTTP: status and parsed body. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  /** Waits until an ingestion is not running any more and returns it. */
  finished(ingestion: string): Promise<Ingestion>
  close(): Promise<void>
}

export interface Answer {
  readonly status: number
  readonly body: Body
  readonly headers: Headers
}
/** An answer whose shape a test does not know beforehand; for a known one there is `client` with a schema. */
export interface Body {
  readonly error?: {
    readonly code: string
    readonly message: string
    readonly hint?: string
    readonly details?: unknown
  }
  readonly [key: string]: unknown
}

/** Loads what the tests need at once; a quiet log, short periods. */
export const TEST_ENV: Env = {
  PORT: '0',
  LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? 'silent',
  DEFAULT_MODEL: 'all-minilm-l6-v2',
  THREADS: '1',
  SWEEP_SECONDS: '1',
  OWNED_SECONDS: '2',
  STALLED_SECONDS: '1',
  DRAIN_SECONDS: '5',
  // Small leases, so that a kill finds some done and some not.
  LEASE_TOKENS: '4096',
}

/** @param now what schedules go by; left out: the machine's clock */
export async function openWorld(backend: Backend, env: Env = {}, now?: () => Date): Promise<World> {
  const place = await backend.open()
  const settings = readSettings({ ...TEST_ENV, ...place.env, ...env })
  const running = await startStandalone(settings, openLog(settings.logLevel, 'test'), now)
  const { url } = running.api
  const client = openClient({ url, apiKey: undefined, language: 'en' })
  const call: World['call'] = async (method, path, body, headers = {}) => {
    const response = await fetch(`${url}${path}`, {
      method,
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json') ?? false
    return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers }
  }
  return {
    url,
    running,
    place,
    client,
    call,
    finished: (ingestion) =>
      until(async () => {
        const now = await client.get(`/v1/ingestions/${ingestion}`, ingestionSchema)
        return now.state === 'running' ? undefined : now
      }),
    close: async () => {
      await running.stop()
      await place.remove()
    },
  }
}

/** Asks until there is an answer, and fails after `timeoutMs`. */
export async function until<T>(ask: () => Promise<T | undefined>, timeoutMs = 60_000): Promise<T> {
  const end = Date.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (Date.now() > end) throw new Error(`No answer within ${timeoutMs} ms`)
    await sleep(25)
  }
}
