import { type Domain, findDomain, openQueryLog } from '@millrace/flow'
import { type Db, forgetQueries, loggedTexts } from '@millrace/store'
import { searchSchema, submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { backends } from './support/backends.js'
import { openWorld, until, type World } from './support/world.js'

const DOCUMENTS = [
  {
    id: 'hours',
    title: 'Opening hours',
    text: 'Our support team answers from nine to five, Monday to Friday.',
    metadata: { team: 'support', year: 2024 },
  },
  {
    id: 'parcel',
    title: 'Lost parcels',
    text: 'If your parcel did not arrive, we send a replacement.',
    metadata: { team: 'shipping', year: 2025 },
  },
  {
    id: 'refund',
    title: 'Refunds',
    text: 'Money comes back to your card within ten days.',
    metadata: { team: 'billing', year: 2026 },
  },
]
const silent = { warn: () => undefined }

// The queue has no part in this: each kind of database once.
for (const backend of backends().slice(0, 2)) {
  describe(`queries, ${backend.name}`, () => {
    let world: World
    let db: Db
    let domain: Domain
    beforeAll(async () => {
      world = await openWorld(backend, { QUERY_LOG: 'text', QUERY_LOG_DAYS: '30' })
      db = world.running.backends.db
      await world.call('POST', '/v1/domains', { name: 'faq', threshold: 0.3 })
      const body = { documents: DOCUMENTS }
      const { ingestion } = await world.client.post('/v1/domains/faq/documents', body, submissionSchema)
      await world.finished(ingestion)
      domain = await findDomain({ db }, 'faq')
    })
    afterAll(() => world?.close())

    const search = (query: string, more: object = {}) =>
      world.client.post('/v1/domains/faq/search', { query, ...more }, searchSchema)
    const metric = async (name: string) => {
      const { body } = await world.call('GET', '/metrics')
      const line = String(body)
        .split('\n')
        .find((one) => one.startsWith(name))
      return Number(line?.slice(name.length))
    }
    const embed = async (body: object) => {
      const answer = await world.call('POST', '/v1/embed', body)
      return { ...answer, body: answer.body as unknown as { readonly texts: Texts } }
    }
    type Texts = readonly {
      readonly dense: readonly number[]
      readonly tokens: number
      readonly windows: number
      readonly error?: { readonly code: string }
      readonly sql: { readonly vector: string }
    }[]

    describe('POST /v1/embed', () => {
      test('gives vectors in order, wrong texts an error in their place, and embeds them once', async () => {
        const before = await metric('millrace_engine{what="texts"}')
        const texts = ['lost  parcel', ' ', 'refund', '\u0301']
        const { status, body } = await embed({ domain: 'faq', texts, sql: true })
        expect(status).toBe(200)
        expect(body).toMatchObject({ model: 'all-minilm-l6-v2', dims: 384 })
        expect(body.texts.map(({ error }) => error?.code ?? 'fine')).toEqual([
          'fine',
          'MISSING_QUERY',
          'fine',
          'EMPTY_TEXT',
        ])
        expect(body.texts[0]?.dense).toHaveLength(384)
        expect(Math.hypot(...(body.texts[0]?.dense ?? []))).toBeCloseTo(1, 5)
        const again = await embed({ domain: 'faq', texts: ['lost parcel', 'refund'] })
        expect(again.body.texts[0]?.dense).toEqual(body.texts[0]?.dense)
        // The text without tokens counts too.
        expect((await metric('millrace_engine{what="texts"}')) - before).toBe(3)
        expect(await metric('millrace_query_cache{what="hits"}')).toBe(2)
      })

      test('its literals find in SQL what HTTP finds', async () => {
        const { body } = await embed({ domain: 'faq', texts: ['where is my parcel'], sql: true })
        const rows = await db.query<{ id: string; similarity: number }>(
          `select document_id as id, similarity from millrace.search('faq', $1::vector, 3, -1)`,
          [body.texts[0]?.sql.vector],
        )
        const { hits } = await search('where is my parcel', { threshold: null })
        expect(rows.map(({ id }) => id)).toEqual(hits.map(({ documentId }) => documentId))
        expect(rows[0]?.similarity).toBeCloseTo(hits[0]?.similarity ?? 0, 5)
      })

      test.skipIf(backend.isServer)(
        'a query of 10,000 tokens is pooled over windows, and says so',
        async () => {
          const long = 'parcel '.repeat(10_000)
          const { body } = await embed({ domain: 'faq', texts: [long] })
          expect(body.texts[0]).toMatchObject({ tokens: 10_002, windows: 20 })
          expect((await search(long, { threshold: null })).hits[0]?.documentId).toBe('parcel')
        },
      )

      test('refuses what it cannot read', async () => {
        const refused = async (body: object) => {
          const { status, body: answer } = await world.call('POST', '/v1/embed', body)
          return [status, answer.error?.code]
        }
        const texts = ['a']
        await world.call('POST', '/v1/domains', { name: 'own', model: 'external', dims: 3 })
        expect(await refused({ texts: [] })).toEqual([400, 'INVALID_REQUEST'])
        expect(await refused({ texts: Array<string>(101).fill('a') })).toEqual([400, 'INVALID_REQUEST'])
        expect(await refused({ texts, domain: 'faq', model: 'x' })).toEqual([400, 'INVALID_REQUEST'])
        expect(await refused({ texts, domain: 'none' })).toEqual([404, 'UNKNOWN_DOMAIN'])
        expect(await refused({ texts, model: 'none' })).toEqual([400, 'UNKNOWN_MODEL'])
        expect(await refused({ texts, domain: 'own' })).toEqual([400, 'DOMAIN_NEEDS_VECTORS'])
        expect(await refused({ texts: ['x'.repeat(100_001)] })).toEqual([400, 'INVALID_REQUEST'])
      })
    })

    describe('the log', () => {
      /** What was asked until now is written, and gone. */
      const clear = async () => {
        await until(async () =>
          (await metric('millrace_query_log{what="waiting"}')) === 0 ? true : undefined,
        )
        return world.call('DELETE', '/v1/domains/faq/queries')
      }
      const logged = (count: number) =>
        until(async () => {
          const { body } = await world.call('GET', '/v1/domains/faq/queries')
          const queries = body.queries as { query: string | null; hash: string }[]
          return queries.length >= count ? queries : undefined
        })

      test('has queries with what came of them, and sums them up', async () => {
        await clear()
        for (const query of ['lost parcel', 'Lost  parcel', 'lost parcel ', 'zebra crossing']) {
          await search(query, { filter: { team: 'shipping' } })
        }
        await world.call('POST', '/v1/domains/faq/search', { vector: Array(384).fill(1), threshold: 0.9 })
        const queries = await logged(5)
        expect(queries.map(({ query }) => query)).toEqual([
          null,
          'zebra crossing',
          'lost parcel',
          'Lost parcel',
          'lost parcel',
        ])
        expect(queries[4]).toMatchObject({
          k: 10,
          mode: 'dense',
          threshold: expect.closeTo(0.3),
          filterFields: ['team'],
          hits: 1,
          rankedBy: 'dense',
          topScore: expect.closeTo((await search('lost parcel')).hits[0]?.similarity ?? 0, 5),
        })
        expect(queries[1]).toMatchObject({ hits: 0, topScore: null, topLevel: null })
        const { body } = await world.call('GET', '/v1/domains/faq/queries/stats?days=1')
        expect(body).toMatchObject({ days: 1, log: 'text', withoutHits: 2, distinct: 4 })
        expect((body.usual as object[])[0]).toMatchObject({ query: 'lost parcel', withoutHits: 0 })
        expect((body.withoutAnswer as { query: string }[]).map(({ query }) => query).sort()).toEqual([
          null,
          'zebra crossing',
        ])
        const bins = (body.topScores as { dense: { from: number; to: number; count: number }[] }).dense
        expect(bins.reduce((sum, bin) => sum + bin.count, 0)).toBe((body.count as number) - 2)
        expect(await loggedTexts(db, domain.id, 2)).toHaveLength(2)
      })

      test('is listed page by page, and forgets one query or all', async () => {
        await clear()
        for (const query of ['one', 'two', 'one']) await search(query)
        const [first] = await logged(3)
        const page = await world.call('GET', '/v1/domains/faq/queries?limit=2')
        expect(page.body.queries).toHaveLength(2)
        const rest = await world.call('GET', `/v1/domains/faq/queries?limit=2&cursor=${page.body.cursor}`)
        expect(rest.body).toMatchObject({ queries: [{ query: 'one' }], cursor: null })
        const one = await world.call('DELETE', `/v1/domains/faq/queries?hash=${first?.hash}`)
        expect(one.body).toEqual({ deleted: 2 })
        expect((await clear()).body).toEqual({ deleted: 1 })
        expect((await world.call('DELETE', '/v1/domains/faq/queries?hash=x')).status).toBe(400)
        expect((await world.call('GET', '/v1/domains/faq/queries?cursor=x')).body.error?.code).toBe(
          'INVALID_CURSOR',
        )
      })

      test('forgets what is older than its days', async () => {
        await clear()
        await search('old')
        await search('new')
        await logged(2)
        await db.query(`update millrace.queries set at = now() - interval '31 days' where query = 'old'`)
        expect(await forgetQueries(db, 40)).toBe(0)
        // The sweep, every second here, may be faster.
        await forgetQueries(db, 30)
        expect((await logged(1)).map(({ query }) => query)).toEqual(['new'])
      })

      const asked = (text: string, domainId = domain.id) => ({
        domainId,
        asked: text,
        k: 10,
        threshold: null,
        mode: 'dense',
        filterFields: [],
        hits: 0,
        rankedBy: 'dense',
        topScore: null,
        topLevel: null,
        embedMs: 1,
        searchMs: 1,
        totalMs: 2,
      })

      test('keeps hashes without texts when that is wanted, and nothing when it is off', async () => {
        await clear()
        const hashes = openQueryLog({ db, log: silent }, { mode: 'hash' })
        hashes.note(asked('secret'))
        hashes.note(asked('of a domain that is gone', -1))
        await hashes.close()
        const off = openQueryLog({ db, log: silent }, { mode: 'off' })
        off.note(asked('unseen'))
        await off.close()
        const rows = await db.query<{ query: string | null; bytes: number }>(
          'select query, octet_length(query_hash) as bytes from millrace.queries',
        )
        expect(rows).toEqual([{ query: null, bytes: 32 }])
        const texts = openQueryLog({ db, log: silent }, { mode: 'text' })
        texts.note(asked('secret'))
        texts.note(asked('a\0b\ud800'))
        await texts.close()
        const [same] = await db.query<{ hashes: number }>(
          `select count(distinct query_hash)::int as hashes from millrace.queries`,
        )
        expect(same?.hashes).toBe(2)
      })

      test('a database that takes nothing fails no search: queries wait, then are dropped and counted', async () => {
        await clear()
        let isDown = true
        const flaky: Db = {
          ...db,
          query: (text, values) => (isDown ? Promise.reject(new Error('down')) : db.query(text, values)),
        }
        const warnings: object[] = []
        const log = { warn: (fields: object) => void warnings.push(fields) }
        const queryLog = openQueryLog({ db: flaky, log }, { mode: 'text', waitingMax: 3, everyMs: 5 })
        for (const text of ['a', 'b', 'c', 'd', 'e']) queryLog.note(asked(text))
        expect(queryLog.stats()).toEqual({ written: 0, dropped: 2, waiting: 3 })
        await until(async () => (warnings.length > 1 ? true : undefined))
        isDown = false
        await until(async () => (queryLog.stats().written === 3 ? true : undefined))
        isDown = true
        queryLog.note(asked('f'))
        await queryLog.close()
        queryLog.note(asked('g'))
        expect(queryLog.stats()).toEqual({ written: 3, dropped: 4, waiting: 0 })
        expect((await logged(3)).map(({ query }) => query)).toEqual(['c', 'b', 'a'])
      })
    })
  })
}
