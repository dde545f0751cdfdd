import { submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databases } from './support/backends.js'
import { openWorld, type World } from './support/world.js'

interface Hit {
  documentId: string
  similarity: number | null
  score: number
  rankedBy: string
  scores: Record<string, number>
  levelKey: string | null
}
interface Found {
  hits: Hit[]
  mode: string
  rankedBy: string
  threshold: number | null
  staleThreshold: unknown
  query: { tokens: number; windows: number } | null
  warnings: { code: string }[]
  error?: { code: string }
}

const DOCUMENTS = [
  { id: 'refund', text: '退款会在七个工作日内到账。', metadata: { lang: 'zh' } },
  { id: 'password', text: '忘记密码时，请点击登录页上的重置链接。', metadata: { lang: 'zh' } },
  { id: 'code', text: '出现代码 ERR-4711 时请重启设备。', metadata: { lang: 'zh', device: true } },
  { id: 'parcel', text: '包裹通常三天送达。', metadata: { lang: 'zh' } },
]

const LEVELS = [
  { key: 'yes', above: 0.5, name: { zh: '是', en: 'yes' } },
  { key: 'no', above: null, name: { zh: '否', en: 'no' } },
]

for (const backend of databases()) {
  describe(`retrieval, ${backend.name}`, () => {
    let world: World
    beforeAll(async () => {
      world = await openWorld(backend)
      await world.call('POST', '/v1/domains', { name: 'help', model: 'bge-small-zh-v1.5' })
      const sent = await world.client.post(
        '/v1/domains/help/documents',
        { documents: DOCUMENTS },
        submissionSchema,
      )
      await world.finished(sent.ingestion)
    })
    afterAll(() => world?.close())

    const search = async (body: object, domain = 'help') =>
      (await world.call('POST', `/v1/domains/${domain}/search`, body)).body as unknown as Found
    const change = (body: object) => world.call('PATCH', '/v1/domains/help', body)
    const ids = ({ hits }: Found) => hits.map(({ documentId }) => documentId)

    test('each mode gives the scores that it computes, and says which one ranked', async () => {
      const [dense, sparse, hybrid] = await Promise.all(
        ['dense', 'sparse', 'hybrid'].map((mode) => search({ query: 'ERR-4711', mode })),
      )
      expect(dense?.hits).toHaveLength(4)
      expect(Object.keys(dense?.hits[0]?.scores ?? {})).toEqual(['dense'])
      expect(dense?.hits[0]?.score).toBe(dense?.hits[0]?.similarity)
      expect(sparse && ids(sparse)).toEqual(['code'])
      expect(sparse?.hits[0]).toMatchObject({ rankedBy: 'sparse', similarity: null, levelKey: null })
      expect(hybrid && ids(hybrid)[0]).toBe('code')
      expect(hybrid?.hits).toHaveLength(4)
      const [first] = hybrid?.hits ?? []
      expect(first?.rankedBy).toBe('hybrid')
      // The preset for bm25: 0.4 of meaning and 0.6 of words.
      expect(first?.score).toBeCloseTo(
        0.4 * (first?.scores.dense ?? 0) + 0.6 * (first?.scores.sparse ?? 0),
        5,
      )
      expect(first?.levelKey).not.toBeNull()
    })

    test('rrf counts places alone: 1 for who is first in both', async () => {
      const found = await search({ query: 'ERR-4711', mode: 'hybrid', fusion: 'rrf' })
      expect(found.hits[0]).toMatchObject({ documentId: 'code', score: 1 })
    })

    test('a threshold belongs to a kind of score: of the request, else of the domain', async () => {
      const all = await search({ query: '退款什么时候到' })
      const [first, second] = all.hits.map(({ score }) => score)
      const between = ((first ?? 0) + (second ?? 0)) / 2
      expect(ids(await search({ query: '退款什么时候到', threshold: between }))).toEqual(['refund'])
      await change({ threshold: between, scores: { sparse: { threshold: 0.99 } } })
      expect(ids(await search({ query: '退款什么时候到' }))).toEqual(['refund'])
      expect(ids(await search({ query: '退款什么时候到', threshold: null }))).toHaveLength(4)
      expect(ids(await search({ query: 'ERR-4711', mode: 'sparse' }))).toEqual([])
      expect(ids(await search({ query: 'ERR-4711', mode: 'sparse', threshold: 0.1 }))).toEqual(['code'])
      // What is set for dense does not cut what is ranked by both, unless it is said.
      expect(ids(await search({ query: 'ERR-4711', mode: 'hybrid' }))).toHaveLength(4)
      expect(
        ids(await search({ query: '退款什么时候到', mode: 'hybrid', thresholds: { dense: between } })),
      ).toEqual(['refund'])
      await change({ threshold: null, scores: { sparse: { threshold: null } } })
    })

    test('levels of another kind of score are its own', async () => {
      await change({ scores: { sparse: { levels: LEVELS } } })
      const found = await search({ query: 'ERR-4711', mode: 'sparse' })
      expect(found.hits[0]?.levelKey).toBe('yes')
      await change({ scores: { sparse: { levels: null } } })
    })

    test('a threshold that was set for another recipe is told, not applied', async () => {
      await change({ threshold: 0.99 })
      const { db } = world.running.backends
      const set = (recipe: string) => `update millrace.bands b set recipe = ${recipe}, chosen = true
        from millrace.domains d where d.id = b.domain_id and d.name = 'help' and b.score = 'dense'`
      const [{ hash } = { hash: '' }] = await db.query<{ hash: string }>(
        `select g.recipe_hash as hash from millrace.generations g
         join millrace.domains d on d.id = g.domain_id where d.name = 'help'`,
      )
      await db.query(set(`'of an older model'`))
      const found = await search({ query: '退款' })
      expect(found).toMatchObject({
        threshold: null,
        staleThreshold: { score: 'dense', threshold: 0.99, recipe: 'of an older model' },
      })
      expect(found.hits).toHaveLength(4)
      const { body } = await world.call('GET', '/v1/domains/help')
      expect(body.staleThresholds).toHaveLength(1)
      const inSql = await db.query(
        `select document_id from millrace.search('help', (select embedding from millrace_domains.help limit 1), 10)`,
      )
      expect(inSql).toHaveLength(4)
      await db.query(set(`'${hash}'`))
      expect((await search({ query: '退款' })).hits).toEqual([])
      await change({ threshold: null })
    })

    test('several queries are answered in order, a wrong one alone', async () => {
      const { body } = await world.call('POST', '/v1/domains/help/search', {
        k: 1,
        queries: ['退款', ' ', { query: 'ERR-4711', k: 2, filter: { device: true } }, { vector: [1] }],
      })
      const [refund, blank, code, short] = body.results as Found[]
      expect(refund && ids(refund)).toEqual(['refund'])
      expect(blank?.error?.code).toBe('MISSING_QUERY')
      expect(code && ids(code)).toEqual(['code'])
      expect(short?.error?.code).toBe('VECTOR_DIMS')
    })

    test('what a domain is set to do, its searches do', async () => {
      await change({ search: { mode: 'hybrid', fusion: 'rrf' }, index: { efSearch: 40 } })
      expect(await search({ query: 'ERR-4711' })).toMatchObject({ mode: 'hybrid', rankedBy: 'hybrid' })
      const { body } = await world.call('GET', '/v1/domains/help')
      expect(body).toMatchObject({
        search: { mode: 'hybrid', fusion: 'rrf', rerank: null },
        index: { m: 16, efConstruction: 64, efSearch: 40, candidates: null },
        outputs: ['dense', 'sparse'],
        lexical: 'bm25',
        storage: 'full',
      })
      const set = async (candidates: number | null) => {
        await change({ index: { candidates } })
        return (await world.call('GET', '/v1/domains/help')).body
      }
      expect(await set(500)).toMatchObject({ index: { efSearch: 40, candidates: 500 } })
      expect(await set(null)).toMatchObject({ index: { candidates: null } })
      expect((await change({ index: { candidates: 0 } })).status).toBe(400)
      await change({ search: { mode: 'dense' } })
    })

    test('what is stored cannot be changed in place', async () => {
      const half = await change({ storage: 'half' })
      expect([half.status, half.body.error?.code]).toEqual([409, 'NEEDS_GENERATION'])
      const none = await change({ outputs: ['dense'] })
      expect([none.status, none.body.error?.code]).toEqual([409, 'NEEDS_GENERATION'])
      expect((await change({ outputs: ['dense', 'sparse'], storage: 'full' })).status).toBe(200)
    })

    test('a domain without terms searches by meaning alone, and says so', async () => {
      await world.call('POST', '/v1/domains', { name: 'bare', outputs: ['dense'] })
      expect(await search({ query: 'x', mode: 'hybrid' }, 'bare')).toMatchObject({
        error: { code: 'MODE_NEEDS_TERMS' },
      })
      const empty = await search({ query: 'x' }, 'bare')
      expect(empty).toMatchObject({ hits: [], warnings: [{ code: 'NOTHING_INGESTED' }] })
    })

    test('a domain that was made anew with another model is searched with that one at once', async () => {
      const found = async (model: string) => {
        await world.call('POST', '/v1/domains', { name: 'anew', model })
        const documents = [{ id: 'd', text: 'Parcels arrive within three days.' }]
        const sent = await world.client.post('/v1/domains/anew/documents', { documents }, submissionSchema)
        await world.finished(sent.ingestion)
        return [
          await search({ query: 'When do parcels arrive?', threshold: null }, 'anew'),
          await search({ query: 'When do parcels arrive?', threshold: null }, 'anew'),
        ]
      }
      const english = await found('all-minilm-l6-v2')
      expect((await world.call('DELETE', '/v1/domains/anew')).status).toBeLessThan(300)
      expect(await search({ query: 'When?' }, 'anew')).toMatchObject({ error: { code: 'UNKNOWN_DOMAIN' } })
      const chinese = await found('bge-small-zh-v1.5')
      for (const one of [...english, ...chinese]) expect(ids(one)).toEqual(['d'])
      expect(english[0]?.hits[0]?.score).toBe(english[1]?.hits[0]?.score)
      expect(chinese[0]?.hits[0]?.score).not.toBe(english[0]?.hits[0]?.score)
    })

    test('a field that no document has is told', async () => {
      const found = await search({ query: '退款', filter: { language: 'zh' } })
      expect(found).toMatchObject({ hits: [], warnings: [{ code: 'UNKNOWN_FIELD' }] })
    })

    test('a query of ten thousand tokens is pooled over windows, and says so', async () => {
      const found = await search({ query: '退款什么时候到账？'.repeat(1_200), k: 1 })
      expect(found.query?.tokens).toBeGreaterThan(10_000)
      expect(found.query?.windows).toBeGreaterThan(1)
      expect(ids(found)).toEqual(['refund'])
    })
  })
}
