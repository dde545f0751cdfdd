import { getDomain } from '@millrace/store'
import { submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { databases } from './support/backends.js'
import { openWorld, until, type World } from './support/world.js'

const item = z.looseObject({
  score: z.string(),
  item: z.string(),
  old: z.number(),
  new: z.number().nullable(),
  low: z.number().nullable(),
  high: z.number().nullable(),
  method: z.string(),
  pairs: z.object({ unrelated: z.number(), golden: z.number() }),
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
  ['garden', 'Plants of the garden shop are shipped only between March and October.'],
  ['piano', 'Pianos are brought into the house by two men and tuned two weeks later.'],
  ['travel', 'Travel insurance is paid out when a flight is cancelled by the airline.'],
] as const

for (const backend of databases()) {
  describe(`thresholds under another generation, ${backend.name}`, () => {
    let world: World
    beforeAll(async () => {
      world = await openWorld(backend)
    })
    afterAll(() => world?.close())

    const domainOf = async (name: string, more: object = {}) => {
      const body = { name, model: 'bge-small-zh-v1.5', threshold: 0.62, levels: LEVELS, ...more }
      expect((await world.call('POST', '/v1/domains', body)).status).toBe(201)
      const documents = TOPICS.map(([id, text]) => ({ id, text }))
      const { ingestion } = await world.client.post(
        `/v1/domains/${name}/documents`,
        { documents },
        submissionSchema,
      )
      await world.finished(ingestion)
    }
    const begin = async (name: string, wishes: object = {}) => {
      const path = `/v1/domains/${name}/generations`
      const { id } = await world.client.post(path, { model: 'all-minilm-l6-v2', ...wishes }, generation)
      await until(async () => {
        const { body } = await world.call('GET', `${path}/${id}`)
        return body.phase === 'complete' ? body : undefined
      })
      return id
    }
    const under = (name: string, id: string, query = '') =>
      world.client.get(`/v1/domains/${name}/generations/${id}/thresholds${query}`, thresholds)
    const decide = (name: string, id: string, body: object) =>
      world.call('PUT', `/v1/domains/${name}/generations/${id}/thresholds`, body)
    const switchTo = async (name: string, id: string) =>
      expect(
        (
          await world.call('POST', `/v1/domains/${name}/generations/${id}/switch`, {
            force: { reason: 'test' },
          })
        ).status,
      ).toBe(200)
    const liveOf = async (name: string) => {
      const domain = await getDomain(world.running.backends.db, name)
      if (domain === undefined) throw new Error(`No ${name}`)
      return domain
    }

    test('by golden pairs and by unrelated ones, accepted and replaced, they hold from the switch on', async () => {
      await domainOf('shop', { scores: { sparse: { threshold: 0.2 } } })
      const questions = TOPICS.flatMap(([documentId, text], i) => {
        const words = text.split(' ')
        return [words.slice(0, 5), words.slice(-5)].map((some, n) => ({
          id: `q${i}-${n}`,
          question: `What about ${some.join(' ')}`,
          documentId,
        }))
      })
      expect((await world.call('POST', '/v1/domains/shop/golden', { questions })).status).toBe(200)
      const id = await begin('shop')

      const found = await under('shop', id)
      expect(found).toMatchObject({ generation: id, policy: 'confirm', same: false })
      expect(found.items.map(({ score, item }) => `${score} ${item}`)).toEqual([
        'dense level:sure',
        'dense threshold',
        'dense level:maybe',
        'sparse threshold',
      ])
      const dense = found.items.filter(({ score }) => score === 'dense')
      expect(dense.every(({ pairs }) => pairs.golden === 24)).toBe(true)
      const news = dense.flatMap((one) => one.new ?? [])
      expect(news.length).toBeGreaterThan(0)
      expect(news).toEqual(news.toSorted((a, b) => b - a))
      for (const one of found.items) {
        expect(one.state).toBe('proposed')
        if (one.new === null) expect(one).toMatchObject({ separates: false, method: 'none' })
        else expect((one.low ?? 2) <= one.new && one.new <= (one.high ?? -2)).toBe(true)
      }
      // Nothing has changed: what was measured stays.
      expect(await under('shop', id)).toEqual({ ...found, notes: [] })

      expect((await decide('shop', id, { thresholds: { dense: { threshold: 7 } } })).body.error?.code).toBe(
        'BAD_THRESHOLD',
      )
      const answer = await decide('shop', id, {
        accept: ['sparse'],
        thresholds: { dense: { threshold: 0.31 } },
      })
      expect(answer.status).toBe(200)
      const decided = thresholds.parse(answer.body).items
      expect(decided.find((one) => one.score === 'dense' && one.item === 'threshold')).toMatchObject({
        state: 'replaced',
        decided: 0.31,
      })
      const sparse = decided.find(({ score }) => score === 'sparse')
      expect(sparse).toMatchObject({ state: 'confirmed', decided: sparse?.new })
      // Until the switch the live one has its own.
      expect((await liveOf('shop')).threshold).toBe(0.62)

      await switchTo('shop', id)
      const live = await liveOf('shop')
      expect(live).toMatchObject({ model: 'all-minilm-l6-v2', threshold: 0.31 })
      const { body } = await world.call('POST', '/v1/domains/shop/search', { query: 'money back', k: 3 })
      expect(body).toMatchObject({ threshold: 0.31, staleThreshold: null })
      expect((await decide('shop', id, { accept: true })).body.error?.code).toBe('THRESHOLDS_SETTLED')
    }, 120_000)

    test('nothing is applied without a person, and by policy only what is sure enough', async () => {
      await domainOf('quiet')
      const id = await begin('quiet')
      const { items } = await under('quiet', id)
      expect(items[0]?.pairs).toMatchObject({ golden: 0 })
      expect(items[0]?.pairs.unrelated).toBeGreaterThan(50)
      await switchTo('quiet', id)
      const { body } = await world.call('POST', '/v1/domains/quiet/search', { query: 'money back', k: 3 })
      expect(body).toMatchObject({ threshold: null, staleThreshold: { score: 'dense', threshold: 0.62 } })

      await domainOf('sure', { levels: undefined })
      const carried = await begin('sure', { thresholds: 'carry' })
      const [one] = (await under('sure', carried)).items
      await switchTo('sure', carried)
      const isSure = one?.sureness !== 'low' && one?.new !== null
      expect((await liveOf('sure')).threshold).toBe(isSure ? one?.new : null)
      expect((await under('sure', carried)).items[0]?.state).toBe(isSure ? 'applied' : 'proposed')
    })

    test('with one recipe there is nothing to carry', async () => {
      await domainOf('same')
      const id = await begin('same', { model: undefined, storage: 'half' })
      expect(await under('same', id)).toMatchObject({ same: true, items: [], from: null })
      expect((await decide('same', id, { accept: true })).body.error?.code).toBe('THRESHOLDS_SETTLED')
      await switchTo('same', id)
      expect((await liveOf('same')).threshold).toBe(0.62)
    })

    test('what is not there is said', async () => {
      await domainOf('wrong', { threshold: 0.999, levels: undefined })
      const path = '/v1/domains/wrong/generations/999999/thresholds'
      expect((await world.call('GET', path)).body.error?.code).toBe('UNKNOWN_GENERATION')
      const id = await begin('wrong')
      const refused = await decide('wrong', id, { accept: ['sparse'] })
      expect(refused).toMatchObject({ status: 409, body: { error: { code: 'NOT_CARRIED' } } })
      expect((await decide('wrong', id, { accept: ['nothing'] })).status).toBe(400)
    })
  })
}
