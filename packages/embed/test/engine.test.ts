import { dot, type Embedded, embedAll, openEngine } from '@millrace/embed'
import { afterAll, describe, expect, test } from 'vitest'
import { BGE_ZH, MINILM, MODELS_DIR, prose } from './models.js'

const engine = openEngine({ modelDirs: [MODELS_DIR] })
afterAll(() => engine.close())

const embed = (texts: readonly string[], model = MINILM) =>
  embedAll(engine, { model, texts, kind: 'document' })
const embedOne = async (text: string, model = MINILM): Promise<Embedded> => {
  const [embedded] = await embed([text], model)
  if (embedded === undefined) throw new Error('no vector came back')
  return embedded
}

describe('a known vector of each model', () => {
  test.each([
    [MINILM, 384, 'How do I reset my password?', 9, [0.0107, -0.0645, -0.0715, -0.0346, -0.0436, 0.0711]],
    [BGE_ZH, 512, '如何重置我的密码？', 11, [0.039, 0.0336, 0.0535, 0.0687, -0.0215, -0.0367]],
  ])('%s', async (model, dims, text, tokens, first) => {
    const embedded = await embedOne(text, model)
    expect(embedded).toMatchObject({ tokens, windows: 1, truncated: false })
    expect(embedded.vector).toHaveLength(dims)
    for (const [i, value] of first.entries()) {
      expect(Math.abs((embedded.vector[i] ?? 0) - value)).toBeLessThan(1e-3)
    }
  })
})

describe('vectors', () => {
  test('have unit length and memory of their own', async () => {
    const [a, b] = await embed(['one text', 'another'])
    expect(Math.abs(dot(a?.vector ?? new Float32Array(), a?.vector ?? new Float32Array()) - 1)).toBeLessThan(
      1e-6,
    )
    expect(a?.vector.buffer).not.toBe(b?.vector.buffer)
    expect(a?.vector.buffer.byteLength).toBe(384 * 4)
  })

  test('come back in the order of the texts, whatever their lengths', async () => {
    const texts = [prose(300), 'short', prose(40), 'tiny words', prose(120)]
    const together = await embed(texts)
    for (const [i, text] of texts.entries()) {
      const alone = await embedOne(text)
      expect(together[i]?.tokens).toBe(alone.tokens)
      expect(dot(alone.vector, together[i]?.vector ?? new Float32Array())).toBeGreaterThan(0.9999)
    }
  })

  test.each([
    [MINILM, 'Where is the invoice of my last order?'],
    [BGE_ZH, '上一次订单的发票在哪里？'],
  ])('of %s are the same alone and in any batch', async (model, text) => {
    const alone = await embedOne(text, model)
    const noise = Array.from({ length: 40 }, (_, i) => prose(1 + ((i * 7) % 30), i))
    for (const at of [0, 13, 40]) {
      const mixed = await embed(noise.toSpliced(at, 0, text), model)
      expect(dot(alone.vector, mixed[at]?.vector ?? new Float32Array())).toBeGreaterThanOrEqual(0.99999)
    }
  })

  test('of like texts are nearer than those of unlike ones', async () => {
    const [a, b, c] = await embed(['I forgot my password', 'How do I reset my password?', 'The soup is cold'])
    const like = dot(a?.vector ?? new Float32Array(), b?.vector ?? new Float32Array())
    expect(like).toBeGreaterThan(0.5)
    expect(dot(a?.vector ?? new Float32Array(), c?.vector ?? new Float32Array())).toBeLessThan(0.3)
  })
})

describe('a text longer than the model takes', () => {
  test.each([
    [509, 1],
    [510, 1],
    [511, 2],
    [600, 2],
    [2_000, 4],
  ])('of %d words is encoded in %d windows, and says so', async (words, windows) => {
    const embedded = await embedOne(prose(words))
    expect(embedded).toMatchObject({ tokens: words + 2, windows, truncated: false })
    expect(dot(embedded.vector, embedded.vector)).toBeCloseTo(1, 5)
  })

  test('is the mean of its windows, weighted by their tokens', async () => {
    const words = prose(700).split(' ')
    const [first, rest] = await embed([words.slice(0, 510).join(' '), words.slice(510).join(' ')])
    const mean = new Float32Array(384)
    for (let i = 0; i < mean.length; i++) {
      mean[i] = (first?.vector[i] ?? 0) * 510 + (rest?.vector[i] ?? 0) * 190
    }
    const { vector } = await embedOne(words.join(' '))
    expect(dot(vector, mean) / Math.sqrt(dot(mean, mean))).toBeGreaterThan(0.99999)
  })
})

describe('a text longer than the window that was asked for', () => {
  const ask = (more: object) =>
    engine.embed({ model: MINILM, texts: ['short', prose(100)], kind: 'document', ...more })

  test('is pooled over windows of that size', async () => {
    expect(await ask({ window: 32 })).toMatchObject([
      { tokens: 3, windows: 1 },
      { tokens: 102, windows: 4, truncated: false },
    ])
  })

  test('by the largest of each dimension, when that is wanted', async () => {
    const words = prose(60).split(' ')
    const [a, b] = await embed([words.slice(0, 30).join(' '), words.slice(30).join(' ')])
    const most = a?.vector.map((value, i) => Math.max(value, b?.vector[i] ?? 0)) ?? new Float32Array(384)
    const [, pooled] = await embedAll(engine, {
      model: MINILM,
      texts: ['short', words.join(' ')],
      kind: 'document',
      window: 32,
      windowPooling: 'max',
    })
    expect(dot(pooled?.vector ?? most, most) / Math.sqrt(dot(most, most))).toBeGreaterThan(0.99999)
  })

  test('is refused alone, when that is wanted', async () => {
    const [short, long] = await ask({ window: 32, longTexts: 'refuse' })
    expect(short).toMatchObject({ tokens: 3 })
    expect(long).toMatchObject({
      error: { code: 'TEXT_TOO_LONG', message: 'The text has 102 tokens, one window takes 32' },
    })
  })

  test('is cut only for who asks for it, and the result says so', async () => {
    const [short, long] = await ask({ window: 32, longTexts: 'truncate' })
    expect(short).toMatchObject({ truncated: false })
    expect(long).toMatchObject({ tokens: 102, windows: 1, truncated: true })
  })
})

describe('what a caller without types may hand in', () => {
  test('its list of texts is taken as it is at the call', async () => {
    const texts = ['hello', 'a second text']
    const [expected] = await embed(['hello'])
    const pending = embedAll(engine, { model: MINILM, texts, kind: 'document' })
    texts.length = 0
    texts.push('other', 'things', 'and more')
    const results = await pending
    expect(results).toHaveLength(2)
    const none = new Float32Array(384)
    expect(dot(results[0]?.vector ?? none, expected?.vector ?? none)).toBeGreaterThan(0.99999)
  })

  test.each([
    [{ priority: 'urgent' }, 'priority'],
    [{ kind: 'banana' }, 'kind'],
    [{ longTexts: 'cut' }, 'longTexts'],
    [{ windowPooling: 'median' }, 'windowPooling'],
    [{ texts: 'hello' }, 'texts'],
    [{ texts: ['a', 5] }, 'texts'],
  ])('%j is refused', async (wrong, field) => {
    const request = JSON.parse(JSON.stringify({ model: MINILM, texts: ['a'], kind: 'document', ...wrong }))
    await expect(engine.embed(request)).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringContaining(field),
    })
    expect(engine.stats().waiting).toBe(0)
  })

  test.each([
    [{ threads: -1 }, 'threads'],
    [{ batchTokens: 0 }, 'batchTokens'],
    [{ sessions: 1.5 }, 'sessions'],
    [{ isolation: 'foo' }, 'isolation'],
    [{ provider: 'foo' }, 'provider'],
    [{ modelDirs: 'models' }, 'modelDirs'],
  ])('the option %j is refused', (wrong, name) => {
    const options = JSON.parse(JSON.stringify({ modelDirs: [MODELS_DIR], ...wrong }))
    expect(() => openEngine(options)).toThrow(
      expect.objectContaining({ code: 'BAD_OPTION', message: expect.stringContaining(name) }),
    )
  })
})

describe('texts that cannot be embedded', () => {
  test('get an error of their own, and their neighbours a vector', async () => {
    const results = await engine.embed({
      model: MINILM,
      texts: ['fine', '', 'also fine', 'half \ud800 pair', 'nul \0', ' \n ', 'the last'],
      kind: 'document',
    })
    expect(results.map((result) => ('error' in result ? result.error.code : 'vector'))).toEqual([
      'vector',
      'EMPTY_TEXT',
      'vector',
      'INVALID_TEXT',
      'INVALID_TEXT',
      'EMPTY_TEXT',
      'vector',
    ])
  })

  test('are an error for embedAll', async () => {
    await expect(embed(['fine', ''])).rejects.toMatchObject({ code: 'EMPTY_TEXT' })
  })

  test('no texts, no vectors', async () => {
    expect(await embed([])).toEqual([])
  })

  test('an unknown model is refused', async () => {
    await expect(embed(['a'], 'gpt')).rejects.toMatchObject({ code: 'UNKNOWN_MODEL' })
    await expect(engine.count('gpt', ['a'])).rejects.toMatchObject({ code: 'UNKNOWN_MODEL' })
  })

  test('special tokens within a text are text', async () => {
    const [plain, marked] = await embed(['hello world', 'hello [SEP] world'])
    expect(plain?.tokens).toBe(4)
    expect(marked?.tokens).toBe(7)
  })

  test('one very long word is embedded', async () => {
    expect((await embedOne('x'.repeat(200_000))).windows).toBe(1)
  })
})

test('count says what embed says, long texts and markup included', async () => {
  const texts = ['a', prose(40), prose(900), 'hello [SEP] 世界 😀', '如何重置我的密码？']
  for (const model of [MINILM, BGE_ZH]) {
    const embedded = await embed(texts, model)
    expect(await engine.count(model, texts)).toEqual(embedded.map(({ tokens }) => tokens))
  }
})

test('many callers at once get their own vectors', async () => {
  const alone = await embed(Array.from({ length: 12 }, (_, i) => prose(5 + i, i)))
  const answers = await Promise.all(
    alone.map((_, i) => embed([prose(5 + i, i), prose(9, i), ...(i % 3 === 0 ? [prose(60, i)] : [])])),
  )
  for (const [i, [own]] of answers.entries()) {
    expect(dot(own?.vector ?? new Float32Array(), alone[i]?.vector ?? new Float32Array())).toBeGreaterThan(
      0.9999,
    )
  }
})

test('a document and a query of the same words have the same vector where the model has no instructions', async () => {
  const [query] = await embedAll(engine, { model: MINILM, texts: ['delivery'], kind: 'query' })
  const [document] = await embedAll(engine, { model: MINILM, texts: ['delivery'], kind: 'document' })
  expect(dot(query?.vector ?? new Float32Array(), document?.vector ?? new Float32Array())).toBeGreaterThan(
    0.99999,
  )
})

test('the figures add up', async () => {
  const before = engine.stats()
  const embedded = await embed([prose(20), prose(21), prose(600)])
  const after = engine.stats()
  expect(after.texts - before.texts).toBe(3)
  expect(after.tokens - before.tokens).toBe(embedded.reduce((sum, { tokens }) => sum + tokens, 0))
  expect(after.paddedTokens - before.paddedTokens).toBeGreaterThanOrEqual(after.tokens - before.tokens)
  expect(after.batches).toBeGreaterThan(before.batches)
  expect(after.busyMs).toBeGreaterThan(before.busyMs)
  expect(after.waiting).toBe(0)
})
