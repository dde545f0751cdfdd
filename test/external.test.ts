import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buildProgram } from 'millrace'
import { ingestionSchema, searchSchema, submissionSchema } from 'millrace/client'
import { soughtOf } from 'millrace/vector'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databases } from './support/backends.js'
import { type Body, openWorld, until, type World } from './support/world.js'

/** Passages about three things, as if a model with three dims had read them. */
const GUIDE = {
  id: 'guide/ä 1',
  title: 'Guide',
  metadata: { team: 'docs' },
  chunks: [
    { text: 'How to begin.', vector: [3, 0, 0] },
    { text: 'How to go on.', vector: [0, 5, 0] },
  ],
}
const OTHER = { id: 'other', chunks: [{ vector: [0, 0.1, 0.1] }] }

for (const backend of databases()) {
  describe(`vectors of one's own, ${backend.name}`, () => {
    let world: World
    beforeAll(async () => {
      world = await openWorld(backend)
    })
    afterAll(() => world?.close())

    const create = async (name: string, more: object = {}) => {
      const { status, body } = await world.call('POST', '/v1/domains', {
        name,
        model: 'external',
        dims: 3,
        ...more,
      })
      expect(status, JSON.stringify(body)).toBe(201)
      return name
    }
    const submit = async (domain: string, documents: readonly object[]) => {
      const path = `/v1/domains/${domain}/documents`
      const { ingestion } = await world.client.post(path, { documents }, submissionSchema)
      // Not waited for: it ends with the submission.
      return world.client.get(`/v1/ingestions/${ingestion}`, ingestionSchema)
    }
    const search = (domain: string, vector: readonly number[], more: object = {}) =>
      world.client.post(`/v1/domains/${domain}/search`, { vector, ...more }, searchSchema)
    /** Where each row of the domain's vectors lies: a row that was written again lies elsewhere. */
    const places = async (domain: string) => {
      const { db } = world.running.backends
      const [generation] = await db.query<{ id: number }>(
        `select g.id from millrace.generations g join millrace.domains d on d.id = g.domain_id where d.name = $1`,
        [domain],
      )
      return db.query<{ place: string; orphan: boolean; norm: number }>(
        `select ctid::text || xmin::text as place, orphaned_at is not null as orphan,
           vector_norm(embedding) as norm
         from millrace.vectors_${generation?.id} order by text_hash`,
      )
    }

    test('chunks with vectors are found as soon as they were submitted, by vector and in SQL', async () => {
      const domain = await create('own')
      const done = await submit(domain, [GUIDE, OTHER])
      expect(done).toMatchObject({
        state: 'finished',
        documents: { total: 2, ready: 2 },
        chunks: { total: 3, embedded: 3, reused: 0 },
        tokens: { total: 0, embedded: 0 },
      })
      const found = await search(domain, [0, 70, 0], { k: 2 })
      expect(found).toMatchObject({ model: 'external', threshold: null })
      expect(found.hits).toMatchObject([
        {
          documentId: 'guide/ä 1',
          chunk: 1,
          title: 'Guide',
          text: 'How to go on.',
          start: 15,
          end: 28,
          similarity: 1,
          levelKey: 'same',
          metadata: { team: 'docs' },
        },
        { documentId: 'other', chunk: 0, text: '', start: 0, end: 0, levelKey: 'related' },
      ])
      expect(found.hits[1]?.similarity).toBeCloseTo(Math.SQRT1_2, 6)
      const inSql = await world.running.backends.db.query(
        `select document_id, chunk from millrace.search('own', '[2, 0.1, 0]', 1, null, '{"team": "docs"}')`,
      )
      expect(inSql).toEqual([{ document_id: 'guide/ä 1', chunk: 0 }])
      const { body } = await world.call(
        'GET',
        `/v1/domains/${domain}/documents/${encodeURIComponent(GUIDE.id)}`,
      )
      expect(body).toMatchObject({
        state: 'ready',
        origin: 'vectors',
        text: 'How to begin.\n\nHow to go on.',
        chunkCount: 2,
      })
      expect((await places(domain)).map(({ norm }) => norm)).toEqual(
        Array.from({ length: 3 }, () => expect.closeTo(1, 6)),
      )
    })

    test('the same again touches nothing; a chunk that changed is another row, the others stay', async () => {
      const domain = await create('again')
      await submit(domain, [GUIDE, OTHER])
      const before = await places(domain)
      const again = await submit(domain, [GUIDE, { ...OTHER, chunks: [{ vector: [0, 9, 9] }] }])
      // Another length is the same direction.
      expect(again).toMatchObject({ documents: { unchanged: 2 }, chunks: { embedded: 0, reused: 3 } })
      expect(await places(domain)).toEqual(before)
      const [first, second] = GUIDE.chunks
      const changed = await submit(domain, [
        {
          ...GUIDE,
          chunks: [
            { ...first, text: 'New words.' },
            { ...second, vector: [0, 0, 1] },
          ],
        },
      ])
      expect(changed).toMatchObject({ documents: { ready: 1 }, chunks: { embedded: 1, reused: 1 } })
      const after = await places(domain)
      expect(after).toHaveLength(4)
      expect(after.filter(({ orphan }) => orphan)).toHaveLength(1)
      const still = after.filter(({ place }) => before.some((row) => row.place === place))
      expect(still).toHaveLength(2)
      const { hits } = await search(domain, [1, 0, 0])
      expect(hits[0]).toMatchObject({ text: 'New words.', similarity: 1 })
      expect((await search(domain, [0, 1, 0], { threshold: 0.9 })).hits).toEqual([])
      // And back: the row that was marked is taken again.
      expect(await submit(domain, [GUIDE])).toMatchObject({ chunks: { embedded: 0, reused: 2 } })
      expect((await search(domain, [0, 1, 0], { threshold: 0.9 })).hits).toHaveLength(1)
    })

    test('equal vectors of two documents are two hits, and a deleted document is found no more', async () => {
      const domain = await create('twins')
      const chunks = [{ text: 'x', vector: [1, 1, 1] }]
      await submit(domain, [
        { id: 'a', chunks },
        { id: 'b', chunks },
      ])
      expect((await search(domain, [1, 1, 1])).hits.map((hit) => hit.documentId)).toEqual(['a', 'b'])
      expect((await world.call('DELETE', `/v1/domains/${domain}/documents/a`)).status).toBe(204)
      expect((await search(domain, [1, 1, 1])).hits.map((hit) => hit.documentId)).toEqual(['b'])
    })

    test('lines are taken too, a bad one alone is refused; a dry run says what is new', async () => {
      const domain = await create('lines')
      const path = `/v1/domains/${domain}/documents`
      const lines = [
        JSON.stringify(GUIDE),
        '{"id":"short","chunks":[{"vector":[1,2]}]}',
        '{"id":"nan","chunks":[{"vector":[1,null,2]}]}',
        '{"id":"large","chunks":[{"vector":[1e39,0,0]}]}',
        '{"id":"larger","chunks":[{"vector":[1e999,0,0]}]}',
        '{"id":"zero","chunks":[{"vector":[0,0,0]}]}',
        '{"id":"vanishing","chunks":[{"vector":[1e-60,0,0]}]}',
        '{"id":"none","chunks":[]}',
        '{"id":"text","text":"A text."}',
        '{"id":"both","text":"A text.","chunks":[{"vector":[1,2,3]}]}',
        '{"id":"nul","chunks":[{"text":"\\u0000","vector":[1,2,3]}]}',
      ].join('\n')
      const { status, body } = await world.call('POST', path, lines, {
        'content-type': 'application/x-ndjson',
      })
      expect(status).toBe(202)
      expect((body.rejected as Body[]).map(({ id, code }) => [id, code])).toEqual([
        ['short', 'VECTOR_DIMS'],
        ['nan', 'VECTOR_NOT_FINITE'],
        ['large', 'VECTOR_NOT_FINITE'],
        ['larger', 'VECTOR_NOT_FINITE'],
        ['zero', 'VECTOR_ZERO'],
        ['vanishing', 'VECTOR_ZERO'],
        ['none', 'NO_CHUNKS'],
        ['text', 'DOMAIN_NEEDS_VECTORS'],
        ['both', 'INVALID_REQUEST'],
        ['nul', 'INVALID_CHARACTER'],
      ])
      const { body: now } = await world.call('GET', `/v1/ingestions/${body.ingestion}`)
      expect(now).toMatchObject({ state: 'finished', documents: { ready: 1 } })
      const plan = await world.call('POST', path, { documents: [GUIDE, OTHER], dryRun: true })
      expect(plan.body).toMatchObject({
        documents: { added: 1, changed: 0, unchanged: 1 },
        chunks: { total: 1, embed: 1 },
      })
    })

    test('submissions of the same documents at once end with one of them as a whole', async () => {
      const domain = await create('at-once')
      const version = (i: number) =>
        ['a', 'b', 'c'].map((id) => ({
          id,
          chunks: [
            { text: `${i}`, vector: [i + 1, 1, 0] },
            { text: `${i}`, vector: [1, 0, i + 1] },
          ],
        }))
      await Promise.all(Array.from({ length: 4 }, (_, i) => submit(domain, version(i))))
      const { hits } = await search(domain, [1, 1, 1])
      expect(hits).toHaveLength(6)
      expect(new Set(hits.map((hit) => hit.text)).size).toBe(1)
      const kept = (await places(domain)).filter(({ orphan }) => !orphan)
      expect(kept).toHaveLength(6)
    })

    test('the widest vectors there are go through; nothing waits for a model of that name', async () => {
      const dims = 16_000
      const domain = await create('wide', { dims })
      const vector = Array.from({ length: dims }, (_, i) => Math.cos(i))
      expect(await submit(domain, [{ id: 'wide', chunks: [{ vector }] }])).toMatchObject({
        documents: { ready: 1 },
      })
      expect((await search(domain, vector)).hits[0]?.similarity).toBeCloseTo(1, 5)
      const ready = await until(async () => {
        const answer = await world.call('GET', '/readyz')
        return answer.status === 200 ? answer : undefined
      })
      expect(Object.keys(ready.body.models as object)).toEqual(['all-minilm-l6-v2'])
      expect((await world.call('DELETE', `/v1/domains/${domain}`)).status).toBe(204)
    })

    // The same on every backend.
    if (backend.isServer) return

    test('a domain with a model takes no vectors, but is searched with one', async () => {
      expect((await world.call('POST', '/v1/domains', { name: 'texts' })).status).toBe(201)
      const path = '/v1/domains/texts/documents'
      const refused = await world.call('POST', path, { documents: [OTHER] })
      expect(refused.status).toBe(422)
      expect(refused.body.error?.details).toMatchObject({
        rejected: [{ id: 'other', code: 'MODEL_NEEDS_TEXT' }],
      })
      const { ingestion } = await world.client.post(
        path,
        { documents: [{ id: 'a', text: 'A text.' }] },
        submissionSchema,
      )
      await world.finished(ingestion)
      const vector = Array.from({ length: 384 }, (_, i) => Math.sin(i))
      expect((await search('texts', vector)).hits).toHaveLength(1)
    })

    test('what a domain without a model cannot do is refused with a code', async () => {
      const domain = await create('limits')
      const path = `/v1/domains/${domain}`
      const ask = async (method: string, to: string, body: object) => {
        const answer = await world.call(method, to, body)
        return [answer.status, answer.body.error?.code]
      }
      const make = (more: object) => ask('POST', '/v1/domains', { name: 'never', ...more })
      const bad = [400, 'BAD_DIMS']
      const wrong = [400, 'INVALID_REQUEST']
      expect(await make({ model: 'external' })).toEqual(bad)
      expect(await make({ dims: 384 })).toEqual(bad)
      expect(await make({ model: 'external', dims: 16_001 })).toEqual(wrong)
      expect(await make({ model: 'external', dims: 0 })).toEqual(wrong)
      expect(await make({ model: 'external', dims: 3, chunking: { size: 64 } })).toEqual([
        400,
        'NOT_FOR_EXTERNAL',
      ])
      expect(await ask('PATCH', path, { cleaning: { controls: true } })).toEqual([400, 'NOT_FOR_EXTERNAL'])
      const later = [409, 'NEEDS_GENERATION']
      expect(await ask('PATCH', path, { model: 'all-minilm-l6-v2' })).toEqual(later)
      await world.call('POST', '/v1/domains', { name: 'modelled' })
      expect(await ask('PATCH', '/v1/domains/modelled', { model: 'external' })).toEqual(later)
      expect((await world.call('PATCH', path, { model: 'external', threshold: 0.5 })).body).toMatchObject({
        threshold: 0.5,
        model: 'external',
        modelState: 'ready',
        dims: 3,
        chunking: null,
        cleaning: null,
      })
      const needs = [400, 'DOMAIN_NEEDS_VECTORS']
      expect(await ask('POST', `${path}/search`, { query: 'words' })).toEqual(needs)
      expect(await ask('POST', '/similarity', { text_a: 'a', text_b: 'b', domain })).toEqual(needs)
      expect(await ask('POST', `${path}/search`, {})).toEqual(wrong)
      expect(await ask('POST', `${path}/search`, { query: 'x', vector: [1, 0, 0] })).toEqual(wrong)
      for (const [vector, code] of [
        [[1, 0], 'VECTOR_DIMS'],
        [['1', 0, 0], 'VECTOR_NOT_FINITE'],
        [[-0, 0, 0], 'VECTOR_ZERO'],
      ] as const) {
        expect(await ask('POST', `${path}/search`, { vector })).toEqual([400, code])
      }
    })

    test('the example of docs/external-vectors.md is what happens, the command line too', async () => {
      const docs = await readFile(new URL('../docs/external-vectors.md', import.meta.url), 'utf8')
      const calls = [...docs.matchAll(/curl http:\/\/127\.0\.0\.1:8080(\S+).* -d '([^']+)'/g)]
      const answers: unknown[] = []
      for (const [, path = '', body] of calls) answers.push((await world.call('POST', path, body)).body)
      const [, shown = ''] = /```json\n([\s\S]+?)```/.exec(docs) ?? []
      expect(answers).toHaveLength(3)
      expect(answers.at(-1)).toMatchObject(JSON.parse(shown))

      const folder = await mkdtemp(join(tmpdir(), 'millrace-vector-'))
      const file = join(folder, 'query.json')
      await writeFile(file, '[0.8, 0.1, 0.3]')
      let out = ''
      const run = (...args: string[]) =>
        buildProgram({
          client: world.client,
          write: (text) => {
            out += text
          },
          openEngine: () => {
            throw new Error('no engine is needed')
          },
        }).parseAsync(['node', 'millrace', ...args])
      await run('domains', 'create', 'by-hand', '--model', 'external', '--dims', '3')
      await run('search', '-d', 'recipes', '--vector', file, '-k', '1')
      expect(out).toContain('created by-hand (external)')
      expect(out).toContain('1.0000  nearly the same  Pancakes  (pancakes)')
      await rm(folder, { recursive: true })
      await expect(run('search', '-d', 'recipes')).rejects.toMatchObject({ code: 'NO_QUERY' })
      const missing = run('search', '-d', 'recipes', '--vector', file)
      await expect(missing).rejects.toMatchObject({ code: 'NO_SUCH_FILE' })
      const typed = Readable.from(['{"vector": [1]}'])
      await expect(soughtOf(undefined, '-', typed)).rejects.toMatchObject({ code: 'INVALID_VECTOR' })
      expect(await soughtOf(undefined, '-', Readable.from(['[1, ', '2]']))).toEqual({ vector: [1, 2] })
    })
  })
}
