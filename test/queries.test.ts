import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { openEngine } from '@millrace/embed'
import {
  type Domain,
  explain,
  explainSearch,
  findDomain,
  openQueryCache,
  openQueryLog,
  search as runSearch,
} from '@millrace/flow'
import { type Db, loggedTexts } from '@millrace/store'
import { searchSchema, submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databases } from './support/backends.js'
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
for (const backend of databases().slice(0, 2)) {
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
          top: [{ documentId: 'parcel', chunk: 0, score: expect.any(Number) }],
          tookMs: { rerank: null },
        })
        expect(queries[1]).toMatchObject({ hits: 0, topScore: null, topLevel: null })
        const { body } = await world.call('GET', '/v1/domains/faq/queries/stats?days=1')
        expect(body).toMatchObject({ days: 1, log: 'text', withoutHits: 2, distinct: 4 })
        expect((body.usual as object[])[0]).toMatchObject({
          query: 'lost parcel',
          withoutHits: 0,
          rankedBy: 'dense',
        })
        expect(body.latency).toMatchObject({ search: { p50: expect.any(Number) }, rerank: null })
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

      test('forgets what was asked before, also what is not written yet, here or by another process', async () => {
        await clear()
        const elsewhere = openQueryLog({ db, log: silent }, { mode: 'text', everyMs: 60_000 })
        elsewhere.note(asked('elsewhere'))
        await sleep(5)
        await search('a name')
        expect((await world.call('DELETE', '/v1/domains/faq/queries')).body).toEqual({ deleted: 1 })
        elsewhere.note({ ...asked('begun before, done after'), totalMs: 1_000 })
        await sleep(5)
        elsewhere.note(asked('after'))
        await elsewhere.close()
        expect((await logged(1)).map(({ query }) => query)).toEqual(['after'])
      })

      test('forgets one query alone, also what is not written yet', async () => {
        await clear()
        const elsewhere = openQueryLog({ db, log: silent }, { mode: 'text', everyMs: 60_000 })
        await search('one')
        const [one] = await logged(1)
        for (const text of ['one', 'two']) elsewhere.note(asked(text))
        await sleep(5)
        const done = await world.call('DELETE', `/v1/domains/faq/queries?hash=${one?.hash}`)
        expect(done.body).toEqual({ deleted: 1 })
        await elsewhere.close()
        expect((await logged(1)).map(({ query }) => query)).toEqual(['two'])
      })

      test('shows a usual query by its beginning', async () => {
        await clear()
        await search('parcel '.repeat(100))
        await logged(1)
        const { body } = await world.call('GET', '/v1/domains/faq/queries/stats')
        expect((body.usual as { query: string }[])[0]?.query).toHaveLength(200)
      })

      test('forgets what is older than its days', async () => {
        await clear()
        await search('old')
        await search('new')
        await logged(2)
        await db.query(`update millrace.queries set at = now() - interval '31 days' where query = 'old'`)
        // By the sweep, every second here.
        await until(async () => ((await logged(1)).length === 1 ? true : undefined))
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
        top: Array.from({ length: 12 }, (_, i) => ({ documentId: `d${i}`, chunk: 0, score: 0.5 })),
        embedMs: 1,
        searchMs: 1,
        rerankMs: null,
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
          'select query, octet_length(query_hash) as bytes, top from millrace.queries',
        )
        // Which documents were found would tell what was asked.
        expect(rows).toEqual([{ query: null, bytes: 32, top: Array(10).fill({ score: 0.5 }) }])
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
          transact: (work) => (isDown ? Promise.reject(new Error('down')) : db.transact(work)),
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

    describe('explain', () => {
      interface Why {
        readonly verdict: string
        readonly sentence: { readonly en: string; readonly zh: string }
        readonly details: Readonly<Record<string, unknown>>
        readonly chunks: readonly { readonly chunk: number; readonly scores: { readonly dense: number } }[]
      }
      const why = async (documentId: string, more: object = {}) => {
        const asked = { documentId, query: 'lost parcel', mode: 'dense', ...more }
        const { status, body } = await world.call('POST', '/v1/domains/faq/explain', asked)
        expect([status, body.error]).toEqual([200, undefined])
        return body as unknown as Why
      }

      test('a hit has its rank and scores, and explaining is not logged', async () => {
        const { hits } = await search('lost parcel', { mode: 'dense' })
        const before = await metric('millrace_query_log{what="written"}')
        expect(await why('parcel')).toMatchObject({
          verdict: 'HIT',
          sentence: { en: '"parcel" is hit 1.', zh: '“parcel”是第 1 个结果。' },
          details: { rank: 1, rankedBy: 'dense', k: 10 },
          chunks: [{ chunk: 0, scores: { dense: expect.closeTo(hits[0]?.similarity ?? 0, 5) } }],
        })
        expect(await metric('millrace_query_log{what="written"}')).toBeLessThanOrEqual(before + 1)
      })

      test('an id that is not there is told those that look like it', async () => {
        expect(await why('Parcel')).toMatchObject({
          verdict: 'UNKNOWN_DOCUMENT',
          details: { nearest: ['parcel'] },
        })
        expect((await why('docs/refund.md')).details).toEqual({ nearest: ['refund'] })
        expect(await why('a\0')).toMatchObject({ verdict: 'UNKNOWN_DOCUMENT', details: { nearest: [] } })
      })

      test('what is not ready says how it stands', async () => {
        await db.query(
          `insert into millrace.documents
             (domain_id, external_id, text, content_hash, ingestion_id, state, leased_until, error_code, error_message)
           select $1, s.state, 'text', 'x', (select max(id) from millrace.ingestions where domain_id = $1), s.state,
             'infinity', case s.state when 'failed' then 'BROKEN' end, case s.state when 'failed' then 'it broke' end
           from unnest(array['received', 'failed', 'cancelled']) s (state)`,
          [domain.id],
        )
        expect(await why('received')).toMatchObject({
          verdict: 'NOT_INGESTED',
          details: { state: 'received', waiting: { code: expect.any(String) } },
        })
        expect(await why('failed')).toMatchObject({
          verdict: 'FAILED',
          details: { error: { code: 'BROKEN', message: 'it broke' } },
        })
        expect(await why('cancelled')).toMatchObject({ verdict: 'CANCELLED' })
        await db.query(`delete from millrace.documents where content_hash = 'x'`)
      })

      test('a document without chunks is empty; one that is submitted again is told to be outdated', async () => {
        const body = { documents: [{ id: 'matter', text: '---\ntitle: nothing\n---\n' }] }
        const { ingestion } = await world.client.post('/v1/domains/faq/documents', body, submissionSchema)
        await world.finished(ingestion)
        expect(await why('matter')).toMatchObject({ verdict: 'EMPTY' })
        await db.query(
          `update millrace.documents set revision = revision + 1, state = 'received', leased_until = 'infinity' where external_id = 'hours'`,
        )
        expect(await why('hours', { k: 1, threshold: null })).toMatchObject({
          verdict: 'BEATEN',
          details: { outdated: { shown: 1, submitted: 2 } },
        })
        await db.query(
          `update millrace.documents set revision = revision - 1, state = 'ready', leased_until = null where external_id = 'hours'`,
        )
      })

      test('a filter is judged condition by condition', async () => {
        const filter = { team: 'billing', year: { gte: 2025, lt: 2030 }, and: [{ 'document.id': 'refund' }] }
        expect(await why('parcel', { filter })).toMatchObject({
          verdict: 'FILTERED_OUT',
          details: {
            failed: [
              { filter: { team: 'billing' }, value: 'shipping' },
              { filter: { 'document.id': 'refund' }, value: 'parcel' },
            ],
          },
        })
        const nothing = await why('parcel', { filter: { or: [{ x: 1 }, { team: 'billing' }] } })
        expect(nothing.details.failed).toEqual([{ filter: { or: [{ x: 1 }, { team: 'billing' }] } }])
        const wrong = { documentId: 'parcel', query: 'x', filter: { a: { nope: 1 } } }
        const { body } = await world.call('POST', '/v1/domains/faq/explain', wrong)
        expect(body.error?.code).toBe('INVALID_FILTER')
      })

      test('below the threshold, and beaten', async () => {
        expect(await why('parcel', { threshold: 0.99 })).toMatchObject({
          verdict: 'BELOW_THRESHOLD',
          details: { below: { kind: 'dense', threshold: 0.99, score: expect.any(Number) } },
        })
        const { hits } = await search('lost parcel', { threshold: null, mode: 'dense' })
        const order = hits.map(({ documentId }) => documentId)
        const beaten = await why(order[2] ?? '', { k: 1, threshold: null })
        expect(beaten).toMatchObject({
          verdict: 'BEATEN',
          details: {
            rank: 3,
            last: { documentId: 'parcel' },
            exact: { dense: { place: 3, chunks: 3, before: { documentId: order[1] } } },
          },
        })
        expect(beaten.sentence.en).toContain('is number 3, and k is 1; the last hit, "parcel"')
      })

      test('a kind of score that the search does not compute reaches no threshold, and is not shown', async () => {
        const dense = await why('parcel', { thresholds: { sparse: 0.1 }, threshold: null })
        expect(dense).toMatchObject({
          verdict: 'BELOW_THRESHOLD',
          details: { below: { kind: 'sparse', threshold: 0.1, score: null } },
        })
        expect(dense.sentence.en).toContain('this search computes no sparse score')
        const sparse = await why('parcel', { mode: 'sparse', thresholds: { dense: 0.1 }, threshold: null })
        expect(sparse).toMatchObject({ details: { below: { kind: 'dense', score: null } } })
        const shown = await why('refund', { mode: 'sparse', query: 'your card', threshold: null })
        expect(shown.verdict).toBe('HIT')
        expect(shown.chunks.map(({ scores }) => Object.keys(scores))).toEqual([['sparse']])
      })

      test('what falls behind k in a fusion and under its threshold is below it', async () => {
        const hybrid = { mode: 'hybrid', query: 'lost parcel and your card', k: 1 }
        expect(await why('refund', { ...hybrid, threshold: 0.9 })).toMatchObject({
          verdict: 'BELOW_THRESHOLD',
          details: { below: { kind: 'hybrid', threshold: 0.9, score: expect.any(Number) }, last: null },
        })
      })

      test('what the index does not find is told from what is beaten, also where there is no time to compare', async () => {
        const engine = openEngine({ modelDirs: [fileURLToPath(new URL('../models', import.meta.url))] })
        const cache = openQueryCache({ entries: 0 })
        const forgetful = (wanted: (options: string) => boolean): Db => ({
          ...db,
          query: async <Row extends object>(text: string, values: readonly unknown[] = []) => {
            const rows = await db.query<Row & { documentId?: string }>(text, values)
            const isForgotten = text.includes('find_hits') && wanted(String(values.at(-1)))
            return isForgotten ? rows.filter(({ documentId }) => documentId !== 'parcel') : rows
          },
        })
        const { body } = await embed({ domain: 'faq', texts: ['lost parcel'] })
        const request = { vector: body.texts[0]?.dense ?? [], k: 2, threshold: null }
        const always = forgetful(() => true)
        const missed = await explain({ db: always, engine, cache }, domain, request, 'parcel')
        expect([missed.verdict, missed.details.rank]).toEqual(['MISSED_BY_INDEX', 1])
        const late: Db = {
          ...always,
          transact: () => Promise.reject(Object.assign(new Error('late'), { code: '57014' })),
        }
        const hasty = await explain({ db: late, engine, cache }, domain, request, 'parcel')
        expect([hasty.verdict, hasty.details.exact?.dense?.place]).toEqual(['MISSED_BY_INDEX', null])
        const last =
          (await search('lost parcel', { threshold: null, mode: 'dense' })).hits[2]?.documentId ?? ''
        const beaten = await explain(
          { db: { ...db, transact: late.transact }, engine, cache },
          domain,
          request,
          last,
        )
        expect([beaten.verdict, beaten.details.rank]).toEqual(['BEATEN', null])

        const byIndex = forgetful((options) => !options.includes('"exact":true'))
        const result = await runSearch({ db: byIndex, engine, cache }, domain, request)
        const compared = await explainSearch({ db, engine, cache }, domain, request, result)
        expect(compared).toMatchObject({
          isCompared: true,
          exactRanks: [2],
          missed: [{ documentId: 'parcel', rank: 1 }],
        })
        const unknown = await explainSearch(
          { db: { ...db, transact: late.transact }, engine, cache },
          domain,
          request,
          result,
        )
        expect(unknown).toEqual({ isCompared: false, exactRanks: [null], missed: [] })
        await engine.close()
      })

      test('by words: no common ones, beaten, and by both cut before the fusion', async () => {
        const sparse = { mode: 'sparse', threshold: null, k: 1 }
        expect(await why('hours', sparse)).toMatchObject({ verdict: 'NO_COMMON_TERMS' })
        expect(await why('refund', { ...sparse, query: 'parcel replacement and your card' })).toMatchObject({
          verdict: 'BEATEN',
          details: { rank: 2, rankedBy: 'sparse', exact: { sparse: { place: 2, chunks: 3 } } },
        })
        const hybrid = { mode: 'hybrid', threshold: null, k: 1 }
        expect(await why('parcel', hybrid)).toMatchObject({ verdict: 'HIT', details: { rankedBy: 'hybrid' } })
        expect(await why('refund', hybrid)).toMatchObject({ verdict: 'BEATEN', details: { rank: 2 } })
        // Many with the same text, so that nothing has to be embedded.
        await db.query(
          `with made as (
             insert into millrace.documents (domain_id, external_id, text, content_hash, ingestion_id, state, chunks)
             select domain_id, 'copy-' || i, text, 'copy', ingestion_id, 'ready', 1
             from millrace.documents, generate_series(1, 120) i where domain_id = $1 and external_id = 'parcel'
             returning id
           ), chunk as (
             insert into millrace.chunks (document_id, generation_id, revision, ordinal, start_at, end_at, tokens, text_hash, text)
             select m.id, c.generation_id, 1, 0, c.start_at, c.end_at, c.tokens, c.text_hash, c.text
             from made m, millrace.chunks c join millrace.documents d on d.id = c.document_id
             where d.domain_id = $1 and d.external_id = 'parcel'
           )
           insert into millrace.published (generation_id, document_id, revision, metadata)
           select $2, id, 1, '{}' from made`,
          [domain.id, domain.generationId],
        )
        const cut = await why('hours', hybrid)
        expect(cut).toMatchObject({
          verdict: 'CUT_IN_FUSION',
          details: { candidates: 100, exact: { dense: { place: expect.any(Number), chunks: 123 } } },
        })
        expect(cut.sentence.en).toMatch(
          /not among the best 100 by meaning \(place 12\d\) or by words \(place none\)/,
        )
        await db.query(`delete from millrace.documents where content_hash = 'copy'`)
      })

      test.each(['full', 'half', 'sq8', 'sq4', 'binary'])(
        'compares what is stored as %s',
        async (storage) => {
          const name = `stored-${storage}`
          const dims = 16
          /** Between two directions: the smaller the angle, the nearer to the first. */
          const at = (degrees: number) =>
            Array.from({ length: dims }, (_, i) =>
              i % 2 === 0 ? Math.cos((degrees * Math.PI) / 180) : Math.sin((degrees * Math.PI) / 180),
            )
          await world.call('POST', '/v1/domains', { name, model: 'external', dims, storage })
          const documents = [0, 20, 40].map((degrees) => ({
            id: String(degrees),
            chunks: [
              { text: `at ${degrees}`, vector: at(degrees) },
              { text: 'away', vector: at(degrees + 45) },
            ],
          }))
          const { ingestion } = await world.client.post(
            `/v1/domains/${name}/documents`,
            { documents },
            submissionSchema,
          )
          await world.finished(ingestion)
          const { status, body } = await world.call('POST', `/v1/domains/${name}/explain`, {
            vector: at(0),
            documentId: '40',
            k: 2,
          })
          expect([status, body.verdict]).toEqual([200, 'BEATEN'])
          expect(body.details).toMatchObject({
            rank: 3,
            exact: { dense: { place: 3, chunks: 6, before: { documentId: '20', chunk: 0 } } },
          })
          expect(body.chunks).toMatchObject([
            { chunk: 0, scores: { dense: expect.closeTo(Math.cos((40 * Math.PI) / 180), 1) } },
            { chunk: 1 },
          ])
        },
      )

      test('where chunks lie in parents, parents are counted', async () => {
        const chunking = { kind: 'parent', size: 32, parentSize: 64 }
        await world.call('POST', '/v1/domains', { name: 'parents', chunking })
        const lines = (word: string) =>
          Array.from(
            { length: 6 },
            (_, i) => `The ${word} of house number ${i} was painted by ${i} painters.`,
          )
        const documents = ['door', 'window', 'roof'].map((word) => ({
          id: word,
          text: lines(word).join(' '),
        }))
        const { ingestion } = await world.client.post(
          '/v1/domains/parents/documents',
          { documents },
          submissionSchema,
        )
        await world.finished(ingestion)
        const sought = { query: 'a painted door', k: 100, mode: 'dense' }
        const found = await world.client.post('/v1/domains/parents/search', sought, searchSchema)
        expect(found.hits.length).toBeGreaterThan(3)
        const last = found.hits.findIndex(({ documentId }) => documentId !== found.hits[0]?.documentId)
        const documentId = found.hits[last]?.documentId
        const { body } = await world.call('POST', '/v1/domains/parents/explain', {
          ...sought,
          k: 1,
          documentId,
        })
        expect(body).toMatchObject({ verdict: 'BEATEN', details: { rank: last + 1 } })
      })

      test('a search says what it missed when it is asked to explain', async () => {
        const ask = (more: object) =>
          world.call('POST', '/v1/domains/faq/search', {
            threshold: null,
            mode: 'dense',
            explain: true,
            ...more,
          })
        expect((await ask({ query: 'lost parcel' })).body.explain).toEqual({
          isCompared: true,
          exactRanks: [1, 2, 3],
          missed: [],
        })
        expect((await ask({ queries: ['a', 'b'] })).status).toBe(400)
      })
    })

    test('the examples of docs/queries.md are what happens', async () => {
      const docs = await readFile(new URL('../docs/queries.md', import.meta.url), 'utf8')
      const calls = docs.matchAll(
        /curl '?http:\/\/127\.0\.0\.1:8080(\/[^\s']+)'?(?: -H 'content-type: application\/json' -d '\n([^']+)')?(?:\n```\n\n```json\n([\s\S]+?)\n```)?/g,
      )
      const checked: string[] = []
      let literals: readonly string[] = []
      for (const [, path = '', body, shown] of calls) {
        const ask = () => world.call(body === undefined ? 'GET' : 'POST', path, body)
        if (path.includes('stats'))
          await until(async () => ((await ask()).body.count === 1 ? true : undefined))
        const answer = await ask()
        expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300)
        if (shown !== undefined) expect(answer.body).toMatchObject(JSON.parse(shown))
        if (typeof answer.body.ingestion === 'string') await world.finished(answer.body.ingestion)
        if (path === '/v1/embed') {
          const [first] = answer.body.texts as readonly { readonly sql: { vector: string; terms: string } }[]
          literals = [first?.sql.vector ?? '', first?.sql.terms ?? '']
        }
        checked.push(path)
      }
      expect(checked).toHaveLength(7)
      if (backend.isServer) {
        const [, shell = ''] = /```sh\n(psql [\s\S]+?)\n```/.exec(docs) ?? []
        expect(await inShell(shell, world.place.env.DATABASE_URL ?? '')).toMatch(/parcels\/lost/)
      }
      const statements = [...docs.matchAll(/```sql\n([\s\S]+?)\n```/g)].map(([, sql = '']) => sql)
      expect(statements).toHaveLength(2)
      for (const sql of statements) {
        const rows = await db.query<{ document_id: string }>(
          sql,
          literals.slice(0, sql.includes('$2') ? 2 : 1),
        )
        expect(rows[0]?.document_id).toBe('parcels/lost')
      }
    })

    test('several domains are searched with one query, merged by score, each with its own threshold', async () => {
      await world.call('POST', '/v1/domains', { name: 'more', threshold: null })
      const body = { documents: [{ id: 'twin', text: 'A parcel that got lost is replaced.' }] }
      const { ingestion } = await world.client.post('/v1/domains/more/documents', body, submissionSchema)
      await world.finished(ingestion)
      const misses = await metric('millrace_query_cache{what="misses"}')
      const ask = (more: object) => world.call('POST', '/v1/search', { query: 'my parcel is gone', ...more })
      const { body: found } = await ask({ domains: ['faq', 'more'], k: 2 })
      expect((await metric('millrace_query_cache{what="misses"}')) - misses).toBe(1)
      const hits = found.hits as { domain: string; documentId: string; score: number }[]
      expect(hits.map(({ domain: name, documentId }) => [name, documentId]).sort()).toEqual([
        ['faq', 'parcel'],
        ['more', 'twin'],
      ])
      expect(hits[0]?.score).toBeGreaterThanOrEqual(hits[1]?.score ?? 1)
      expect(found.domains).toMatchObject([
        { name: 'faq', threshold: expect.closeTo(0.3) },
        { name: 'more', threshold: null },
      ])
      await db.query(
        `update millrace.generations g set recipe = jsonb_set(recipe, '{revision}', '"other"')
         from millrace.domains d where d.id = g.domain_id and d.name = 'more'`,
      )
      const refused = async (domains: readonly string[]) => {
        const { status, body: answer } = await ask({ domains })
        return [status, answer.error?.code]
      }
      expect(await refused(['faq', 'more'])).toEqual([400, 'MODELS_DIFFER'])
      expect(await refused(['faq', 'none'])).toEqual([404, 'UNKNOWN_DOMAIN'])
      expect(await refused(['faq', 'faq'])).toEqual([400, 'INVALID_REQUEST'])
      expect(await refused([])).toEqual([400, 'INVALID_REQUEST'])
    })
  })
}

/** What a command of the docs prints; where there is no psql, nothing of it can be run but its statement. */
function inShell(command: string, databaseUrl: string): Promise<string> {
  const program = fileURLToPath(new URL('../apps/cli/bin/millrace.js', import.meta.url))
  const line = command.replace('npx millrace', `'${process.execPath}' '${program}'`)
  const env = { ...process.env, DATABASE_URL: databaseUrl }
  return new Promise((resolve, reject) => {
    execFile('sh', ['-c', `command -v psql >/dev/null || exit 99\n${line}`], { env }, (error, out) => {
      if (error === null) resolve(out)
      else if (error.code === 99) resolve('parcels/lost: there is no psql here')
      else reject(error)
    })
  })
}
