import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { databases } from './support/backends.js'
import { type Body, openWorld, until, type World } from './support/world.js'

const MODEL = 'all-minilm-l6-v2'
const TOPICS = ['apples', 'trains', 'rivers', 'violins', 'snow', 'bread', 'lamps', 'horses']
/** A section of about 130 tokens on each topic. */
const LONG = TOPICS.map((topic) => {
  const lines = Array.from(
    { length: 8 },
    (_, i) =>
      `Fact ${i} about ${topic} is that people who know ${topic} like fact ${i + 1} of ${topic} more.`,
  )
  return `## All about ${topic}\n\n${lines.join(' ')}`
}).join('\n\n')

const hitsSchema = z.object({
  hits: z.array(
    z.object({
      documentId: z.string(),
      chunk: z.number(),
      start: z.number(),
      end: z.number(),
      text: z.string(),
      similarity: z.number(),
      headings: z.array(z.string()),
      place: z.unknown(),
      parent: z.object({ chunk: z.number(), start: z.number(), end: z.number() }).nullable(),
    }),
  ),
})
const previewSchema = z.object({
  chunks: z.array(
    z.object({
      text: z.string(),
      context: z.string(),
      headings: z.array(z.string()),
      start: z.number(),
      end: z.number(),
      tokens: z.number(),
      overlap: z.number(),
      parent: z.number().nullable(),
    }),
  ),
  parents: z.array(z.object({ text: z.string(), start: z.number(), end: z.number() })),
  cut: z.number(),
})

for (const backend of databases()) {
  describe(`ways to chunk, ${backend.name}`, () => {
    let world: World
    beforeAll(async () => {
      world = await openWorld(backend, {})
    })
    afterAll(() => world?.close())

    const create = async (name: string, chunking: object) => {
      const { status } = await world.call('POST', '/v1/domains', { name, model: MODEL, chunking })
      expect(status).toBe(201)
    }
    const submit = async (name: string, documents: readonly object[]) => {
      expect((await world.call('POST', `/v1/domains/${name}/documents`, { documents })).status).toBe(202)
      await until(async () => {
        const { body } = await world.call('GET', `/v1/domains/${name}`)
        const counts = (body as unknown as { documents: { ready: number; total: number } }).documents
        return counts.ready === counts.total && counts.total > 0 ? counts : undefined
      })
    }
    const search = async (name: string, query: string, k: number) =>
      hitsSchema.parse(
        (await world.call('POST', `/v1/domains/${name}/search`, { query, k, threshold: null })).body,
      ).hits
    const preview = async (name: string, body: Body) => {
      const { status, body: answer } = await world.call('POST', `/v1/domains/${name}/chunks/preview`, body)
      return { status, answer }
    }

    test('of small chunks the parents are the hits, each once, as many as are asked for', async () => {
      await create('parents', { kind: 'parent', size: 48, parentSize: 200 })
      await submit('parents', [
        { id: 'long', text: LONG },
        { id: 'short', text: 'Trains are late.' },
      ])
      const three = await search('parents', 'violins', 3)
      expect(three).toHaveLength(3)
      const [best] = three
      expect(best?.headings).toEqual(['All about violins'])
      expect(best?.text).toBe(LONG.slice(best?.start, best?.end))
      expect(best?.parent).toMatchObject({ start: best?.start, end: best?.end })
      const all = await search('parents', 'violins', 1000)
      const spans = all.map(({ documentId, start }) => `${documentId} ${start}`)
      expect(new Set(spans).size).toBe(spans.length)
      expect(all.length).toBeGreaterThanOrEqual(TOPICS.length + 1)
      expect(all.map((hit) => hit.similarity)).toEqual(
        all.map((hit) => hit.similarity).toSorted((a, b) => b - a),
      )
    })

    test('a whole document is one hit, however long', async () => {
      await create('whole', { kind: 'document', pooling: 'max' })
      await submit('whole', [{ id: 'long', text: LONG.repeat(2) }])
      const hits = await search('whole', 'violins', 5)
      expect(hits.map(({ documentId, text }) => [documentId, text.length])).toEqual([
        ['long', 2 * LONG.length],
      ])
    })

    test('a preview shows chunks, tokens, overlaps and contexts, and stores nothing', async () => {
      await create('look', { size: 64 })
      const { status, answer } = await preview('look', {
        text: LONG,
        title: 'Facts',
        chunking: { kind: 'markdown', size: 96, overlap: 30 },
      })
      expect(status).toBe(200)
      const { chunks, cut } = previewSchema.parse(answer)
      expect(cut).toBe(0)
      expect(chunks[0]).toMatchObject({
        context: 'Facts\nAll about apples\n',
        headings: ['All about apples'],
      })
      expect(Math.max(...chunks.map(({ tokens }) => tokens))).toBeLessThanOrEqual(96)
      expect(chunks.some(({ overlap }) => overlap > 0)).toBe(true)
      for (const chunk of chunks) expect(LONG.slice(chunk.start, chunk.end)).toBe(chunk.text)
      const { body } = await world.call('GET', '/v1/domains/look')
      expect(body).toMatchObject({ documents: { total: 0 } })
    })

    test.each([
      [{ text: 'x', chunking: { template: '{name}' } }, 'BAD_CHUNKING'],
      [{ text: 'x', chunking: { kind: 'structure', parentSize: 512 } }, 'BAD_CHUNKING'],
      [{ text: 'x', chunking: { kind: 'paragraph' } }, 'INVALID_REQUEST'],
      [{ text: 'half \ud83d', title: null }, 'INVALID_CHARACTER'],
      [{ text: 5 }, 'INVALID_REQUEST'],
    ])('a preview that cannot be is refused: %j', async (body, code) => {
      await world.call('POST', '/v1/domains', { name: 'refusals', model: MODEL })
      const { status, answer } = await preview('refusals', body as Body)
      expect(status).toBe(400)
      expect(answer).toMatchObject({ error: { code } })
    })
  })
}
