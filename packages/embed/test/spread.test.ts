import { dot, embedAll, openEngine } from '@millrace/embed'
import { deal } from '@millrace/embed/spread'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MINILM, MODELS_DIR, prose } from './models.js'

describe('texts dealt out', () => {
  test('each once, as many and as long to everyone', () => {
    const texts = Array.from({ length: 21 }, (_, i) => 'x'.repeat((i * 37) % 100))
    const dealt = deal(texts, 3)
    expect(dealt.flat().sort((a, b) => a - b)).toEqual(texts.map((_, i) => i))
    expect(dealt.map(({ length }) => length)).toEqual([7, 7, 7])
    const chars = dealt.map((indices) => indices.reduce((sum, i) => sum + (texts[i]?.length ?? 0), 0))
    expect(Math.max(...chars) - Math.min(...chars)).toBeLessThan(40)
  })
})

describe('two sessions', () => {
  const one = openEngine({ modelDirs: [MODELS_DIR], threads: 2 })
  const two = openEngine({ modelDirs: [MODELS_DIR], threads: 2, sessions: 2 })
  const texts = Array.from({ length: 41 }, (_, i) => prose(3 + ((i * 13) % 60), i))
  beforeAll(() => two.load(MINILM).then(() => undefined))
  afterAll(async () => {
    await one.close()
    await two.close()
  })

  test('give the vectors of one, in order, with an error for the text that has none', async () => {
    const request = { model: MINILM, texts, kind: 'document' } as const
    const [expected, found] = [await embedAll(one, request), await embedAll(two, request)]
    expected.forEach(({ vector, tokens }, i) => {
      expect(dot(vector, found[i]?.vector ?? new Float32Array(384))).toBeGreaterThan(0.99999)
      expect(found[i]?.tokens).toBe(tokens)
    })
    const mixed = await two.embed({ ...request, texts: ['a', '', 'b'] })
    expect(mixed.map((result) => 'error' in result)).toEqual([false, true, false])
    expect(two.state(MINILM)).toBe('ready')
    expect(two.memory(MINILM)).toBeGreaterThan(0)
    expect(two.stats()).toMatchObject({ waiting: 0, texts: texts.length + 3, failures: 1, crashes: 0 })
  })

  test('answer queries beside bulk work, and nobody who gave up', async () => {
    const gaveUp = expect(
      two.embed({ model: MINILM, texts, kind: 'document', signal: AbortSignal.timeout(5) }),
    ).rejects.toMatchObject({ code: 'ABORTED' })
    const [query] = await embedAll(two, { model: MINILM, texts: ['a question'], kind: 'query' })
    expect(query?.vector.length).toBe(384)
    await gaveUp
    await expect(two.embed({ model: 'none', texts, kind: 'document' })).rejects.toMatchObject({
      code: 'UNKNOWN_MODEL',
    })
  })

  test('refuse what waits when they are closed', async () => {
    const closing = openEngine({ modelDirs: [MODELS_DIR], sessions: 2 })
    const waiting = closing.embed({ model: MINILM, texts, kind: 'document' })
    const refused = expect(waiting).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
    await closing.close()
    await refused
  })
})
