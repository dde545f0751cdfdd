import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  colbertScore,
  type Engine,
  embedAll,
  openEngine,
  rerankAll,
  signScorer,
  signsOf,
} from '@millrace/embed'
import { findDomain } from '@millrace/flow'
import { colbertTable, type Db, readColbert, sweepOrphans } from '@millrace/store'
import { submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HAS_HEAD, makeCountingReranker, makeTokenModel } from '../packages/embed/test/rerankers.js'
import { databases } from './support/backends.js'
import { openWorld, type World } from './support/world.js'

const TEXTS = {
  hours: 'Our support team answers from nine to five, Monday to Friday.',
  parcel: 'If your parcel did not arrive, we send a replacement.',
  refund: 'Money comes back to your card within ten days.',
  invoice: 'Invoices are sent by mail on the first of every month.',
}
const QUERY = 'my parcel did not arrive'
const ids = Object.keys(TEXTS) as (keyof typeof TEXTS)[]

interface Hit {
  readonly documentId: keyof typeof TEXTS
  readonly score: number
  readonly rankedBy: string
  readonly scores: Readonly<Record<string, number>>
}

// The queue has no part in this: each kind of database once.
for (const backend of HAS_HEAD ? databases().slice(0, 2) : []) {
  describe(`reranking, ${backend.name}`, () => {
    let modelsDir: string
    let world: World
    let db: Db
    let engine: Engine
    beforeAll(async () => {
      modelsDir = await mkdtemp(join(tmpdir(), 'millrace-rerank-'))
      await Promise.all([makeTokenModel(modelsDir, 'tokens'), makeCountingReranker(modelsDir, 'counting')])
      world = await openWorld(backend, { MODELS_DIR: modelsDir, DEFAULT_MODEL: 'tokens' })
      db = world.running.backends.db
      engine = openEngine({ modelDirs: [modelsDir], threads: 1, isolation: 'thread' })
      const chunking = { context: 'none' }
      await world.call('POST', '/v1/domains', { name: 'kept', chunking, outputs: ['dense', 'colbert'] })
      await world.call('POST', '/v1/domains', { name: 'computed', chunking, outputs: ['dense'] })
      const documents = ids.map((id) => ({ id, text: TEXTS[id] }))
      for (const name of ['kept', 'computed']) {
        const path = `/v1/domains/${name}/documents`
        await world.finished((await world.client.post(path, { documents }, submissionSchema)).ingestion)
      }
    })
    afterAll(async () => {
      await engine?.close()
      await world?.close()
      await rm(modelsDir, { recursive: true })
    })

    const search = async (name: string, more: object) => {
      const { status, body } = await world.call('POST', `/v1/domains/${name}/search`, {
        query: QUERY,
        ...more,
      })
      return { status, code: body.error?.code, hits: (body.hits ?? []) as readonly Hit[] }
    }
    const tokensOf = async (text: string) => {
      const [embedded] = await embedAll(engine, {
        model: 'tokens',
        texts: [text],
        kind: 'plain',
        outputs: ['colbert'],
      })
      if (embedded?.colbert === undefined) throw new Error('no colbert')
      return embedded.colbert
    }

    test('colbert: the first hits by token vectors computed for them, the others behind', async () => {
      const dense = (await search('computed', { k: 4 })).hits
      const { hits } = await search('computed', { k: 4, rerank: { by: 'colbert', top: 3 } })
      const query = await tokensOf(QUERY)
      const wanted = await Promise.all(
        dense
          .slice(0, 3)
          .map(async ({ documentId: id }) => ({ id, score: colbertScore(query, await tokensOf(TEXTS[id])) })),
      )
      wanted.sort((a, b) => b.score - a.score)
      expect(hits.map(({ documentId }) => documentId)).toEqual([
        ...wanted.map(({ id }) => id),
        dense[3]?.documentId,
      ])
      hits.slice(0, 3).forEach((hit, i) => {
        expect(hit).toMatchObject({ rankedBy: 'colbert', score: expect.closeTo(wanted[i]?.score ?? 0, 4) })
        expect(hit.scores).toMatchObject({ colbert: hit.score, dense: expect.any(Number) })
      })
      expect(hits[3]?.scores).not.toHaveProperty('colbert')
    })

    test('several domains, of which one keeps signs: all scores are of the same kind', async () => {
      const { body } = await world.call('POST', '/v1/search', {
        domains: ['kept', 'computed'],
        query: QUERY,
        k: 8,
        rerank: { by: 'colbert' },
      })
      const hits = body.hits as (Hit & { domain: string })[]
      const of = (domain: string) => hits.filter((hit) => hit.domain === domain).map(({ score }) => score)
      expect(of('kept')).toHaveLength(4)
      expect(of('kept')).toEqual(of('computed'))
    })

    test('a hit that was not reranked has the level of its similarity', async () => {
      const { body } = await world.call('POST', '/v1/domains/computed/search', {
        query: QUERY,
        k: 3,
        rerank: { by: 'counting', top: 1 },
      })
      const hits = body.hits as { rankedBy: string; levelKey: string | null }[]
      expect(hits.map(({ rankedBy }) => rankedBy)).toEqual(['rerank', 'dense', 'dense'])
      expect(hits.slice(1).map(({ levelKey }) => levelKey)).not.toContain(null)
    })

    test('a threshold of a reranker is told when that is gone, and can be taken away', async () => {
      const change = async (body: object) =>
        (await world.call('PATCH', '/v1/domains/computed', body)).body as unknown as {
          readonly scores?: { readonly rerank?: { readonly threshold: number | null } }
          readonly staleThresholds?: readonly object[]
          readonly error?: { readonly code: string }
        }
      const set = await change({
        search: { rerank: { by: 'counting' } },
        scores: { rerank: { threshold: 0.5 } },
      })
      expect([set.scores?.rerank?.threshold, set.staleThresholds]).toEqual([0.5, []])
      const without = await change({ search: { rerank: null } })
      expect(without.staleThresholds).toMatchObject([{ score: 'rerank', threshold: 0.5 }])
      const { body } = await world.call('GET', '/v1/domains/computed')
      expect(body.staleThresholds).toEqual(without.staleThresholds)
      expect((await change({ scores: { rerank: { threshold: 0.4 } } })).error?.code).toBe('NO_RERANKER')
      expect((await change({ scores: { rerank: { threshold: null } } })).staleThresholds).toEqual([])
      expect((await change({ search: { rerank: { by: 'counting' } } })).scores?.rerank?.threshold).toBeNull()
      await change({ search: { rerank: null } })
    })

    test('colbert: by the signs that are kept, where the domain keeps them', async () => {
      const { generationId } = await findDomain({ db }, 'kept')
      const hashes = await db.query<{ hash: Buffer; text: string }>(
        'select text_hash as hash, text from millrace.chunks where generation_id = $1',
        [generationId],
      )
      const rows = await readColbert(
        db,
        generationId,
        hashes.map(({ hash }) => hash),
      )
      expect(rows).toHaveLength(4)
      for (const { hash, text } of hashes) {
        const row = rows.find((one) => one.hash.equals(hash))
        const { bits, tokens, dims } = signsOf(await tokensOf(text))
        expect(row).toMatchObject({ tokens, dims })
        expect(row?.bits).toEqual(Buffer.from(bits))
      }
      const { hits } = await search('kept', { k: 4, rerank: { by: 'colbert' } })
      const score = signScorer(await tokensOf(QUERY))
      const wanted = await Promise.all(
        ids.map(async (id) => [id, score(signsOf(await tokensOf(TEXTS[id])))] as const),
      )
      expect(hits.map(({ documentId, score }) => [documentId, score.toFixed(4)])).toEqual(
        wanted.sort((a, b) => b[1] - a[1]).map(([id, own]) => [id, own.toFixed(4)]),
      )
    })

    test('a cross-encoder: by its score of query and text, 0 to 1', async () => {
      const { hits } = await search('kept', { k: 3, rerank: { by: 'counting' } })
      const scored = await rerankAll(engine, {
        model: 'counting',
        query: QUERY,
        texts: ids.map((id) => TEXTS[id]),
      })
      const wanted = scored
        .map(({ score }, i) => ({ documentId: ids[i], score }))
        .sort((a, b) => b.score - a.score)
        .slice(0, 3)
      expect(hits.map(({ documentId }) => documentId)).toEqual(wanted.map(({ documentId }) => documentId))
      hits.forEach((hit, i) => {
        expect(hit).toMatchObject({ rankedBy: 'rerank', score: expect.closeTo(wanted[i]?.score ?? 0, 4) })
      })
    })

    test('what a reranker cut, or put behind others, is told with its score and its name', async () => {
      const rerank = { by: 'counting' }
      const all = (await search('kept', { k: 4, rerank })).hits
      const last = all[3]
      const why = async (more: object) => {
        const asked = { query: QUERY, documentId: last?.documentId, ...more }
        return (await world.call('POST', '/v1/domains/kept/explain', asked)).body
      }
      expect(await why({ k: 1, rerank, threshold: 0.999 })).toMatchObject({
        verdict: 'BELOW_THRESHOLD',
        details: {
          below: { kind: 'rerank', threshold: 0.999, score: expect.closeTo(last?.score ?? 0, 5) },
          rerankedBy: 'counting',
        },
      })
      const beaten = await why({ k: 1, rerank, threshold: null })
      expect(beaten).toMatchObject({ verdict: 'BEATEN', details: { rank: 4, rerankedBy: 'counting' } })
      expect((beaten.sentence as { en: string }).en).toContain('counting has reranked the hits')
      // With a threshold only what is reranked can be a hit.
      const plain = (await search('kept', { k: 4, rerank: null })).hits
      const behind = await why({
        documentId: plain[2]?.documentId,
        k: 4,
        rerank: { by: 'counting', top: 1 },
        threshold: 0,
      })
      expect(behind).toMatchObject({
        verdict: 'BELOW_THRESHOLD',
        details: { below: { kind: 'rerank', threshold: 0, score: null } },
      })
      expect((behind.sentence as { en: string }).en).toContain('counting did not rerank it')
    })

    test.each([
      ['a model that embeds', 'kept', 'all-minilm-l6-v2', 'NOT_A_RERANKER'],
      ['a model that is not there', 'kept', 'nothing', 'UNKNOWN_MODEL'],
      ['colbert of a model without', 'plain', 'colbert', 'MISSING_OUTPUT'],
    ])('by %s is refused', async (_, name, by, code) => {
      if (name === 'plain') await world.call('POST', '/v1/domains', { name, model: 'all-minilm-l6-v2' })
      expect(await search(name, { rerank: { by } })).toMatchObject({ status: 400, code })
    })

    test('the reranker of a domain is loaded with it, and readiness waits for it', async () => {
      const search = { rerank: { by: 'counting', top: 2 } }
      expect((await world.call('POST', '/v1/domains', { name: 'standing', search })).status).toBe(201)
      const { body } = await world.call('GET', '/readyz')
      expect(body.models).toMatchObject({ tokens: 'ready', counting: expect.stringMatching(/loading|ready/) })
    })

    test('a model that reranks is not the model of a domain', async () => {
      const { status, body } = await world.call('POST', '/v1/domains', { name: 'no', model: 'counting' })
      expect([status, body.error?.code]).toEqual([400, 'NOT_AN_EMBEDDER'])
    })

    test('signs go with the vectors, and with the domain', async () => {
      const { generationId } = await findDomain({ db }, 'kept')
      const table = colbertTable(generationId)
      await world.call('DELETE', '/v1/domains/kept/documents/refund')
      await sweepOrphans(db, -1)
      expect(await db.query(`select count(*)::int as count from ${table}`)).toEqual([{ count: 3 }])
      await world.call('DELETE', '/v1/domains/kept')
      expect(await db.query('select to_regclass($1) as table', [table])).toEqual([{ table: null }])
    })
  })
}
