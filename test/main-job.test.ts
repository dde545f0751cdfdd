import { setTimeout as sleep } from 'node:timers/promises'
import { searchSchema, similaritySchema, statusSchema, submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { backends } from './support/backends.js'
import { openWorld, until, type World } from './support/world.js'

const HELLO = {
  id: 'hello',
  title: 'Opening hours',
  text: 'Our support team answers from nine to five, Monday to Friday.',
}
const PARCEL = {
  id: 'parcel',
  title: 'Lost parcels',
  text: 'If your parcel did not arrive, we send a replacement.',
}
const REFUND = {
  id: 'refund',
  title: 'Refunds',
  text: 'Money comes back to your card within ten days.',
  metadata: { team: 'billing' },
}

/** Short documents with a text of their own each. */
const many = (count: number, seed = 0) =>
  Array.from({ length: count }, (_, i) => ({
    id: `many-${seed}-${i}`,
    text: `Note ${i} of series ${seed} is about subject ${(i * 37 + seed) % 101}. ${'It goes on for a while. '.repeat(12)}`,
  }))

for (const backend of backends()) {
  describe(`the main job, ${backend.name}`, () => {
    let world: World
    beforeAll(async () => {
      world = await openWorld(backend)
    })
    afterAll(() => world?.close())

    const submit = (domain: string, documents: readonly object[]) =>
      world.client.post(`/v1/domains/${domain}/documents`, { documents }, submissionSchema)
    const ingest = async (domain: string, documents: readonly object[]) =>
      world.finished((await submit(domain, documents)).ingestion)
    const search = (domain: string, query: string, more: object = {}) =>
      world.client.post(`/v1/domains/${domain}/search`, { query, ...more }, searchSchema)
    const create = async (name: string, more: object = {}) => {
      expect((await world.call('POST', '/v1/domains', { name, ...more })).status).toBe(201)
      return name
    }

    test('documents are found by meaning, best first, with similarity and level', async () => {
      const domain = await create('meaning')
      const done = await ingest(domain, [HELLO, PARCEL, REFUND])
      expect(done).toMatchObject({
        state: 'finished',
        documents: { total: 3, ready: 3, failed: 0, unchanged: 0 },
        chunks: { total: 3, embedded: 3, reused: 0 },
        errors: [],
      })
      const found = await search(domain, 'my package never came')
      expect(found.hits.map((hit) => hit.documentId)[0]).toBe('parcel')
      const [first, second] = found.hits
      expect(first?.similarity).toBeGreaterThan(second?.similarity ?? 1)
      expect(first).toMatchObject({ title: 'Lost parcels', chunk: 0, text: PARCEL.text, metadata: {} })
      expect(PARCEL.text.slice(first?.start, first?.end)).toBe(PARCEL.text)
      expect(found).toMatchObject({ model: 'all-minilm-l6-v2', threshold: null, mode: 'dense' })
    })

    test('a short document is searchable soon after it is accepted', async () => {
      const domain = await create('soon')
      await submit(domain, [HELLO])
      await until(
        async () => ((await search(domain, 'opening hours')).hits.length > 0 ? true : undefined),
        5_000,
      )
    })

    test('submitting the same again embeds nothing and leaves the rows alone', async () => {
      const domain = await create('again')
      await ingest(domain, [HELLO, PARCEL])
      const done = await ingest(domain, [HELLO, PARCEL])
      expect(done).toMatchObject({
        documents: { total: 2, ready: 2, unchanged: 2 },
        chunks: { total: 2, embedded: 0, reused: 2 },
        tokens: { embedded: 0 },
      })
      const { body } = await world.call('GET', `/v1/domains/${domain}/documents/hello`)
      expect(body.revision).toBe(1)
    })

    test('an edit embeds the text that changed, and readers see the new text only', async () => {
      const domain = await create('edit')
      await ingest(domain, [HELLO, PARCEL])
      const done = await ingest(domain, [
        HELLO,
        { ...PARCEL, text: 'A lost parcel is replaced within three days.' },
      ])
      expect(done).toMatchObject({
        documents: { unchanged: 1, ready: 2 },
        chunks: { embedded: 1, reused: 1 },
      })
      const { hits } = await search(domain, 'lost parcel')
      expect(hits).toHaveLength(2)
      expect(hits[0]).toMatchObject({
        documentId: 'parcel',
        text: 'A lost parcel is replaced within three days.',
      })
    })

    test('a change of metadata alone embeds nothing', async () => {
      const domain = await create('metadata')
      await ingest(domain, [REFUND])
      const done = await ingest(domain, [{ ...REFUND, metadata: { team: 'money' } }])
      expect(done).toMatchObject({
        documents: { ready: 1, unchanged: 0 },
        chunks: { embedded: 0, reused: 1 },
      })
      expect((await search(domain, 'money', { filter: { team: 'money' } })).hits).toHaveLength(1)
      expect((await search(domain, 'money', { filter: { team: 'billing' } })).hits).toHaveLength(0)
    })

    test('two documents with the same text share a vector and are both found', async () => {
      const domain = await create('shared')
      const done = await ingest(domain, [
        { id: 'a', text: HELLO.text },
        { id: 'b', text: HELLO.text },
      ])
      expect(done.chunks).toMatchObject({ total: 2, embedded: 1, reused: 1 })
      const { hits } = await search(domain, 'when do you answer')
      expect(hits.map((hit) => hit.documentId)).toEqual(['a', 'b'])
      expect((await world.call('DELETE', `/v1/domains/${domain}/documents/a`)).status).toBe(204)
      expect((await search(domain, 'when do you answer')).hits.map((hit) => hit.documentId)).toEqual(['b'])
    })

    test('the threshold of the domain cuts, the one of a request wins, null cuts nothing', async () => {
      const domain = await create('cut', { threshold: 0.99 })
      await ingest(domain, [HELLO])
      expect(await search(domain, 'opening hours')).toMatchObject({ hits: [], threshold: 0.99 })
      expect((await search(domain, 'opening hours', { threshold: 0.1 })).hits).toHaveLength(1)
      expect(await search(domain, 'opening hours', { threshold: null })).toMatchObject({ threshold: null })
      expect((await search(domain, 'opening hours', { threshold: null })).hits).toHaveLength(1)
      const { status } = await world.call('PATCH', `/v1/domains/${domain}`, { threshold: null })
      expect(status).toBe(200)
      expect((await search(domain, 'opening hours')).hits).toHaveLength(1)
    })

    test('levels are the ones of the domain, in the language that was asked for', async () => {
      const levels = [
        { key: 'near', above: 0.2, name: { zh: '近', en: 'near' } },
        { key: 'far', above: null, name: { zh: '远', en: 'far' } },
      ]
      const domain = await create('levels', { levels })
      await ingest(domain, [HELLO])
      const ask = (headers: Record<string, string>) =>
        world.call('POST', `/v1/domains/${domain}/search`, { query: 'opening hours of support' }, headers)
      expect((await ask({ 'accept-language': 'en' })).body.hits).toMatchObject([
        { level: 'near', levelKey: 'near' },
      ])
      expect((await ask({})).body.hits).toMatchObject([{ level: '近', levelKey: 'near' }])
    })

    test('ids with slashes, spaces, percent signs and emoji go through every call and come back exactly', async () => {
      const domain = await create('ids')
      const ids = ['a/b c.md', '100%', 'ü/😀?x=1#y', '%2F', '..a', ' ', '"quoted"\\']
      await ingest(
        domain,
        ids.map((id) => ({ id, text: `A document about ${id}` })),
      )
      for (const id of ids) {
        const path = `/v1/domains/${domain}/documents/${encodeURIComponent(id)}`
        expect((await world.call('GET', path)).body.id).toBe(id)
        const found = await search(domain, 'document', { filter: { 'document.id': id } })
        expect(found.hits.map((hit) => hit.documentId)).toEqual([id])
        expect((await world.call('DELETE', path)).status).toBe(204)
        expect((await world.call('GET', path)).status).toBe(404)
      }
    })

    test('documents are listed by id, page by page, and by state', async () => {
      const domain = await create('listing')
      const ids = ['a', 'b', 'c', 'd', 'e']
      await ingest(
        domain,
        ids.map((id) => ({ id, text: `Text of ${id}` })),
      )
      const seen: unknown[] = []
      let cursor: unknown = null
      do {
        const query: string = cursor === null ? '' : `&cursor=${cursor}`
        const { body } = await world.call(
          'GET',
          `/v1/domains/${domain}/documents?limit=2&state=ready${query}`,
        )
        seen.push(...(body.documents as { id: string }[]).map((document) => document.id))
        cursor = body.cursor
      } while (cursor !== null)
      expect(seen).toEqual(ids)
      const { body } = await world.call('GET', `/v1/domains/${domain}/documents?state=failed`)
      expect(body.documents).toEqual([])
    })

    test('a document tells its text, chunks with spans, tokens and warnings', async () => {
      const domain = await create('detail')
      const text = '\uFEFFFirst  paragraph.\r\n\r\nSecond\u200B paragraph.'
      await ingest(domain, [{ id: 'x', text }])
      const { body } = await world.call('GET', `/v1/domains/${domain}/documents/x`)
      expect(body).toMatchObject({
        id: 'x',
        title: null,
        state: 'ready',
        text,
        warnings: [],
        error: null,
        chunkCount: 1,
      })
      const [chunk] = body.chunks as { start: number; end: number; text: string; tokens: number }[]
      expect(chunk?.text).toBe('First paragraph.\n\nSecond paragraph.')
      expect(text.slice(chunk?.start, chunk?.end)).toBe(text.slice(1))
      expect(chunk?.tokens).toBeGreaterThan(4)
    })

    test('a text that cleaning leaves empty is ready, with no chunks and a warning', async () => {
      const domain = await create('empty')
      const done = await ingest(domain, [{ id: 'x', text: '---\ntitle: nothing else\n---\n' }])
      expect(done.documents).toMatchObject({ ready: 1 })
      const { body } = await world.call('GET', `/v1/domains/${domain}/documents/x`)
      expect(body).toMatchObject({
        state: 'ready',
        chunkCount: 0,
        warnings: ['EMPTY_AFTER_CLEANING'],
        chunks: [],
      })
    })

    test('what the model has no token for is no chunk, and fails no document', async () => {
      const domain = await create('tokenless')
      const done = await ingest(domain, [
        { id: 'accent', text: '\u0301' },
        { id: 'mixed', text: `Words first. ${'\u0301'.repeat(20_000)}` },
      ])
      expect(done.documents).toMatchObject({ ready: 2, failed: 0 })
      const { body } = await world.call('GET', `/v1/domains/${domain}/documents/accent`)
      expect(body).toMatchObject({ chunkCount: 0, warnings: ['EMPTY_AFTER_CLEANING'] })
      expect((await search(domain, 'words')).hits.map((hit) => hit.documentId)).toEqual(['mixed'])
    })

    test('the events of an ingestion end with the finished one', async () => {
      const domain = await create('events')
      const { ingestion } = await submit(domain, [HELLO, PARCEL])
      const states: string[] = []
      for await (const now of world.client.follow(ingestion)) states.push(now.state)
      expect(states.at(-1)).toBe('finished')
    })

    test('similarity is the cosine, in four decimals, with a level', async () => {
      const ask = (text_a: string, text_b: string) =>
        world.client.post('/similarity', { text_a, text_b }, similaritySchema)
      const same = await ask('How do I reset my password?', 'How do I reset my password?')
      const near = await ask('How do I reset my password?', 'I forgot my password, what now?')
      const far = await ask('How do I reset my password?', 'The cat sleeps on the sofa.')
      expect(same.similarity).toBe(1)
      expect(near.similarity).toBeGreaterThan(far.similarity)
      expect(near.similarity).toBe(Math.round(near.similarity * 1e4) / 1e4)
      expect(near.levelKey).not.toBe(far.levelKey)
    })

    test('a domain whose model is another revision now is not searched, added to, or mixed', async () => {
      const domain = await create('pinned')
      await submit(domain, [HELLO])
      await until(async () => ((await search(domain, 'opening hours')).hits.length > 0 ? true : undefined))
      const { db } = world.running.backends
      const revision = async (to: string) => {
        await db.query(
          `update millrace.generations g set recipe = jsonb_set(recipe, '{revision}', to_jsonb($2::text))
           from millrace.domains d where d.id = g.domain_id and d.name = $1`,
          [domain, to],
        )
      }
      await revision('older')
      const refused = [
        await world.call('POST', `/v1/domains/${domain}/search`, { query: 'opening hours' }),
        await world.call('POST', `/v1/domains/${domain}/documents`, { documents: [PARCEL] }),
      ]
      for (const { status, body: answer } of refused) {
        expect([status, answer.error?.code]).toEqual([503, 'MODEL_CHANGED'])
      }
    })

    test('deleting a domain takes everything with it', async () => {
      const domain = await create('gone')
      await ingest(domain, [HELLO])
      expect((await world.call('DELETE', `/v1/domains/${domain}`)).status).toBe(204)
      expect((await world.call('GET', `/v1/domains/${domain}`)).status).toBe(404)
      await create('gone')
      expect((await search('gone', 'opening hours')).hits).toEqual([])
    })

    test('the events of an ingestion end when its domain is deleted: what was open is cancelled', async () => {
      const domain = await create('watched')
      const { ingestion } = await submit(domain, many(40))
      const events = (await fetch(`${world.url}/v1/ingestions/${ingestion}/events`)).text()
      const late = until(async () => {
        const { body } = await world.call('GET', `/v1/ingestions/${ingestion}`)
        return (body as { documents?: { embedding: number } }).documents?.embedding ? true : undefined
      })
      await late
      expect((await world.call('DELETE', `/v1/domains/${domain}`)).status).toBe(204)
      const last = (await events).trim().split('\n\n').at(-1)?.slice('data: '.length) ?? '{}'
      expect(JSON.parse(last)).toMatchObject({
        state: 'cancelled',
        documents: { total: 40, received: 0, preparing: 0, embedding: 0 },
        finishedAt: expect.any(String),
      })
    })

    test('a domain is deleted while it is written to from all sides: no call breaks', async () => {
      for (let round = 0; round < 4; round++) {
        const domain = await create(`busy-${round}`)
        await submit(domain, many(30))
        const calls = [
          ...Array.from({ length: 4 }, (_, i) =>
            world.call('POST', `/v1/domains/${domain}/documents`, { documents: many(5, i) }),
          ),
          sleep(60 * round).then(() => world.call('DELETE', `/v1/domains/${domain}`)),
          sleep(60 * round).then(() =>
            world.call('POST', `/v1/domains/${domain}/documents`, { documents: many(5, 9) }),
          ),
        ]
        const statuses = (await Promise.all(calls)).map(({ status }) => status)
        expect(statuses[4]).toBe(204)
        for (const status of statuses) expect([202, 204, 404]).toContain(status)
        expect((await world.call('GET', `/v1/domains/${domain}`)).status).toBe(404)
      }
    })

    test('documents submitted again while they are embedded: each text is counted once, by whoever waits for it', async () => {
      const domain = await create('resubmitted')
      const first = await submit(domain, many(60))
      await until(async () => {
        const { body } = await world.call('GET', `/v1/ingestions/${first.ingestion}`)
        return (body as { chunks: { embedded: number } }).chunks.embedded > 0 ? true : undefined
      })
      const second = await submit(domain, many(60))
      const [a, b] = [await world.finished(first.ingestion), await world.finished(second.ingestion)]
      expect(b.documents).toMatchObject({ total: 60, ready: 60 })
      expect(a.documents.ready + a.documents.cancelled).toBe(60)
      const again = await world.finished(first.ingestion)
      // 60 different texts, each of them computed once.
      expect(again.chunks.embedded + b.chunks.embedded).toBe(60)
    })

    test('documents submitted while their domain is deleted leave nothing behind', async () => {
      const domain = await create('race')
      await submit(domain, [HELLO, PARCEL, REFUND])
      expect((await world.call('DELETE', `/v1/domains/${domain}`)).status).toBe(204)
      const { db } = world.running.backends
      await until(async () => {
        const [left] = await db.query<{ count: number }>(
          `select (select count(*) from millrace.pending)::int + (select count(*) from millrace.leases)::int as count`,
        )
        return left?.count === 0 ? true : undefined
      })
    })

    test('SQL finds what HTTP finds', async () => {
      const domain = await create('sql')
      await ingest(domain, [HELLO, PARCEL, REFUND])
      const { db } = world.running.backends
      const rows = await db.query(
        `select hit.* from millrace_domains.sql v
         cross join lateral millrace.search('sql', v.embedding, 2, -1, '{}') hit
         where v.document_id = 'parcel'`,
      )
      expect(rows).toHaveLength(2)
      expect(rows[0]).toMatchObject({
        document_id: 'parcel',
        chunk: 0,
        title: 'Lost parcels',
        text: PARCEL.text,
        metadata: {},
      })
      const [pair] = await db.query<{ same: number; other: number }>(
        `select millrace.similarity(a.embedding, a.embedding) as same, millrace.similarity(a.embedding, b.embedding) as other
         from millrace_domains.sql a, millrace_domains.sql b
         where a.document_id = 'parcel' and b.document_id = 'refund'`,
      )
      expect(pair?.same).toBeCloseTo(1, 6)
      expect(pair?.other).toBeLessThan(0.9)
      const filtered = await db.query<{ document_id: string }>(
        `select hit.document_id from millrace_domains.sql v
         cross join lateral millrace.search('sql', v.embedding, 3, null, '{"team": "billing"}') hit
         where v.document_id = 'parcel'`,
      )
      expect(filtered).toEqual([{ document_id: 'refund' }])
    })

    test('SQL refuses a query that is null or a threshold that is none, and knows no similarity to nothing', async () => {
      await create('refused')
      const { db } = world.running.backends
      const refused = { code: '22023' }
      await expect(db.query(`select * from millrace.search('refused', null, 3)`)).rejects.toMatchObject(
        refused,
      )
      for (const threshold of ['7', "'NaN'"]) {
        const call = `select * from millrace.search('refused', array_fill(1, array[384])::vector, 3, ${threshold})`
        await expect(db.query(call)).rejects.toMatchObject(refused)
      }
      const [zero] = await db.query<{ s: number }>(`select millrace.similarity('[0,0]', '[1,2]') as s`)
      expect(zero?.s).toBeNaN()
    })

    test('readyz says that all is up, and what is', async () => {
      const { status, body } = await until(async () => {
        const answer = await world.call('GET', '/readyz')
        return answer.status === 200 ? answer : undefined
      })
      expect(status).toBe(200)
      expect(body).toMatchObject({
        ready: true,
        database: 'ok',
        queue: 'ok',
        models: { 'all-minilm-l6-v2': 'ready' },
      })
      expect((await world.call('GET', '/healthz')).body).toEqual({ ok: true })
      const metrics = await world.call('GET', '/metrics')
      expect(String(metrics.body)).toContain('millrace_backlog{what="documents"}')
    })

    test('the status has the queues, and the models with the memory they take', async () => {
      const { queues, models, memory } = await world.client.get('/v1/status', statusSchema)
      expect(queues.map(({ name }) => name)).toEqual(['prepare', 'embed'])
      expect(memory.rssBytes).toBeGreaterThan(10_000_000)
      const loaded = models.find(({ id }) => id === 'all-minilm-l6-v2')
      expect(loaded).toMatchObject({ state: 'ready' })
      expect(loaded?.memoryBytes).toBeGreaterThan(5_000_000)
    })

    test('every call is described in openapi.json', async () => {
      const { body } = await world.call('GET', '/openapi.json')
      expect(Object.keys(body.paths as object).sort()).toEqual([
        '/healthz',
        '/metrics',
        '/readyz',
        '/similarity',
        '/v1/chunks/preview',
        '/v1/domains',
        '/v1/domains/{name}',
        '/v1/domains/{name}/chunks/preview',
        '/v1/domains/{name}/compare',
        '/v1/domains/{name}/documents',
        '/v1/domains/{name}/documents/{id}',
        '/v1/domains/{name}/documents/{id}/file',
        '/v1/domains/{name}/explain',
        '/v1/domains/{name}/export',
        '/v1/domains/{name}/fields',
        '/v1/domains/{name}/generations',
        '/v1/domains/{name}/generations/rollback',
        '/v1/domains/{name}/generations/{id}',
        '/v1/domains/{name}/generations/{id}/cancel',
        '/v1/domains/{name}/generations/{id}/gate',
        '/v1/domains/{name}/generations/{id}/pause',
        '/v1/domains/{name}/generations/{id}/resume',
        '/v1/domains/{name}/generations/{id}/switch',
        '/v1/domains/{name}/generations/{id}/thresholds',
        '/v1/domains/{name}/golden',
        '/v1/domains/{name}/golden/run',
        '/v1/domains/{name}/golden/runs',
        '/v1/domains/{name}/golden/runs/{a}/compare/{b}',
        '/v1/domains/{name}/golden/runs/{id}',
        '/v1/domains/{name}/golden/runs/{id}/results',
        '/v1/domains/{name}/golden/{id}',
        '/v1/domains/{name}/import',
        '/v1/domains/{name}/ingestions',
        '/v1/domains/{name}/queries',
        '/v1/domains/{name}/queries/stats',
        '/v1/domains/{name}/recall',
        '/v1/domains/{name}/search',
        '/v1/domains/{name}/similarities',
        '/v1/domains/{name}/storage',
        '/v1/embed',
        '/v1/ingestions/{id}',
        '/v1/ingestions/{id}/cancel',
        '/v1/ingestions/{id}/events',
        '/v1/ingestions/{id}/resume',
        '/v1/models',
        '/v1/schedules',
        '/v1/schedules/{id}',
        '/v1/schedules/{id}/pause',
        '/v1/schedules/{id}/resume',
        '/v1/schedules/{id}/run',
        '/v1/schedules/{id}/runs',
        '/v1/search',
        '/v1/status',
      ])
    })
  })
}
