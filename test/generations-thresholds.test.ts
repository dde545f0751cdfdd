import { setTimeout as sleep } from 'node:timers/promises'
import { openEngine } from '@millrace/embed'
import { carryBandsOf, findDomain, findDomainAt, readSettings } from '@millrace/flow'
import { getGeneration } from '@millrace/store'
import { submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { databases } from './support/backends.js'
import { openWorld, TEST_ENV, until, type World } from './support/world.js'

const item = z.looseObject({
  score: z.string(),
  item: z.string(),
  old: z.number(),
  new: z.number().nullable(),
  low: z.number().nullable(),
  high: z.number().nullable(),
  method: z.string(),
  pairs: z.object({ unrelated: z.number(), golden: z.number(), from: z.array(z.string()) }),
  separates: z.boolean(),
  sureness: z.string(),
  why: z.string(),
  state: z.string(),
  decided: z.number().nullable(),
})
const thresholds = z.strictObject({
  generation: z.string(),
  from: z.string().nullable(),
  policy: z.string(),
  same: z.boolean(),
  items: z.array(item),
  notes: z.array(z.string()),
})
const generation = z.looseObject({ id: z.string(), state: z.string() })

const NAMES = { zh: '级', en: 'level' }
const LEVELS = [
  { key: 'sure', above: 0.75, name: NAMES },
  { key: 'maybe', above: 0.6, name: NAMES },
  { key: 'no', above: null, name: NAMES },
]

const CHOSEN = { threshold: 0.62, levels: LEVELS, scores: { sparse: { threshold: 0.2 } } }

/** Each about one thing. */
const TOPICS = [
  ['refund', 'Money for a returned product is paid back to your card within ten days.'],
  ['parcel', 'If your parcel did not arrive, we send a replacement without further questions.'],
  ['hours', 'Our support team answers the telephone from nine to five, Monday to Friday.'],
  ['coupon', 'A coupon code is entered in the basket before you pay for the order.'],
  ['password', 'A forgotten password is set anew with the link in our email.'],
  ['invoice', 'Invoices of all your orders stand in your account as PDF files.'],
  ['battery', 'The battery of the lamp lasts for about eight hours of light.'],
  ['bicycle', 'Bicycles are delivered with pedals and handlebars not yet mounted.'],
  ['coffee', 'Roasted coffee beans keep their taste for six weeks in the closed bag.'],
] as const

const engine = openEngine(readSettings(TEST_ENV))
afterAll(() => engine.close())

// The queue has no part in this: each kind of database once.
for (const backend of databases().slice(0, 2)) {
  describe(`thresholds under another generation, ${backend.name}`, { timeout: 120_000 }, () => {
    let world: World
    let id = ''
    beforeAll(async () => {
      world = await openWorld(backend, { QUERY_LOG: 'text' })
      const body = { name: 'shop', model: 'bge-small-zh-v1.5', ...CHOSEN }
      expect((await world.call('POST', '/v1/domains', body)).status).toBe(201)
      const documents = TOPICS.map(([id, text]) => ({ id, text, title: `About the ${id}` }))
      const sent = await world.client.post('/v1/domains/shop/documents', { documents }, submissionSchema)
      await world.finished(sent.ingestion)
      id = await begin({ model: 'all-minilm-l6-v2' })
    })
    afterAll(() => world?.close())

    const begin = async (wishes: object) => {
      const path = '/v1/domains/shop/generations'
      const { id } = await world.client.post(path, wishes, generation)
      await until(async () =>
        (await world.call('GET', `${path}/${id}`)).body.phase === 'complete' ? true : undefined,
      )
      return id
    }
    const pathOf = (id: string) => `/v1/domains/shop/generations/${id}/thresholds`
    const under = (id: string, query = '') => world.client.get(`${pathOf(id)}${query}`, thresholds)
    const decide = (id: string, body: object) => world.call('PUT', pathOf(id), body)
    const change = async (wishes: object) =>
      expect((await world.call('PATCH', '/v1/domains/shop', wishes)).status).toBe(200)
    const golden = async (questions: readonly object[]) =>
      expect((await world.call('POST', '/v1/domains/shop/golden', { questions })).status).toBe(200)
    const logged = async () => {
      const { body } = await world.call('GET', '/v1/domains/shop/queries')
      return (body.queries as readonly unknown[]).length
    }
    const deps = () => ({ db: world.running.backends.db, engine })

    test('questions are held against any passages; titles and passages where nobody asked', async () => {
      const sources = async () => {
        const { items } = await under(id, '?fresh=true')
        expect(items.map(({ score, item }) => `${score} ${item}`)).toEqual([
          'dense level:sure',
          'dense threshold',
          'dense level:maybe',
          'sparse threshold',
        ])
        for (const { pairs, sureness } of items) {
          expect(pairs.unrelated).toBeGreaterThan(20)
          expect(sureness).toBe('low')
        }
        const [from, ...others] = [...new Set(items.map(({ pairs }) => pairs.from.join()))]
        expect(others).toEqual([])
        return from
      }
      expect(await sources()).toBe('titles')
      // Two questions are too few to say anything.
      await deps().db.query('update millrace.published set title = null')
      await golden([
        { question: 'When is my money back?', documentId: 'refund' },
        { question: 'How late may I call?', documentId: 'hours' },
      ])
      expect(await sources()).toBe('passages')

      for (const query of ['lost parcel', 'coupon', 'new password']) {
        await world.call('POST', '/v1/domains/shop/search', { query, k: 3 })
      }
      await until(async () => ((await logged()) === 3 ? true : undefined))
      expect(await sources()).toBe('golden,logged')
      // What is asked to measure is nobody's query.
      await sleep(500)
      expect(await logged()).toBe(3)
    })

    test('what nobody chose is not carried, also where it was measured before', async () => {
      const own = engine.manifest('bge-small-zh-v1.5').levels
      await change({ threshold: null, levels: own, scores: { sparse: { threshold: null } } })
      expect(await under(id)).toMatchObject({
        items: [],
        notes: [expect.stringMatching(/^No threshold or level .* chosen by a person/)],
      })
      await change(CHOSEN)
    })

    test('by golden pairs, accepted and replaced, they hold from the switch on', async () => {
      await golden(
        TOPICS.flatMap(([documentId, text], i) => {
          const words = text.split(' ')
          return [words.slice(0, 5), words.slice(-5)].map((some, n) => ({
            id: `q${i}-${n}`,
            question: `What about ${some.join(' ')}`,
            documentId,
          }))
        }),
      )
      const found = await under(id, '?fresh=true')
      expect(found).toMatchObject({ generation: id, policy: 'confirm', same: false })
      const dense = found.items.filter(({ score }) => score === 'dense')
      expect(dense.every(({ pairs }) => pairs.golden === 20 && pairs.from.join() === 'golden')).toBe(true)
      const news = dense.flatMap((one) => one.new ?? [])
      expect(news.length).toBeGreaterThan(0)
      expect(news).toEqual(news.toSorted((a, b) => b - a))
      for (const one of found.items) {
        expect(one.state).toBe('proposed')
        if (one.new === null) expect(one).toMatchObject({ separates: false, method: 'none' })
        else expect((one.low ?? 2) <= one.new && one.new <= (one.high ?? -2)).toBe(true)
      }
      // Nothing has changed: what was measured stays.
      expect(await under(id)).toEqual({ ...found, notes: [] })

      // By policy only what is sure enough, and nothing without it.
      const live = await findDomain(deps(), 'shop')
      const [next, row] = [
        await findDomainAt(deps(), 'shop', id),
        await getGeneration(deps().db, live.id, Number(id)),
      ]
      if (row === undefined) throw new Error('It is gone')
      const sure = new Set(
        found.items.filter((one) => one.new !== null && one.sureness !== 'low').map(({ score }) => score),
      )
      const bands = await carryBandsOf(deps())(live, next, { ...row, thresholds: 'carry' })
      expect(bands.map(({ score }) => score)).toEqual([...sure])
      expect(await carryBandsOf(deps())(live, next, row)).toEqual([])

      const wrong = await decide(id, { thresholds: { dense: { threshold: 7 } } })
      expect(wrong.body.error?.code).toBe('BAD_THRESHOLD')
      const refused = await decide(id, { accept: ['hybrid'] })
      expect(refused).toMatchObject({ status: 409, body: { error: { code: 'NOT_CARRIED' } } })
      expect((await decide(id, { accept: ['nothing'] })).status).toBe(400)
      const answer = await decide(id, { accept: ['sparse'], thresholds: { dense: { threshold: 0.31 } } })
      expect(answer.status).toBe(200)
      const decided = thresholds.parse(answer.body).items
      expect(decided.find((one) => one.score === 'dense' && one.item === 'threshold')).toMatchObject({
        state: 'replaced',
        decided: 0.31,
      })
      const sparse = decided.find(({ score }) => score === 'sparse')
      expect(sparse).toMatchObject({ state: 'confirmed', decided: sparse?.new })
      // Until the switch the live one has its own.
      expect((await findDomain(deps(), 'shop')).threshold).toBe(0.62)

      const force = { force: { reason: 'test' } }
      const path = `/v1/domains/shop/generations/${id}/switch`
      expect((await world.call('POST', path, force)).status).toBe(200)
      const { body } = await world.call('POST', '/v1/domains/shop/search', { query: 'money back', k: 3 })
      expect(body).toMatchObject({ model: 'all-minilm-l6-v2', threshold: 0.31, staleThreshold: null })
      expect((await decide(id, { accept: true })).body.error?.code).toBe('THRESHOLDS_SETTLED')
    })

    test('with one recipe there is nothing to carry, and what is not there is said', async () => {
      const half = await begin({ storage: 'half' })
      expect(await under(half)).toMatchObject({
        same: true,
        items: [],
        from: null,
        notes: ['Both generations have one recipe: thresholds and levels mean what they meant.'],
      })
      expect((await decide(half, { accept: true })).body.error?.code).toBe('THRESHOLDS_SETTLED')
      expect((await world.call('GET', pathOf('999999'))).body.error?.code).toBe('UNKNOWN_GENERATION')
    })
  })
}
