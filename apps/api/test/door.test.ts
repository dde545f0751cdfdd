import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { until } from '../../../test/support/world.js'
import { type OpenedApi, openApi } from './api.js'

const FIRST = 'key-of-the-first'
const SECOND = 'key-of-the-second'
const OPEN = new Set(['/healthz', '/readyz'])
const errorSchema = z.object({ error: z.object({ code: z.string(), message: z.string(), hint: z.string() }) })
const openapiSchema = z.object({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) })

let api: OpenedApi
beforeAll(async () => {
  api = await openApi({ MILLRACE_API_KEYS: `${FIRST}, ${SECOND}` })
})
afterAll(() => api?.close())

const ask = (path: string, authorization?: string, method = 'GET') =>
  fetch(`${api.url}${path}`, {
    method,
    redirect: 'manual',
    headers: authorization === undefined ? {} : { authorization },
  })

describe('with MILLRACE_API_KEYS', () => {
  test.each([
    { name: 'no key', authorization: undefined },
    { name: 'a wrong key', authorization: 'Bearer wrong' },
    { name: 'a part of a key', authorization: `Bearer ${FIRST.slice(0, -1)}` },
    { name: 'both keys as they stand in the setting', authorization: `Bearer ${FIRST}, ${SECOND}` },
    { name: 'an empty key', authorization: 'Bearer ' },
    { name: 'a key without the word Bearer', authorization: FIRST },
    { name: 'another scheme', authorization: `Basic ${Buffer.from(`:${FIRST}`).toString('base64')}` },
  ])('$name is 401, with a way out and without the key', async ({ authorization }) => {
    const answer = await ask('/v1/domains', authorization)
    const text = await answer.text()
    expect(answer.status).toBe(401)
    expect(errorSchema.parse(JSON.parse(text)).error).toMatchObject({
      code: 'UNAUTHORIZED',
      hint: expect.stringContaining('authorization: Bearer'),
    })
    for (const key of [FIRST, SECOND, 'wrong']) expect(text).not.toContain(key)
  })

  test.each([FIRST, SECOND])('each of them is let in: %s', async (key) => {
    const answer = await ask('/v1/domains', `Bearer ${key}`)
    expect(answer.status).toBe(200)
    expect(await answer.json()).toEqual({ domains: [] })
  })

  test('every call of the contract asks for one, but for the signs of life', async () => {
    const answer = await ask('/openapi.json')
    expect(answer.status).toBe(200)
    const { paths } = openapiSchema.parse(await answer.json())
    const calls = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => ({ path, method: method.toUpperCase() })),
    )
    expect(calls.length).toBeGreaterThan(12)
    for (const { path, method } of calls) {
      const { status } = await ask(path.replaceAll(/\{\w+\}/g, 'x'), undefined, method)
      expect({ path, method, asks: status === 401 }).toEqual({ path, method, asks: !OPEN.has(path) })
    }
  })

  test.each(['/healthz', '/docs/', '/openapi.json'])('%s is open', async (path) => {
    expect((await ask(path)).status).toBe(200)
  })

  test('/readyz is open, and says what is up', async () => {
    const ready = await until(async () => {
      const answer = await ask('/readyz')
      return answer.status === 200 ? answer : undefined
    })
    expect(await ready.json()).toEqual({
      ready: true,
      database: 'ok',
      queue: 'ok',
      models: { 'all-minilm-l6-v2': 'ready' },
    })
  })
})

describe('overload', () => {
  /** As in server.ts. */
  const REQUESTS_MAX = 512
  const sockets: Socket[] = []
  afterAll(() => {
    for (const socket of sockets) socket.destroy()
  })

  /** A request that stays in work: its body never comes. */
  async function hold(): Promise<void> {
    const { port, hostname } = new URL(api.url)
    const socket = connect(Number(port), hostname)
    sockets.push(socket)
    socket.on('error', () => undefined)
    await once(socket, 'connect', { signal: AbortSignal.timeout(5_000) }).catch(() => undefined)
    socket.write(
      `POST /v1/domains HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${FIRST}\r\n` +
        'content-type: application/json\r\ncontent-length: 2\r\n\r\n',
    )
  }

  test('past 512 requests in work the next is told to come back, and when they are gone it is answered', async () => {
    // Not all at once: a queue of connections that overflows loses some.
    for (let held = 0; held < REQUESTS_MAX; held += 64) await Promise.all(Array.from({ length: 64 }, hold))
    const refused = await until(async () => {
      const answer = await ask('/v1/domains', `Bearer ${FIRST}`)
      if (answer.status === 429) return answer
      await answer.text()
      // A machine that is busy loses some all the same.
      await hold()
      return undefined
    })
    expect(refused.headers.get('retry-after')).toBe('1')
    expect(errorSchema.parse(await refused.json()).error).toMatchObject({
      code: 'OVERLOADED',
      message: expect.stringContaining(`the limit is ${REQUESTS_MAX}`),
    })
    for (const socket of sockets.splice(0)) socket.destroy()
    await until(async () => ((await ask('/v1/domains', `Bearer ${FIRST}`)).status === 200 ? true : undefined))
  })
})
