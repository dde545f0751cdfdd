import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Engine,
  openEngine,
  openTokenizer,
  type RerankResult,
  readFolder,
  rerankAll,
  type Tokenizer,
} from '@millrace/embed'
import { openSpread } from '@millrace/embed/spread'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MINILM, MODELS_DIR, prose } from './models.js'
import { CROSS_ENCODER, FIRST_PART, makeCountingReranker, makeCrossEncoder, weightOf } from './rerankers.js'

let modelsDir: string
let engine: Engine
beforeAll(async () => {
  modelsDir = await mkdtemp(join(tmpdir(), 'millrace-rerank-'))
  await makeCountingReranker(modelsDir, 'counting')
  await symlink(join(MODELS_DIR, MINILM), join(modelsDir, MINILM))
  if (CROSS_ENCODER !== undefined) await makeCrossEncoder(modelsDir, 'cross')
  engine = openEngine({ modelDirs: [modelsDir], threads: 1, isolation: 'thread' })
})
afterAll(async () => {
  await engine.close()
  await rm(modelsDir, { recursive: true })
})

const codes = (results: readonly RerankResult[]) =>
  results.map((result) => ('error' in result ? result.error.code : 'scored'))

describe.skipIf(CROSS_ENCODER === undefined)('a cross-encoder in the manner of XLM-RoBERTa', () => {
  /** Straight by onnxruntime: what the graph gives for these ids. */
  async function logitOf(ids: readonly number[]): Promise<number> {
    const session = await InferenceSession.create(CROSS_ENCODER?.graph ?? '')
    const given = (value: (id: number) => number) =>
      new Tensor(
        'int64',
        BigInt64Array.from(ids, (id) => BigInt(value(id))),
        [1, ids.length],
      )
    const { logits } = await session.run({ input_ids: given((id) => id), attention_mask: given(() => 1) })
    await session.release()
    return Number(logits?.data[0])
  }

  test('reads <s> query </s></s> text </s>, and its score is the sigmoid of the logit', async () => {
    // Of its tokenizer.json: Ġhello 79, Ġworld 85, Ġthe 68, Ġuser 69, Ġregistration 87; <s> 0, </s> 2.
    const [one, two] = await rerankAll(engine, {
      model: 'cross',
      query: 'hello world',
      texts: ['the user', 'registration'],
    })
    const wanted = await logitOf([0, 79, 85, 2, 2, 68, 69, 2])
    expect(one?.logit).toBeCloseTo(wanted, 7)
    expect(one?.logit).not.toBeCloseTo(await logitOf([0, 68, 69, 2, 2, 79, 85, 2]), 7)
    expect(one).toMatchObject({ score: 1 / (1 + Math.exp(-(one?.logit ?? 0))), tokens: 8, windows: 1 })
    expect(two?.logit).toBeCloseTo(await logitOf([0, 79, 85, 2, 2, 87, 2]), 7)
  })
})

describe('a model whose logit can be worked out', () => {
  let tokenizer: Tokenizer
  beforeAll(async () => {
    tokenizer = await openTokenizer(join(MODELS_DIR, MINILM))
  })

  /** As all-minilm's tokenizer has it, between [CLS] 101 and [SEP] 102, the second text of type 1. */
  async function logitOf(query: string, text: string): Promise<number> {
    const [first, second] = await tokenizer.encode([query, text])
    const sum = (ids: Iterable<number>) => [...ids].reduce((total, id) => total + weightOf(id), 0)
    return FIRST_PART * sum([101, ...(first ?? []), 102]) + sum([...(second ?? []), 102])
  }
  const rerank = (texts: readonly string[], query = 'When do I get my money back?') =>
    engine.rerank({ model: 'counting', query, texts })

  test('reads [CLS] query [SEP] text [SEP], with token types', async () => {
    const query = 'refunds'
    const texts = ['Money comes back within ten days.', 'We answer from nine to five.']
    const results = await rerankAll(engine, { model: 'counting', query, texts })
    for (const [i, { logit }] of results.entries()) {
      expect(logit).toBeCloseTo(await logitOf(query, texts[i] ?? ''), 4)
    }
  })

  test('what stands for the separator in a text is text, and begins no second one', async () => {
    const [result] = await rerankAll(engine, {
      model: 'counting',
      query: 'what is [SEP]?',
      texts: ['[SEP] a [CLS]'],
    })
    expect(result?.logit).toBeCloseTo(await logitOf('what is [SEP]?', '[SEP] a [CLS]'), 4)
  })

  test('a pair has its score whatever shares its batch, and each text its own place', async () => {
    const texts = Array.from({ length: 150 }, (_, i) => prose(1 + ((i * 17) % 40), i))
    const together = await rerankAll(engine, { model: 'counting', query: 'a', texts })
    for (const at of [0, 1, 77, 149]) {
      const [alone] = await rerankAll(engine, { model: 'counting', query: 'a', texts: [texts[at] ?? ''] })
      expect(together[at]?.logit).toBeCloseTo(alone?.logit ?? Number.NaN, 4)
    }
    expect(new Set(together.map(({ logit }) => logit.toFixed(3))).size).toBeGreaterThan(100)
  })

  test('a text longer than it reads is scored by its best window, and says so', async () => {
    // Query 1 token, 3 special: 60 of the text a window. Of the 70 words the last ten are by themselves.
    const weak = 'the'
    const strong = 'parcel'
    const text = [...Array(60).fill(weak), ...Array(10).fill(strong)].join(' ')
    const [long] = await rerankAll(engine, { model: 'counting', query: 'a', texts: [text] })
    const first = await logitOf('a', Array(60).fill(weak).join(' '))
    const second = await logitOf('a', Array(10).fill(strong).join(' '))
    expect(first).not.toBeCloseTo(second, 1)
    expect(long).toMatchObject({ windows: 2, tokens: 74, logit: expect.closeTo(Math.max(first, second), 3) })
    const [whole] = await rerankAll(engine, { model: 'counting', query: 'a', texts: [prose(60)] })
    expect(whole).toMatchObject({ windows: 1, tokens: 64 })
  })

  test('texts that cannot be read fail alone', async () => {
    expect(codes(await rerank(['fine', '', ' \u0007 ', 'half \ud800', 'fine']))).toEqual([
      'scored',
      'EMPTY_TEXT',
      'EMPTY_TEXT',
      'INVALID_TEXT',
      'scored',
    ])
    expect(await rerank([])).toEqual([])
  })

  test('a query of three quarters of what it reads is read, a longer one refused', async () => {
    expect(codes(await rerank(['fine'], prose(48)))).toEqual(['scored'])
    await expect(rerank(['fine', 'too'], prose(49))).rejects.toMatchObject({
      code: 'QUERY_TOO_LONG',
      message: 'The query has 49 tokens, at most 48 leave room for a text',
    })
    await expect(rerank(['fine'], ' \n')).rejects.toMatchObject({ code: 'EMPTY_TEXT' })
    await expect(rerank(['fine'], 'a\0')).rejects.toMatchObject({ code: 'INVALID_TEXT' })
  })

  test('gives no vectors, and a model that gives vectors does not rerank', async () => {
    await expect(engine.embed({ model: 'counting', texts: ['a'], kind: 'query' })).rejects.toMatchObject({
      code: 'NOT_AN_EMBEDDER',
    })
    await expect(engine.rerank({ model: MINILM, query: 'a', texts: [] })).rejects.toMatchObject({
      code: 'NOT_A_RERANKER',
    })
    await expect(engine.rerank({ model: 'none', query: 'a', texts: ['b'] })).rejects.toMatchObject({
      code: 'UNKNOWN_MODEL',
    })
  })

  test('a caller who gives up is told so', async () => {
    const giveUp = new AbortController()
    const waiting = engine.rerank({
      model: 'counting',
      query: 'a',
      texts: Array.from({ length: 2_000 }, (_, i) => prose(40, i)),
      signal: giveUp.signal,
    })
    giveUp.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

test('several sessions share the texts of one call, in order', async () => {
  const shares: string[][] = []
  const scored = (text: string) => ({ score: 0, logit: Number(text), tokens: 1, windows: 1 })
  const spread = openSpread({ modelDirs: [] }, 2, () => ({
    ...engine,
    rerank: async ({ texts }) => {
      shares.push([...texts])
      return texts.map(scored)
    },
  }))
  const texts = ['1', '22', '3', '44', '5']
  expect(await spread.rerank({ model: 'counting', query: 'a', texts })).toEqual(texts.map(scored))
  expect(shares.map(({ length }) => length).sort()).toEqual([2, 3])
})

describe('a manifest with task rerank', () => {
  const refused = async (change: object) => {
    const folder = await mkdtemp(join(modelsDir, '.manifest-'))
    const given: unknown = JSON.parse(await readFile(join(modelsDir, 'counting', 'manifest.json'), 'utf8'))
    await writeFile(join(folder, 'manifest.json'), JSON.stringify({ ...Object(given), ...change }))
    return () => readFolder(folder)
  }

  test('need not say what is about vectors', () => {
    expect(readFolder(join(modelsDir, 'counting'))).toMatchObject({ dims: 1, outputs: [], pooling: 'graph' })
    expect(readFolder(join(MODELS_DIR, MINILM))).toMatchObject({ task: 'embed' })
  })

  test.each([
    ['outputs', { outputs: ['dense'] }, /gives a score, and no vectors/],
    ['dims', { dims: 2 }, /dims 1, pooling graph/],
    ['task', { task: 'classify' }, /task/],
  ])('must not say otherwise: %s', async (_, change, message) => {
    expect(await refused(change)).toThrow(
      expect.objectContaining({ message: expect.stringMatching(message) }),
    )
  })
})
