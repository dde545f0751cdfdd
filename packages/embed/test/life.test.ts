import { statSync } from 'node:fs'
import { join } from 'node:path'
import { openEngine } from '@millrace/embed'
import { openEngine as openEngineWith } from '@millrace/embed/engine'
import { type InferenceHost, type Isolation, startThread } from '@millrace/embed/host'
import { startProcess } from '@millrace/embed/host-process'
import { afterEach, describe, expect, test } from 'vitest'
import { MINILM, MODELS_DIR, prose } from './models.js'

const opened: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const engine of opened.splice(0)) await engine.close()
})

function open(options: Partial<Parameters<typeof openEngine>[0]> = {}) {
  const engine = openEngine({ modelDirs: [MODELS_DIR], ...options })
  opened.push(engine)
  return engine
}

/** An engine whose thread or process can be killed from outside, as the kernel or a heap without room would. */
function openMortal(isolation: Isolation) {
  const start = isolation === 'process' ? startProcess : startThread
  const threads: InferenceHost[] = []
  const lines: string[] = []
  const log = { info: () => undefined, error: (_: object, message: string) => void lines.push(message) }
  const engine = openEngineWith({ modelDirs: [MODELS_DIR], log }, (data, events) => {
    const thread = start(data, events)
    threads.push(thread)
    return thread
  })
  opened.push(engine)
  return { engine, threads, lines, kill: () => threads.at(-1)?.stop(0) }
}

const bulk = (count: number, words = 60) =>
  ({
    model: MINILM,
    kind: 'document',
    texts: Array.from({ length: count }, (_, i) => prose(words, i)),
  }) as const
const query = { model: MINILM, kind: 'query', texts: ['where is my parcel'] } as const

describe('loading', () => {
  test('happens once for many callers, and once only', async () => {
    const loaded: object[] = []
    const engine = open({ log: { info: (fields) => void loaded.push(fields), error: () => undefined } })
    expect(engine.state(MINILM)).toBe('absent')
    const both = Promise.all([engine.load(MINILM), engine.load(MINILM), engine.embed(query)])
    expect(engine.state(MINILM)).toBe('loading')
    await both
    await engine.load(MINILM)
    expect(engine.state(MINILM)).toBe('ready')
    expect(loaded).toMatchObject([{ model: MINILM, ms: expect.any(Number), threads: expect.any(Number) }])
  })

  test('says what memory it took, of each of several at once', async () => {
    const engine = open()
    expect(engine.memory(MINILM)).toBeNull()
    expect(() => engine.memory('none')).toThrow(expect.objectContaining({ code: 'UNKNOWN_MODEL' }))
    const all = engine.models().map(({ id }) => id)
    await Promise.all(all.map((id) => engine.load(id)))
    for (const id of all) {
      const { size } = statSync(join(engine.dir(id), 'model.onnx'))
      const bytes = engine.memory(id) ?? 0
      expect(bytes).toBeGreaterThan(size / 4)
      // Two that measured each other would come to the sum of both, several times one of them.
      expect(bytes).toBeLessThan(5 * size + 150e6)
    }
  })
})

describe('under load', () => {
  test('the event loop stays free', async () => {
    const engine = open()
    await engine.load(MINILM)
    let ticks = 0
    const timer = setInterval(() => ticks++, 10)
    const started = performance.now()
    await engine.embed(bulk(150))
    const ms = performance.now() - started
    clearInterval(timer)
    // A thread that was blocked by each pass would get a tick in between, about one in 80 ms.
    expect(ticks).toBeGreaterThan(ms / 10 / 4)
  })

  test('a query that comes later is answered first', async () => {
    const engine = open()
    await engine.load(MINILM)
    const order: string[] = []
    const work = engine.embed(bulk(150)).then(() => order.push('bulk'))
    const question = engine.embed(query).then(() => order.push('query'))
    await Promise.all([work, question])
    expect(order).toEqual(['query', 'bulk'])
    expect(engine.stats().waiting).toBe(0)
  })

  test('a caller with few texts does not wait for one with many', async () => {
    const engine = open()
    await engine.load(MINILM)
    const order: string[] = []
    const many = engine.embed(bulk(200)).then(() => order.push('many'))
    const few = engine.embed(bulk(3)).then(() => order.push('few'))
    await Promise.all([many, few])
    expect(order).toEqual(['few', 'many'])
  })

  test('tokens are counted while the model is busy', async () => {
    const engine = open()
    await engine.load(MINILM)
    const order: string[] = []
    const work = engine.embed(bulk(150)).then(() => order.push('bulk'))
    const count = engine.count(MINILM, ['one two']).then(() => order.push('count'))
    await Promise.all([work, count])
    expect(order).toEqual(['count', 'bulk'])
  })
})

describe('a caller who gives up', () => {
  test('is told so, and its texts are dropped', async () => {
    const engine = open()
    await engine.load(MINILM)
    const abort = new AbortController()
    const given = engine.embed({ ...bulk(400), signal: abort.signal })
    const other = engine.embed(bulk(5))
    setTimeout(() => abort.abort(), 20)
    await expect(given).rejects.toMatchObject({ code: 'ABORTED' })
    await other
    expect(engine.stats().waiting).toBe(0)
    await engine.embed(query)
    expect(engine.stats().texts).toBeLessThan(200)
  })

  test('before it began is refused at once', async () => {
    await expect(open().embed({ ...query, signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    })
  })
})

describe.each(['process', 'thread'] as const)('the death of the inference %s', (isolation) => {
  test('fails what was in it as retryable, is logged, and the next call works', async () => {
    const { engine, kill, lines, threads } = openMortal(isolation)
    await engine.load(MINILM)
    const work = engine.embed(bulk(300))
    const seen = expect(work).rejects.toMatchObject({ code: 'ENGINE_CRASHED', retryable: true })
    await kill()
    await seen
    expect(lines).toContain('inference died')
    expect(engine.stats()).toMatchObject({ waiting: 0, crashes: 1 })
    const [result] = await engine.embed(query)
    expect(result).toHaveProperty('vector')
    expect(threads).toHaveLength(2)
  })

  test('is healed without a call: what it had loaded is loaded again', async () => {
    const { engine, kill } = openMortal(isolation)
    await engine.load(MINILM)
    await kill()
    expect(engine.state(MINILM)).toBe('loading')
    expect(engine.memory(MINILM)).toBeNull()
    await engine.load(MINILM)
    expect(engine.state(MINILM)).toBe('ready')
    expect(engine.memory(MINILM)).toBeGreaterThan(0)
  })

  test('while a model loads fails the load, and it can be tried again', async () => {
    const { engine, kill } = openMortal(isolation)
    const load = engine.load(MINILM)
    const seen = expect(load).rejects.toMatchObject({ code: 'ENGINE_CRASHED' })
    await kill()
    await seen
    expect(engine.state(MINILM)).toBe('failed')
    await engine.load(MINILM)
    expect(engine.state(MINILM)).toBe('ready')
  })
})

test('a crash of native code ends the inference process and not this one', async () => {
  const { engine, threads } = openMortal('process')
  await engine.load(MINILM)
  const work = engine.embed(bulk(300))
  const seen = expect(work).rejects.toMatchObject({
    code: 'ENGINE_CRASHED',
    message: 'Inference died: its process ended by SIGSEGV',
    retryable: true,
  })
  process.kill(threads[0]?.pid ?? 0, 'SIGSEGV')
  await seen
  expect(await engine.embed(query)).toHaveLength(1)
  expect(threads[1]?.pid).not.toBe(threads[0]?.pid)
})

describe('closing', () => {
  test('refuses what waits, and everything after', async () => {
    const engine = open()
    await engine.load(MINILM)
    const work = engine.embed(bulk(200))
    const seen = expect(work).rejects.toMatchObject({ code: 'ENGINE_CLOSED', retryable: true })
    await engine.close()
    await seen
    await expect(engine.embed(query)).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
    await expect(engine.load(MINILM)).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
    await engine.close()
  })

  test('an engine that never ran closes too', async () => {
    await open().close()
  })
})
