import type { ColbertVectors, Engine, RerankResult } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { fuseHits, fuseScores, identityOf, type Rankable, rerankHits } from '@millrace/flow'
import { describe, expect, test } from 'vitest'
import { MINILM, manifestOf } from '../models.js'

const minilm = manifestOf(MINILM)
const domain = { generationId: 1, model: 'm', recipe: { model: 'm', revision: '1' } }
const query = { text: 'q' }

/** Hits in the order of dense scores, all of them alike otherwise. */
const hitsOf = (...texts: string[]) =>
  texts.map((text, i) => ({
    text,
    context: '',
    textHash: Buffer.from(text),
    scores: { dense: 0.9 - i / 10 },
    rankedBy: 'dense' as const,
    score: 0.9 - i / 10,
    documentId: `d${i}`,
  }))
type Hit = Rankable & { readonly documentId: string }
const shown = (hits: readonly Hit[]) => hits.map(({ documentId }) => documentId).join(' ')

/** Whose answers are in the texts: a number is a score, a word has none. */
function fakeEngine(asked: (readonly string[])[] = []): Pick<Engine, 'embed' | 'rerank' | 'manifest'> {
  const numberIn = (text: string) => Number(text.split(' ').at(-1))
  return {
    manifest: () => ({ ...minilm, id: 'm', revision: '1', outputs: ['dense', 'colbert'] }),
    rerank: async ({ texts }) => {
      asked.push(texts)
      return texts.map((text): RerankResult => {
        const score = numberIn(text)
        if (Number.isNaN(score)) return { error: new CodedError(text, 'no score') }
        return { score, logit: 0, tokens: 1, windows: 1 }
      })
    },
    embed: async ({ texts, kind }) => {
      asked.push(texts)
      return texts.map((text) => {
        const values = Float32Array.of(kind === 'query' ? 1 : numberIn(text), 0)
        const colbert: ColbertVectors = { values, count: 1, dims: 2 }
        return { vector: new Float32Array(), colbert, tokens: 1, windows: 1, truncated: false }
      })
    },
  }
}
const db = {
  query: () => {
    throw new Error('nothing is kept')
  },
}
const rerank = (hits: readonly Hit[], by: string, top: number, asked?: (readonly string[])[]) =>
  rerankHits({ db, engine: fakeEngine(asked) }, domain, query, hits, { by, top })

describe('reranked by a cross-encoder', () => {
  test('the first ones change places, the others stay behind them without such a score', async () => {
    const hits = await rerank(hitsOf('0.1', '0.2', '0.3', '0.9'), 'x', 3)
    expect(shown(hits)).toBe('d2 d1 d0 d3')
    expect(hits.map(({ rankedBy, score, scores }) => [rankedBy, score, scores.dense, scores.rerank])).toEqual(
      [
        ['rerank', 0.3, expect.closeTo(0.7), 0.3],
        ['rerank', 0.2, expect.closeTo(0.8), 0.2],
        ['rerank', 0.1, 0.9, 0.1],
        ['dense', expect.closeTo(0.6), expect.closeTo(0.6), undefined],
      ],
    )
  })

  test('equal ones stay in their order', async () => {
    expect(shown(await rerank(hitsOf('0.5', '0.7', '0.5', '0.7'), 'x', 4))).toBe('d1 d3 d0 d2')
  })

  test('one that it cannot read goes behind those that it can; any other error is one', async () => {
    const hits = await rerank(hitsOf('EMPTY_TEXT', '0.1', '0.2', '0.3'), 'x', 3)
    expect(shown(hits)).toBe('d2 d1 d0 d3')
    expect(hits[2]).toMatchObject({ rankedBy: 'dense', scores: { dense: 0.9 } })
    await expect(rerank(hitsOf('EMBED_FAILED', '0.1'), 'x', 2)).rejects.toMatchObject({
      code: 'EMBED_FAILED',
    })
  })

  test('reads what is shown, with its context; no hits are no work', async () => {
    const asked: (readonly string[])[] = []
    const hits = hitsOf('0.1').map((hit) => ({ ...hit, context: 'Title ', chunkText: 'of the chunk' }))
    await rerank(hits, 'x', 5, asked)
    expect(asked).toEqual([['Title 0.1']])
    expect(await rerank([], 'x', 5)).toEqual([])
  })
})

describe('reranked by colbert', () => {
  test('by the chunk itself where a parent is shown', async () => {
    const asked: (readonly string[])[] = []
    const hits = hitsOf('0.1', '0.2').map((hit, i) => ({
      ...hit,
      context: 'T ',
      chunkText: `${0.5 - i / 10}`,
    }))
    const found = await rerank(hits, 'colbert', 2, asked)
    expect(shown(found)).toBe('d0 d1')
    expect(found[0]).toMatchObject({ rankedBy: 'colbert', scores: { colbert: 0.5, dense: 0.9 } })
    expect(asked).toEqual([['q'], ['T 0.5', 'T 0.4']])
  })

  test('needs a model with it, of the revision that made the vectors', async () => {
    const engine = { ...fakeEngine(), manifest: () => minilm }
    const by = { by: 'colbert', top: 5 }
    await expect(rerankHits({ db, engine }, domain, query, [], by)).rejects.toMatchObject({
      code: 'MISSING_OUTPUT',
    })
    const external = { ...domain, model: 'external' }
    await expect(rerankHits({ db, engine: fakeEngine() }, external, query, [], by)).rejects.toMatchObject({
      code: 'MISSING_OUTPUT',
    })
    const older = { ...domain, recipe: { model: 'm', revision: '0' } }
    await expect(rerankHits({ db, engine: fakeEngine() }, older, query, [], by)).rejects.toMatchObject({
      code: 'MODEL_CHANGED',
    })
  })
})

describe('fused', () => {
  test('is the weighted sum over the sum of the weights; what is not there counts 0', () => {
    const scores = { dense: 0.8, sparse: 0.5, colbert: 0.6 }
    expect(fuseScores(scores, { dense: 0.4, sparse: 0.2, colbert: 0.4 })).toBeCloseTo(0.66)
    expect(fuseScores(scores, { dense: 2, sparse: 1 })).toBeCloseTo(0.7)
    expect(fuseScores({ dense: 0.8 }, { dense: 1, sparse: 1, colbert: 2 })).toBeCloseTo(0.2)
    for (const wrong of [
      { dense: 0, sparse: 0 },
      { dense: -1, sparse: 2 },
      { dense: Number.NaN, sparse: 1 },
    ]) {
      expect(() => fuseScores(scores, wrong)).toThrow(expect.objectContaining({ code: 'BAD_WEIGHTS' }))
    }
  })

  test('hits are ranked by all three', async () => {
    const hits = hitsOf('0.1', '0.8', '0.2')
    const weights = { dense: 0.5, sparse: 0.2, colbert: 0.3 }
    const fused = await fuseHits({ db, engine: fakeEngine() }, domain, query, hits, { weights, top: 2 })
    expect(shown(fused)).toBe('d1 d0 d2')
    expect(fused[0]).toMatchObject({ rankedBy: 'hybrid', score: expect.closeTo(0.64) })
    expect(fused[0]?.scores).toEqual({
      dense: expect.closeTo(0.8),
      colbert: expect.closeTo(0.8),
      hybrid: expect.closeTo(0.64),
    })
  })
})

test('a reranker is known by its id and revision', () => {
  expect(identityOf({ id: 'bge-reranker', revision: 'float32-1' })).toBe('bge-reranker@float32-1')
})
