import { getDomain } from '@millrace/store'
import { searchSchema, submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { databases } from './support/backends.js'
import { openWorld, type World } from './support/world.js'

const value = z.number().nullable()
const spread = { pairs: z.number(), counts: z.array(z.number()), mean: value, p50: value }
const schema = z.strictObject({
  model: z.string(),
  bins: z.array(z.strictObject({ from: z.number(), to: z.number() })),
  random: z.strictObject({ ...spread, p95: value, p99: value }),
  golden: z.strictObject({ ...spread, skipped: z.number(), p5: value }).nullable(),
  threshold: value,
  levels: z.array(z.looseObject({ key: z.string(), above: value })),
  notes: z.array(z.string()),
})

const sum = (values: readonly number[]) => values.reduce((total, one) => total + one, 0)

/** Unit vectors that look drawn at random, and are the same each time. */
const vectorOf = (i: number, dims = 8): number[] => {
  const raw = Array.from({ length: dims }, (_, dim) => Math.sin((i + 1) * (dim + 1) * 12.9898) * 2)
  const length = Math.hypot(...raw)
  return raw.map((one) => one / length)
}
const cosine = (a: readonly number[], b: readonly number[]) => sum(a.map((one, i) => one * (b[i] ?? 0)))

/** Vectors of each document by number. */
const OWN = [[0, 1], [2], [3, 4], [5, 6, 7]]

const ARTICLES = {
  refund: 'Money comes back to your card within ten days.\n\nA refund for a gift card is paid as credit.',
  parcel: 'If your parcel did not arrive, we send a replacement.',
  hours: 'Our support team answers from nine to five, Monday to Friday.',
  coupon: 'A coupon code is entered before you pay.',
}
const QUESTIONS = [
  { id: 'money', question: 'When do I get my money back?', documentId: 'refund' },
  { id: 'lost', question: 'my package is lost', documentIds: ['hours', 'parcel'] },
  { id: 'code', question: 'where do I enter a code?', documentId: 'coupon' },
  { id: 'gone', question: 'is there a shop in town?', documentId: 'shops' },
]

for (const backend of databases()) {
  describe(`similarities of a domain, ${backend.name}`, () => {
    let world: World
    beforeAll(async () => {
      world = await openWorld(backend)
    })
    afterAll(() => world?.close())

    const compare = (domain: string, query = '') =>
      world.client.get(`/v1/domains/${domain}/similarities${query}`, schema)
    const create = async (body: object) =>
      expect((await world.call('POST', '/v1/domains', body)).status).toBe(201)
    const submit = async (domain: string, documents: readonly object[]) => {
      const path = `/v1/domains/${domain}/documents`
      const { ingestion } = await world.client.post(path, { documents }, submissionSchema)
      await world.finished(ingestion)
    }
    const own = (documents: readonly (readonly number[])[]) =>
      documents.map((vectors, i) => ({ id: `d${i}`, chunks: vectors.map((n) => ({ vector: vectorOf(n) })) }))

    test.each([
      ['full', 1e-5],
      ['half', 1e-3],
      ['binary', 1e-3],
      ['sq8', 5e-3],
      ['sq4', 0.05],
    ] as const)(
      'of a few vectors stored as %s are those of every pair that no document has both of',
      async (storage, near) => {
        const name = `own-${storage}`
        await create({ name, model: 'external', dims: 8, storage })
        await submit(name, own(OWN))
        const numbers = OWN.flat()
        const expected = numbers.flatMap((a) =>
          numbers
            .filter((b) => a < b && !OWN.some((vectors) => vectors.includes(a) && vectors.includes(b)))
            .map((b) => cosine(vectorOf(a), vectorOf(b))),
        )
        const { model, bins, random, golden, notes } = await compare(name, '?bins=20')
        expect(model).toBe('external')
        expect(golden).toBeNull()
        expect(random.pairs).toBe(expected.length)
        expect(random.mean).toBeCloseTo(sum(expected) / expected.length, -Math.log10(2 * near))
        const sorted = expected.toSorted((a, b) => a - b)
        expect(Math.abs((random.p99 ?? 9) - (sorted.at(-1) ?? 0))).toBeLessThan(near)
        expect(Math.abs((random.p50 ?? 9) - (sorted[Math.ceil(sorted.length / 2) - 1] ?? 0))).toBeLessThan(
          near,
        )
        expect(bins).toHaveLength(20)
        expect(bins[0]?.from).toBe(Math.floor(10 * (sorted[0] ?? 0)) / 10)
        if (storage === 'full') {
          expect(random.counts).toEqual(
            bins.map(({ from, to }) => expected.filter((one) => one >= from && one < to).length),
          )
        }
        expect(notes).toEqual([`The domain has ${expected.length} pairs of passages of different documents`])
      },
    )

    test('are as many as were asked for, the same ones for the same seed', async () => {
      await create({ name: 'many', model: 'external', dims: 8, storage: 'half' })
      await submit('many', own(Array.from({ length: 300 }, (_, i) => [1_000 + i])))
      const first = await compare('many', '?pairs=200&seed=7')
      expect(first.random.pairs).toBe(200)
      expect(first.bins).toHaveLength(60)
      expect(sum(first.random.counts)).toBe(200)
      expect(first.notes).toEqual([])
      expect(await compare('many', '?pairs=200&seed=7')).toEqual(first)
      expect((await compare('many', '?pairs=200&seed=8')).random.mean).not.toBe(first.random.mean)
      // Random directions have nothing to do with each other.
      expect(Math.abs((await compare('many', '?pairs=10000')).random.mean ?? 1)).toBeLessThan(0.1)
    })

    test('are of no two passages that one document has, whoever else has them', async () => {
      await create({ name: 'shared', chunking: { size: 32 } })
      const [one, two, three] = ['parcels are sent on', 'invoices are paid by', 'letters are read on'].map(
        (begin) =>
          `All ${begin} the first working day of the month, unless that day is a holiday in the capital.`,
      )
      await submit('shared', [
        { id: 'a', text: `${one}\n\n${two}` },
        { id: 'b', text: one },
        { id: 'c', text: three },
      ])
      const { db } = world.running.backends
      const id = (await getDomain(db, 'shared'))?.generationId
      expect(await db.query(`select 1 from millrace.vectors_${id}`)).toHaveLength(3)
      expect((await compare('shared')).random.pairs).toBe(2)
    })

    test('are not those of what was deleted, nor of versions that nobody sees yet', async () => {
      await create({ name: 'moving', model: 'external', dims: 8 })
      await submit('moving', own([[0], [1], [2]]))
      expect((await compare('moving')).random.pairs).toBe(3)
      expect((await world.call('DELETE', '/v1/domains/moving/documents/d2')).status).toBe(204)
      const { random } = await compare('moving')
      expect(random).toMatchObject({ pairs: 1, mean: expect.closeTo(cosine(vectorOf(0), vectorOf(1)), 4) })
      const { db } = world.running.backends
      const domain = await getDomain(db, 'moving')
      await db.query('update millrace.published set revision = revision + 1 where generation_id = $1', [
        domain?.generationId,
      ])
      expect((await compare('moving')).random).toMatchObject({
        pairs: 0,
        mean: null,
        p50: null,
        p95: null,
        p99: null,
      })
    })

    test('of golden questions are those of the nearest passage of their documents', async () => {
      await create({ name: 'faq', threshold: 0.3, chunking: { size: 32 } })
      await submit(
        'faq',
        Object.entries(ARTICLES).map(([id, text]) => ({ id, text })),
      )
      expect((await compare('faq')).golden).toBeNull()
      const added = await world.call('POST', '/v1/domains/faq/golden', { questions: QUESTIONS })
      expect(added.status).toBe(200)
      const nearest = await Promise.all(
        QUESTIONS.slice(0, 3).map(async ({ question, documentId, documentIds = [documentId] }) => {
          const filter = { 'document.id': { in: documentIds } }
          const body = { query: question, k: 1, threshold: null, filter, exact: true }
          const { hits } = await world.client.post('/v1/domains/faq/search', body, searchSchema)
          return hits[0]?.similarity ?? 0
        }),
      )
      const { golden, random, threshold, levels, bins } = await compare('faq')
      expect(golden).toMatchObject({ pairs: 3, skipped: 1 })
      expect(golden?.mean).toBeCloseTo(sum(nearest) / 3, 4)
      expect(golden?.p5).toBeCloseTo(Math.min(...nearest), 4)
      expect(golden?.p50).toBeCloseTo(nearest.toSorted((a, b) => a - b)[1] ?? 0, 4)
      expect(sum(golden?.counts ?? [])).toBe(3)
      expect(golden?.counts).toHaveLength(bins.length)
      expect(golden?.mean).toBeGreaterThan(random.p95 ?? 1)
      expect(threshold).toBe(0.3)
      expect(levels.at(-1)?.above).toBeNull()
    })

    test('of nothing are nothing, and a set without documents is skipped', async () => {
      await create({ name: 'bare' })
      expect(await compare('bare', '?bins=2')).toMatchObject({
        bins: [
          { from: 0, to: 0.5 },
          { from: 0.5, to: 1 },
        ],
        random: { pairs: 0, counts: [0, 0], mean: null },
        golden: null,
      })
      await world.call('POST', '/v1/domains/bare/golden', { questions: QUESTIONS })
      expect((await compare('bare')).golden).toMatchObject({ pairs: 0, skipped: 4, mean: null, p5: null })
    })

    test.each([
      ['faq', '?pairs=0', 400, 'INVALID_REQUEST'],
      ['faq', '?pairs=10001', 400, 'INVALID_REQUEST'],
      ['faq', '?pairs=x', 400, 'INVALID_REQUEST'],
      ['faq', '?bins=201', 400, 'INVALID_REQUEST'],
      ['faq', '?seed=-1', 400, 'INVALID_REQUEST'],
      ['faq', '?more=1', 400, 'INVALID_REQUEST'],
      ['nowhere', '', 404, 'UNKNOWN_DOMAIN'],
    ])('of %s%s are refused', async (domain, query, status, code) => {
      const answer = await world.call('GET', `/v1/domains/${domain}/similarities${query}`)
      expect([answer.status, answer.body.error?.code]).toEqual([status, code])
    })

    test('are worked out one at a time', async () => {
      const ask = () => world.call('GET', '/v1/domains/many/similarities?pairs=10000')
      const answers = await Promise.all([ask(), ask(), ask()])
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 429, 429])
    })
  })
}
