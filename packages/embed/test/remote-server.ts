import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import {
  dot,
  type EmbedResult,
  parseFolder,
  REMOTE_DEPS,
  type RemoteDeps,
  type RemoteManifest,
  readFolder,
  variantsOf,
} from '@millrace/embed'
import { expect } from 'vitest'
import { z } from 'zod'
import { MINILM, MODELS_DIR } from './models.js'

export const DIMS = 4

const openaiBody = z.strictObject({
  model: z.string(),
  input: z.array(z.string()),
  encoding_format: z.literal('float'),
})
const teiBody = z.strictObject({
  inputs: z.array(z.string()),
  normalize: z.literal(true),
  truncate: z.literal(false),
})

/** A request as the server got it. */
export interface Asked {
  readonly path: string
  readonly texts: readonly string[]
  readonly key: string | undefined
  readonly reply: Reply
}

export interface Reply {
  json(value: unknown, status?: number, headers?: Record<string, string>): void
  /** As it is: what is no JSON, for instance. */
  raw(body: string, status?: number): void
  /** The right answer, in the form of its path. */
  vectors(values: readonly unknown[]): void
  reset(): void
}

export interface TestServer {
  readonly url: string
  /** Calls for vectors, the probe at the load among them. */
  readonly asked: Asked[]
  /** What it does with them; undefined: the right answer. */
  answer: ((asked: Asked, count: number) => void) | undefined
  /** Calls whose caller hung up before they were answered. */
  hungUp: number
  /** What it says of itself at /info; undefined: 404. */
  info: unknown
  close(): Promise<void>
}

/** A different direction for each text, not of unit length. */
export const vectorFor = (text: string): number[] =>
  Array.from(
    { length: DIMS },
    (_, i) => 1 + ((text.length * (i + 3) + (text.codePointAt(0) ?? 0) * (i + 1)) % 11),
  )

/** A server of both kinds that answers right until it is told otherwise. */
export async function startServer(): Promise<TestServer> {
  const server = createServer((request, response) => void take(request, response))
  const self: TestServer = {
    url: '',
    asked: [],
    answer: undefined,
    info: undefined,
    hungUp: 0,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? ''
    const reply = replyTo(path, response)
    if (path === '/info') return self.info === undefined ? reply.raw('', 404) : reply.json(self.info)
    let body = ''
    for await (const chunk of request) body += chunk
    const parsed: unknown = JSON.parse(body)
    const texts = path === '/embed' ? teiBody.parse(parsed).inputs : openaiBody.parse(parsed).input
    const asked = { path, texts, key: request.headers.authorization, reply }
    self.asked.push(asked)
    response.on('close', () => {
      if (!response.writableFinished) self.hungUp++
    })
    if (self.answer === undefined) reply.vectors(texts.map(vectorFor))
    else self.answer(asked, self.asked.length)
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return Object.assign(self, { url: `http://127.0.0.1:${port}` })
}

function replyTo(path: string, response: ServerResponse): Reply {
  const reply: Reply = {
    json: (value, status = 200, headers = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(JSON.stringify(value))
    },
    raw: (body, status = 200) => void response.writeHead(status).end(body),
    vectors: (values) => {
      const data = values.map((embedding, index) => ({ object: 'embedding', index, embedding }))
      reply.json(path === '/embed' ? values : { object: 'list', data, model: 'm' })
    },
    reset: () => void response.socket?.resetAndDestroy(),
  }
  return reply
}

/** all-minilm's tokenizer, and the vectors of that server. */
export function remoteManifest(
  server: Pick<TestServer, 'url'>,
  remote: object = {},
  fields: object = {},
): RemoteManifest {
  const [manifest] = variantsOf(parseFolder(remoteFolder(server, remote, fields), 'the test'))
  if (manifest?.remote === undefined) throw new Error('not a remote manifest')
  return manifest
}

/** A manifest as it stands in a folder. */
export function remoteFolder(server: Pick<TestServer, 'url'>, remote: object = {}, fields: object = {}) {
  const { levels, files } = readFolder(join(MODELS_DIR, MINILM))
  return {
    id: 'elsewhere',
    name: 'Elsewhere',
    dims: DIMS,
    tokensMax: 512,
    normalize: true,
    instructions: { query: null, document: null },
    outputs: ['dense'],
    languages: ['en'],
    licence: 'Apache-2.0',
    source: 'a server of the test',
    levels,
    levelsMeasurement: 'none',
    files: files.filter(({ path }) => path === 'tokenizer.json'),
    remote: { kind: 'openai', url: `${server.url}/v1`, model: 'm', revision: '1', ...remote },
    ...fields,
  }
}

/** A clock that stands, no randomness, and waits that are written down and take no time. */
export function fakeDeps(more: Partial<RemoteDeps> = {}): { deps: RemoteDeps; slept: number[] } {
  const slept: number[] = []
  const sleep = async (ms: number) => void slept.push(ms)
  return {
    slept,
    deps: { ...REMOTE_DEPS, sleep, random: () => 1, now: () => NOW, env: () => undefined, ...more },
  }
}

export const NOW = Date.UTC(2030, 0, 1)

export const bulk = (...texts: string[]) => ({ texts, kind: 'document' }) as const
export const query = (...texts: string[]) => ({ texts, kind: 'query' }) as const

export function unit(values: readonly number[]): number[] {
  const length = Math.hypot(...values)
  return values.map((value) => value / length)
}

export const outcomes = (results: readonly EmbedResult[]): string[] =>
  results.map((result) => ('error' in result ? result.error.code : 'vector'))

export function expectVectors(results: readonly EmbedResult[], texts: readonly string[]): void {
  expect(outcomes(results)).toEqual(texts.map(() => 'vector'))
  for (const [i, result] of results.entries()) {
    const vector = 'error' in result ? new Float32Array(DIMS) : result.vector
    expect(dot(vector, Float32Array.from(unit(vectorFor(texts[i] ?? ''))))).toBeCloseTo(1, 5)
  }
}

export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}
