import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeTinyM3, TINY_M3, TINY_M3_ID } from '../packages/embed/test/tiny-m3.js'
import { databases } from './support/backends.js'
import { openWorld, type World } from './support/world.js'

interface Span {
  start: number
  end: number
}
interface Compared {
  similarity: number
  tokens: { a: number; b: number }
  pooled: { a: boolean; b: boolean }
  explain?: {
    scores: { dense: number; sparse: number | null; colbert: number | null }
    lexical: string | null
    a: { text: string; tokens: Span[] }
    b: { text: string; tokens: Span[] }
    matches: { token: string; weight: number; a: Span[]; b: Span[] }[]
  }
}

interface Found {
  hits: { documentId: string; scores: Record<string, number> }[]
}

const DOCUMENTS = [
  { id: 'refund', text: 'The card gets its money back within the next ten days.' },
  { id: 'parcel', text: 'The parcel comes within the week.' },
  { id: 'hours', text: 'The team answers from nine to five.' },
]
const CHINESE = [
  { id: '退款', text: '申请退款后，款项会在十天内退回您的银行卡。' },
  { id: '快递', text: '如果快递没有送到，我们会重新发货。' },
]

const kinds = databases()
for (const backend of kinds) {
  // The large vocabulary with one of them, since it has nothing to do with the database.
  const hasM3 = TINY_M3 !== undefined && backend === kinds.at(-1)
  describe(`two texts compared, ${backend.name}`, () => {
    let modelsDir: string
    let world: World
    beforeAll(async () => {
      modelsDir = await mkdtemp(join(tmpdir(), 'millrace-compare-'))
      if (hasM3) await makeTinyM3(modelsDir, { vocabulary: 'short' })
      world = await openWorld(backend, { MODELS_DIR: modelsDir })
      await fill('en', 'all-minilm-l6-v2', DOCUMENTS)
      await fill('zh', 'bge-small-zh-v1.5', CHINESE)
    })
    afterAll(async () => {
      await world?.close()
      await rm(modelsDir, { recursive: true })
    })

    async function fill(name: string, model: string, documents: readonly object[]) {
      await world.call('POST', '/v1/domains', { name, model, chunking: { context: 'none' } })
      const path = `/v1/domains/${name}/documents`
      await world.finished((await world.client.post(path, { documents }, submissionSchema)).ingestion)
    }
    const compare = async (text_a: string, text_b: string, more: object = {}) => {
      const { status, body } = await world.call('POST', '/similarity', {
        text_a,
        text_b,
        explain: true,
        ...more,
      })
      expect(status).toBe(200)
      return body as unknown as Compared
    }
    const explained = async (...asked: Parameters<typeof compare>) => {
      const { explain } = await compare(...asked)
      if (explain === undefined) throw new Error('nothing is explained')
      return explain
    }
    const cut = (text: string, spans: readonly Span[]) =>
      spans.map(({ start, end }) => text.slice(start, end))

    test('with a domain: the sparse score of a search, and the words that carried it', async () => {
      const question = 'When does the card get money?'
      const [refund] = DOCUMENTS
      const { scores, lexical, a, b, matches } = await explained(question, refund?.text ?? '', {
        domain: 'en',
      })
      const { body } = await world.call('POST', '/v1/domains/en/search', { query: question, mode: 'hybrid' })
      const [hit] = (body as unknown as Found).hits
      expect(hit?.documentId).toBe('refund')
      expect(scores.dense).toBeCloseTo(hit?.scores.dense ?? 0, 3)
      expect(scores.sparse).toBeCloseTo(hit?.scores.sparse ?? 0, 4)
      expect(scores.colbert).toBeNull()
      expect(lexical).toBe('bm25')
      // Rare words count most, though "the" is there twice.
      expect(matches.map(({ token }) => token)).toEqual(['card', 'money', 'the'])
      expect(matches.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 4)
      for (const match of matches) {
        expect(cut(a.text, match.a).every((word) => word === match.token)).toBe(true)
        expect(cut(b.text, match.b).every((word) => word.toLowerCase() === match.token)).toBe(true)
      }
      expect(matches[2]?.b).toHaveLength(2)
    })

    test('Chinese words are found by their pairs of characters; emoji move no span', async () => {
      const { a, b, matches } = await explained('😀怎么申请退款？', '👍🏽 退款要十天', { domain: 'zh' })
      expect(matches.map(({ token }) => token)).toContain('退款')
      for (const match of matches) {
        expect(cut(a.text, match.a)).toEqual([match.token])
        expect(cut(b.text, match.b)).toEqual([match.token])
      }
      expect(cut(a.text, a.tokens).join('')).toBe(a.text)
    })

    test('without a domain words weigh alike, and there is no score of them', async () => {
      const asked = { ...(await compare('A café, naïve', 'the CAFE\u0301 is naive 😀')) }
      expect(asked.explain?.lexical).toBeNull()
      expect(asked.explain?.scores).toEqual({ dense: expect.any(Number), sparse: null, colbert: null })
      expect(asked.explain?.scores.dense).toBeCloseTo(asked.similarity, 4)
      expect(asked.explain?.matches.map(({ token, weight }) => [token, weight])).toEqual([
        ['café', 0.5],
        ['naïve', 0.5],
      ])
      // Special tokens have no place in the text.
      expect(asked.explain?.a.tokens).toHaveLength(asked.tokens.a - 2)
    })

    test('the text is the cleaned one, and spans are in it', async () => {
      const { a, b, matches } = await explained('  ﻿card\r\n\r\n\r\n\r\nplease ', 'no  card')
      expect(a.text).toBe('card\n\nplease')
      expect(matches).toEqual([
        { token: 'card', weight: 1, a: [{ start: 0, end: 4 }], b: [expect.any(Object)] },
      ])
      expect(cut(b.text, matches[0]?.b ?? [])).toEqual(['card'])
    })

    test('a long text is pooled, and all of it has spans', async () => {
      const long = `${'what is written here goes on and on '.repeat(200)}and ends with a card`
      const { pooled, explain } = await compare('card', long, { domain: 'en' })
      expect(pooled).toEqual({ a: false, b: true })
      expect(cut(explain?.b.text ?? '', explain?.matches[0]?.b ?? [])).toEqual(['card'])
      expect(explain?.b.text.endsWith('card')).toBe(true)
    })

    test('it is explained when asked for, and asked for strictly', async () => {
      const texts = { text_a: 'one', text_b: 'two' }
      const { body } = await world.call('POST', '/similarity', texts)
      expect(body.explain).toBeUndefined()
      const explicit = await world.call('POST', '/similarity', { ...texts, explain: false })
      expect(explicit.body).toEqual(body)
      for (const wrong of [{ explain: 'yes' }, { explian: true }]) {
        const refused = await world.call('POST', '/similarity', { ...texts, ...wrong })
        expect(refused).toMatchObject({ status: 400, body: { error: { code: 'INVALID_REQUEST' } } })
      }
      const blank = await world.call('POST', '/similarity', { text_a: ' ', text_b: 'two', explain: true })
      expect(blank).toMatchObject({ status: 400, body: { error: { code: 'MISSING_TEXT' } } })
      const unread = await world.call('POST', '/similarity', { text_a: '\u200b', text_b: 'x', explain: true })
      expect(unread.status).toBe(400)
    })

    test.skipIf(!hasM3)('a model with all three outputs gives all three scores', async () => {
      await fill('m3', TINY_M3_ID, DOCUMENTS)
      const words = '我们会在十天内退款: the card gets its money back, café cafe\u0301 naïve'
      const { scores, lexical, a, b, matches } = await explained(`😀 ${words}`, `退款 ${words}`, {
        domain: 'm3',
      })
      expect(lexical).toBe('learned')
      expect(scores.sparse).toBeGreaterThan(0)
      expect(scores.colbert).toBeGreaterThan(-1)
      expect(matches.reduce((sum, { weight }) => sum + weight, 0)).toBeLessThanOrEqual(1.0001)
      for (const match of matches) {
        expect(cut(a.text, match.a)).toContain(match.token)
        expect(cut(b.text, match.b)).toContain(match.token)
        expect(match.token).toBe(match.token.trim())
      }
      expect(matches.length).toBeGreaterThan(0)
    })
  })
}
