import { join } from 'node:path'
import { openRemote, type Remote, type RemoteDeps } from '@millrace/embed'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MINILM, MODELS_DIR, prose } from './models.js'
import {
  type Asked,
  bulk,
  expectVectors,
  fakeDeps,
  query,
  remoteManifest,
  startServer,
  type TestServer,
  until,
  vectorFor,
} from './remote-server.js'

let server: TestServer
const opened: Remote[] = []

beforeEach(async () => {
  server = await startServer()
})
afterEach(async () => {
  for (const remote of opened.splice(0)) remote.close()
  await server.close()
})

/** Opens it, and forgets the probe. */
async function open(
  remote: object = {},
  fields: object = {},
  deps: RemoteDeps = fakeDeps().deps,
): Promise<Remote> {
  const one = await openRemote(remoteManifest(server, remote, fields), join(MODELS_DIR, MINILM), deps)
  opened.push(one)
  server.asked.length = 0
  return one
}

describe('many callers', () => {
  test('share requests, and get their own vectors', async () => {
    const remote = await open({ batchTexts: 16 })
    const texts = Array.from({ length: 64 }, (_, i) => `caller ${i}`)
    const answers = await Promise.all(texts.map((text) => remote.embed(bulk(text))))
    expectVectors(answers.flat(), texts)
    expect(server.asked.length).toBeLessThanOrEqual(10)
  })

  test('are answered in requests of bounded texts and tokens, so many at once', async () => {
    const remote = await open({ batchTexts: 8, batchTokens: 100, concurrency: 3 })
    let open_ = 0
    let most = 0
    server.answer = ({ reply, texts }) => {
      most = Math.max(most, ++open_)
      setTimeout(() => {
        open_--
        reply.vectors(texts.map(vectorFor))
      }, 5)
    }
    const texts = Array.from({ length: 60 }, (_, i) => prose(i % 2 === 0 ? 30 : 5, i))
    expectVectors(await remote.embed(bulk(...texts, prose(200))), [...texts, prose(200)])
    expect(most).toBe(3)
    for (const asked of server.asked) {
      const words = asked.texts.reduce((sum, text) => sum + text.split(' ').length + 2, 0)
      expect(asked.texts.length === 1 || (asked.texts.length <= 8 && words <= 100)).toBe(true)
    }
  })

  test('with a query do not wait for those with documents', async () => {
    const remote = await open({ batchTexts: 2, concurrency: 1 })
    const held: Asked[] = []
    server.answer = (asked) => void held.push(asked)
    const answerAll = () => {
      for (const { reply, texts } of held.splice(0)) reply.vectors(texts.map(vectorFor))
    }
    const order: string[] = []
    const documents = remote.embed(bulk(...Array.from({ length: 9 }, (_, i) => `document ${i}`)))
    const first = documents.then(() => order.push('documents'))
    await until(() => held.length === 1)
    const second = remote.embed(query('the question')).then(() => order.push('query'))
    await until(() => held.length === 2)
    expect(held[1]?.texts).toEqual(['the question'])
    server.answer = undefined
    answerAll()
    await Promise.all([first, second])
    expect(order).toEqual(['query', 'documents'])
  })

  test('with few texts do not wait for those with many', async () => {
    const remote = await open({ batchTexts: 4 })
    const order: string[] = []
    const many = remote.embed(bulk(...Array.from({ length: 600 }, (_, i) => `text ${i}`)))
    const few = remote.embed(bulk('one', 'two'))
    await Promise.all([many.then(() => order.push('many')), few.then(() => order.push('few'))])
    expect(order).toEqual(['few', 'many'])
  })
})

describe('a caller who gives up', () => {
  test('is told so at once, its texts are not sent, and the request that only it waited for is ended', async () => {
    const remote = await open({ batchTexts: 2, concurrency: 1 })
    server.answer = () => undefined
    const abort = new AbortController()
    const given = remote.embed({ ...bulk('a', 'b', 'c', 'd', 'e'), signal: abort.signal })
    await until(() => server.asked.length === 1)
    abort.abort()
    await expect(given).rejects.toMatchObject({ code: 'ABORTED' })
    server.answer = undefined
    expectVectors(await remote.embed(bulk('next')), ['next'])
    expect(server.asked.map(({ texts }) => texts)).toEqual([['a', 'b'], ['next']])
    expect(remote.stats().waiting).toBe(0)
    await until(() => server.hungUp === 1)
  })

  test('while the server is to be left alone does not wait for that', async () => {
    const { deps } = fakeDeps({
      sleep: (_, signal) => new Promise((__, reject) => signal.addEventListener('abort', reject)),
    })
    const remote = await open({}, {}, deps)
    server.answer = ({ reply }) => reply.raw('', 503)
    const abort = new AbortController()
    const given = remote.embed({ ...bulk('a'), signal: abort.signal })
    await until(() => server.asked.length === 1)
    abort.abort()
    await expect(given).rejects.toMatchObject({ code: 'ABORTED' })
  })

  test('before it began is refused', async () => {
    const remote = await open()
    const given = remote.embed({ ...bulk('a'), signal: AbortSignal.abort() })
    await expect(given).rejects.toMatchObject({ code: 'ABORTED' })
    expect(server.asked).toHaveLength(0)
  })
})

test('closing refuses what waits, and everything after', async () => {
  const remote = await open()
  server.answer = () => undefined
  const waiting = remote.embed(bulk('a'))
  await until(() => server.asked.length === 1)
  remote.close()
  await expect(waiting).rejects.toMatchObject({ code: 'ENGINE_CLOSED', retryable: true })
  await expect(remote.embed(bulk('b'))).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
})
