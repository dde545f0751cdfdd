import { readFile } from 'node:fs/promises'
import { submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databases } from './support/backends.js'
import { openWorld, type World } from './support/world.js'

interface Found {
  readonly hits: readonly { readonly documentId: string; readonly score: number; readonly scores: object }[]
  readonly threshold: number | null
  readonly staleThreshold: { readonly recipe: string } | null
  readonly warnings: readonly { readonly code: string }[]
}

const MODEL = 'bge-small-zh-v1.5'
const DOCUMENTS = [
  { id: 'refund', text: '退款会在七个工作日内到账。' },
  { id: 'password', text: '忘记密码时，请点击登录页上的重置链接。' },
  { id: 'code', text: '出现代码 ERR-4711 时请重启设备。' },
]
const QUERY = 'ERR-4711 怎么办'
const HALVES = { method: 'weighted', dense: 0.5, sparse: 0.5 }

// The queue has no part in this: each kind of database once.
for (const backend of databases().slice(0, 2)) {
  describe(`fusions and thresholds, ${backend.name}`, () => {
    let world: World
    beforeAll(async () => {
      world = await openWorld(backend)
      for (const name of ['help', 'other']) {
        await world.call('POST', '/v1/domains', { name, model: MODEL })
        const path = `/v1/domains/${name}/documents`
        await world.finished(
          (await world.client.post(path, { documents: DOCUMENTS }, submissionSchema)).ingestion,
        )
      }
    })
    afterAll(() => world?.close())

    const found = async (body: object, path = '/v1/domains/help/search') => {
      const answer = await world.call('POST', path, { query: QUERY, ...body })
      expect({ status: answer.status, error: answer.body.error }).toEqual({ status: 200, error: undefined })
      return answer.body as unknown as Found
    }
    const refused = async (body: object) => {
      const { status, body: answer } = await world.call('POST', '/v1/domains/help/search', body)
      return [status, answer.error?.code]
    }
    const change = async (body: object, domain = 'help') => {
      const { status, body: answer } = await world.call('PATCH', `/v1/domains/${domain}`, body)
      return { status, code: answer.error?.code, search: answer.search, stale: answer.staleThresholds }
    }
    const inSql = (sql: string, values: readonly unknown[]) =>
      world.running.backends.db.query<{ document_id: string; score: number; level: string | null }>(
        sql,
        values,
      )
    const literals = async () => {
      const { body } = await world.call('POST', '/v1/embed', {
        domain: 'help',
        texts: [QUERY],
        outputs: ['dense', 'sparse'],
        sql: true,
      })
      const [text] = body.texts as { sql: { vector: string; terms: string } }[]
      return [text?.sql.vector, text?.sql.terms]
    }

    test('a domain has weights of its own, in HTTP and in SQL, and can go back to the usual ones', async () => {
      expect(await change({ search: { fusion: HALVES } })).toMatchObject({
        status: 200,
        search: { fusion: HALVES },
      })
      const [own, asked, usual] = await Promise.all([
        found({ mode: 'hybrid' }),
        found({ mode: 'hybrid', fusion: HALVES }),
        found({ mode: 'hybrid', fusion: 'bm25' }),
      ])
      expect(own.hits).toEqual(asked.hits)
      expect(own.hits[0]?.score).not.toBe(usual.hits[0]?.score)
      const rows = await inSql(
        `select document_id, score from millrace.hybrid_search('help', $1::vector, $2::sparsevec, 3)`,
        await literals(),
      )
      expect(rows.map(({ document_id: id }) => id)).toEqual(own.hits.map(({ documentId }) => documentId))
      expect(rows[0]?.score).toBeCloseTo(own.hits[0]?.score ?? 0, 5)
      expect(await change({ search: { fusion: null } })).toMatchObject({
        status: 200,
        search: { fusion: null },
      })
      expect((await found({ mode: 'hybrid' })).hits).toEqual(usual.hits)
    })

    test('what GET shows of the search can be sent back', async () => {
      for (const search of [
        {},
        { fusion: 'rrf' },
        { fusion: { method: 'rrf', k: 20 } },
        { mode: 'hybrid', fusion: HALVES },
      ]) {
        expect(await change({ search })).toMatchObject({ status: 200 })
        const { body } = await world.call('GET', '/v1/domains/help')
        expect(await change({ search: body.search as object })).toMatchObject({
          status: 200,
          search: body.search,
        })
      }
      await change({ search: { mode: 'dense', fusion: null } })
    })

    test('several domains are searched with one fusion, whatever theirs are', async () => {
      await change({ search: { fusion: 'rrf' } }, 'other')
      const both = await found({ domains: ['help', 'other'], mode: 'hybrid' }, '/v1/search')
      const scores = (domain: string) =>
        both.hits.filter((hit) => 'domain' in hit && hit.domain === domain).map(({ score }) => score)
      expect(scores('help')).toHaveLength(3)
      expect(scores('other')).toEqual(scores('help'))
      expect((await found({ domains: ['help', 'other'] }, '/v1/search')).hits).toHaveLength(6)
      await change({ search: { fusion: null } }, 'other')
    })

    test('a threshold of hybrid is that of the fusion it was set for', async () => {
      const [first, second] = (await found({ mode: 'hybrid' })).hits
      const between = Math.round((((first?.score ?? 0) + (second?.score ?? 0)) / 2) * 1e4) / 1e4
      await change({ scores: { hybrid: { threshold: between } } })
      expect((await found({ mode: 'hybrid' })).hits).toHaveLength(1)
      const sql = `select document_id, score from millrace.hybrid_search('help', $1::vector, $2::sparsevec, 3, $3)`
      expect(await inSql(sql, [...(await literals()), null])).toHaveLength(1)
      expect(await inSql(sql, [...(await literals()), 'rrf'])).toHaveLength(3)

      const other = await found({ mode: 'hybrid', fusion: 'rrf' })
      expect(other.hits).toHaveLength(3)
      expect(other).toMatchObject({
        threshold: null,
        staleThreshold: { score: 'hybrid', threshold: between },
      })
      expect(other.staleThreshold?.recipe).toContain('"dense":0.4,"sparse":0.6')

      const { stale } = await change({ search: { fusion: 'rrf' } })
      expect(stale).toMatchObject([{ score: 'hybrid', threshold: between }])
      expect(await inSql(sql, [...(await literals()), null])).toHaveLength(3)
      const { body } = await world.call('GET', '/v1/domains')
      const domains = body.domains as { name: string; staleThresholds: object[] }[]
      expect(domains.find(({ name }) => name === 'help')?.staleThresholds).toHaveLength(1)
      expect((await change({ scores: { hybrid: { threshold: null } } })).stale).toEqual([])
      await change({ search: { fusion: null } })
      await change({ scores: { hybrid: { threshold: null } } })
    })

    test('one that was set before fusions were recorded is that of the fusion of the domain', async () => {
      const migration = await readFile(new URL('../migrations/0019_fusions.sql', import.meta.url), 'utf8')
      const [update] = /^update millrace\.bands[^;]*;/m.exec(migration) ?? []
      const { db } = world.running.backends
      for (const fusion of [null, 'rrf', 'm3-mldr', HALVES, { method: 'rrf', k: 7 }]) {
        await change({ search: { fusion }, scores: { hybrid: { threshold: 0.25 } } })
        await db.query(
          `delete from millrace.bands where score = 'hybrid' and threshold is distinct from 0.25`,
        )
        await db.query(`update millrace.bands set recipe = split_part(recipe, ' ', 1) where score = 'hybrid'`)
        await db.query(String(update))
        expect(await found({ mode: 'hybrid' })).toMatchObject({ threshold: 0.25, staleThreshold: null })
        await db.query(`delete from millrace.bands where score = 'hybrid'`)
      }
      await change({ search: { fusion: null } })
    })

    test('a threshold that is the score as it is shown keeps the hit', async () => {
      for (const mode of ['dense', 'sparse', 'hybrid'] as const) {
        const all = await found({ mode })
        for (const [i, { score }] of all.hits.entries()) {
          expect((await found({ mode, threshold: score })).hits).toHaveLength(i + 1)
          expect((await found({ mode, threshold: Math.min(1, score + 1e-6) })).hits).toHaveLength(i)
        }
      }
    })

    test('a threshold of a score that is not computed keeps nothing, and the answer says why', async () => {
      for (const [mode, kind] of [
        ['dense', 'sparse'],
        ['sparse', 'dense'],
        ['hybrid', 'rerank'],
      ]) {
        const { hits, warnings } = await found({ mode, thresholds: { [String(kind)]: 0.01 } })
        expect({ hits, codes: warnings.map(({ code }) => code) }).toEqual({
          hits: [],
          codes: ['SCORE_NOT_COMPUTED'],
        })
      }
    })

    test.each([
      [{ mode: 'sparse', threshold: 1.1 }],
      [{ mode: 'hybrid', threshold: 1.1 }],
      [{ mode: 'hybrid', fusion: 'rrf', threshold: -0.1 }],
      [{ thresholds: { hybrid: 2 } }],
      [{ threshold: 0.1, thresholds: { dense: 0.1 } }],
    ])('%j is refused', async (options) => {
      expect(await refused({ query: QUERY, ...options })).toEqual([400, 'BAD_THRESHOLD'])
    })

    test('a domain refuses what each of its searches would be refused for', async () => {
      expect(await change({ scores: { sparse: { threshold: 1.1 } } })).toMatchObject({
        code: 'BAD_THRESHOLD',
      })
      expect(await change({ search: { fusion: 'm3-mldr-all' } })).toMatchObject({ code: 'MISSING_OUTPUT' })
      expect(await change({ search: { rerank: { by: 'colbert' } } })).toMatchObject({
        code: 'MISSING_OUTPUT',
      })
      await world.call('POST', '/v1/domains', { name: 'own', model: 'external', dims: 3 })
      expect(await change({ search: { fusion: 'rrf' } }, 'own')).toMatchObject({ code: 'MODE_NEEDS_TERMS' })
      expect(await change({ search: { rerank: { by: 'colbert' } } }, 'own')).toMatchObject({
        code: 'NOT_FOR_EXTERNAL',
      })
      const { body } = await world.call('GET', '/v1/domains/own')
      expect(await change({ search: body.search as object }, 'own')).toMatchObject({ status: 200 })
    })

    test('of several queries a wrong one is refused alone, and what is said for all refuses all', async () => {
      const { body } = await world.call('POST', '/v1/domains/help/search', {
        queries: [{ query: QUERY, k: 0 }, QUERY, '长'.repeat(100_001), ' ', { query: QUERY, k: 1 }],
      })
      const results = body.results as { error?: { code: string }; hits?: object[] }[]
      expect(results.map(({ error, hits }) => error?.code ?? hits?.length)).toEqual([
        'INVALID_REQUEST',
        3,
        'INVALID_REQUEST',
        'MISSING_QUERY',
        1,
      ])
      for (const [shared, code] of [
        [{ threshold: 2 }, 'BAD_THRESHOLD'],
        [{ mode: 'hybrid', fusion: 'no' }, 'BAD_FUSION'],
        [{ k: 0 }, 'INVALID_REQUEST'],
        [{ filter: { a: { no: 1 } } }, 'INVALID_FILTER'],
      ] as const) {
        expect(await refused({ queries: [QUERY, QUERY], ...shared })).toEqual([400, code])
      }
    })
  })
}
