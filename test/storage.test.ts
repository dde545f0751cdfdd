import { createHash } from 'node:crypto'
import {
  buildIndex,
  type Db,
  embeddingSql,
  findHits,
  getDomain,
  type HitQuery,
  insertDomain,
  updateDomain,
} from '@millrace/store'
import { bitsOf, searchBits } from '@millrace/store/storage/codes'
import { insertVectors } from '@millrace/store/vectors'
import { searchSchema, submissionSchema } from 'millrace/client'
import { storageSchema } from 'millrace/storage'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { databases } from './support/backends.js'
import { openWorld, type World } from './support/world.js'

const LEVELS = [{ key: 'all', above: null, name: { zh: '全', en: 'all' } }]

/** The same in every run. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** Unit vectors, near a normal distribution, one component far out as in real models. */
function vectorsOf(dims: number, count: number): Float32Array[] {
  const next = random(dims)
  return Array.from({ length: count }, () => {
    const values = Array.from({ length: dims }, (_, i) => next() + next() + next() - 1.5 + (i === 3 ? 5 : 0))
    const length = Math.hypot(...values)
    return Float32Array.from(values, (value) => value / length)
  })
}

const ASKED = { terms: null, k: 10, mode: 'dense', filter: {}, thresholds: { dense: null } } as const

const COUNT = 40
const hashOf = (i: number) => createHash('sha256').update(`${i}`).digest()

const TOPICS = [
  'baking bread',
  'growing tomatoes',
  'mending bicycles',
  'old coins',
  'whales',
  'chess openings',
  'the moon',
  'tax returns',
  'paper planes',
  'rivers',
  'harbours',
  'glass',
]

/** Storage, and the mean and largest error of a similarity that it may have. */
const FORMS = [
  ['full', 1e-6, 1e-6],
  ['half', 1e-4, 3e-4],
  ['binary', 1e-4, 3e-4],
  ['sq8', 1e-3, 5e-3],
  ['sq4', 0.01, 0.04],
] as const

for (const backend of databases().filter(({ name }) => name !== 'Postgres alone')) {
  describe(`forms of storage, ${backend.name}`, () => {
    let world: World
    let db: Db
    beforeAll(async () => {
      world = await openWorld(backend)
      db = world.running.backends.db
    })
    afterAll(() => world?.close())

    /** A domain of that form with these vectors; its generation. */
    async function filled(
      name: string,
      storage: (typeof FORMS)[number][0],
      vectors: readonly Float32Array[],
    ) {
      const dims = vectors[0]?.length ?? 0
      const model = { model: 'm', dims, recipe: {}, recipeHash: name, storage }
      await insertDomain(db, { name, threshold: null, levels: LEVELS, ...model })
      const id = (await getDomain(db, name))?.generationId ?? 0
      const rows = vectors.map((vector, i) => ({ hash: hashOf(i), vector }))
      await db.transact((tx) => insertVectors(tx, id, { storage, dims }, rows))
      return id
    }
    /** By the view's and the function's expression, in the order of the hashes. */
    const decode = (id: number, storage: (typeof FORMS)[number][0], dims: number) =>
      db.query<{ i: number; embedding: string }>(
        `select s.i, ${embeddingSql({ storage, dims }, 'v')}::text as embedding
         from unnest($1::bytea[]) with ordinality as s (hash, i)
         join millrace.vectors_${id} v on v.text_hash = s.hash order by s.i`,
        [Array.from({ length: COUNT }, (_, i) => hashOf(i))],
      )

    test.each(FORMS)('%s keeps similarities', async (storage, meanMax, largest) => {
      const dims = 96
      const vectors = vectorsOf(dims, COUNT)
      const id = await filled(`keeps-${storage}`, storage, vectors)
      const decoded = await decode(id, storage, dims)
      expect(decoded).toHaveLength(COUNT)
      const errors = decoded.flatMap(({ i, embedding }) => {
        const stored: number[] = JSON.parse(embedding)
        expect(Math.hypot(...stored)).toBeCloseTo(1, storage === 'half' || storage === 'binary' ? 2 : 5)
        return vectors.map((query) => Math.abs(dot(query, stored) - dot(query, vectors[i - 1] ?? query)))
      })
      expect(errors.reduce((sum, error) => sum + error, 0) / errors.length).toBeLessThan(meanMax)
      expect(Math.max(...errors)).toBeLessThan(largest)
    })

    test.each([1, 2, 3, 33, 16_000])('every form takes %i dims', async (dims) => {
      const vectors = vectorsOf(dims, 2)
      for (const [storage] of FORMS) {
        const id = await filled(`dims-${dims}-${storage}`, storage, vectors)
        const [first] = await decode(id, storage, dims)
        const stored: number[] = JSON.parse(first?.embedding ?? '[]')
        expect(stored).toHaveLength(dims)
        expect(dot(vectors[0] ?? [], stored)).toBeGreaterThan(0.98)
      }
    })

    test('bits are the same in SQL and in the program, and near vectors have near bits', async () => {
      const dims = 33
      const vectors = vectorsOf(dims, COUNT)
      const id = await filled('bits', 'sq8', vectors)
      const query = vectors[5] ?? new Float32Array(dims)
      const nearest = await db.query<{ hash: Buffer; distance: number; bits: string }>(
        `select text_hash as hash, bits::text, bits <~> millrace.search_bits($1::vector)::bit(${bitsOf(dims)}) as distance
         from millrace.vectors_${id} order by distance limit 3`,
        [`[${query.map((value) => value * 7).join(',')}]`],
      )
      expect(nearest[0]).toMatchObject({ hash: hashOf(5), distance: 0 })
      expect(nearest[1]?.distance).toBeGreaterThan(0)
      const bits = [...searchBits(query)].map((byte) => byte.toString(2).padStart(8, '0')).join('')
      expect(nearest[0]?.bits).toBe(bits.slice(0, bitsOf(dims)))
      expect(await db.query('select millrace.bits_of($1) as bits', [dims])).toEqual([{ bits: bitsOf(dims) }])
    })

    test.each(FORMS)('%s in HTTP and in SQL', async (storage, meanMax, largest) => {
      const name = `http-${storage}`
      await world.client.post('/v1/domains', { name, storage }, z.unknown())
      const documents = TOPICS.map((topic, i) => ({
        id: `d${i}`,
        text: `All that is to be known about ${topic}.`,
      }))
      const { ingestion } = await world.client.post(
        `/v1/domains/${name}/documents`,
        { documents },
        submissionSchema,
      )
      await world.finished(ingestion)
      const body = { query: 'How do I bake bread?', k: 3, threshold: null }
      const { hits } = await world.client.post(`/v1/domains/${name}/search`, body, searchSchema)
      expect(hits.map(({ documentId }) => documentId)).toHaveLength(3)
      expect(hits[0]?.documentId).toBe('d0')

      const found = await db.query<{ document_id: string; similarity: number; length: number }>(
        `select h.document_id, h.similarity, vector_norm(v.embedding) as length
         from millrace_domains."${name}" v
         cross join lateral millrace.search('${name}', v.embedding, 1, -1) h
         where v.document_id = 'd4'`,
      )
      expect(found).toMatchObject([{ document_id: 'd4' }])
      expect(found[0]?.similarity).toBeCloseTo(1, 1)
      expect(found[0]?.length).toBeCloseTo(1, 3)

      const report = await world.client.get(`/v1/domains/${name}/storage?sample=9`, storageSchema)
      expect(report).toMatchObject({
        domain: name,
        storage,
        vectors: TOPICS.length,
        dims: 384,
        float32Bytes: 1_536,
      })
      expect(report.parts[0]).toMatchObject({ name: 'vectors', rows: TOPICS.length })
      expect(report.parts[0]?.tableBytes).toBeGreaterThan(0)
      expect(report.parts[0]?.indexBytes).toBeGreaterThan(0)
      expect(report.error?.mean).toBeLessThan(meanMax)
      expect(report.error?.largest).toBeLessThan(largest)
      expect(report.recall?.recall).toBe(1)
      if (storage !== 'full') {
        expect(report).toMatchObject({ sampled: 9, error: { pairs: 72 } })
        expect(report.error?.largest).toBeGreaterThan(0)
      }
    })

    test('what brings its vectors in a form with codes has no float32 to compare with, and says so', async () => {
      await world.client.post(
        '/v1/domains',
        { name: 'brought', model: 'external', dims: 3, storage: 'sq8' },
        z.unknown(),
      )
      const report = await world.client.get('/v1/domains/brought/storage', storageSchema)
      expect(report).toMatchObject({
        error: null,
        recall: null,
        bytesPerVector: null,
        notes: [expect.any(String)],
      })
    })

    if (!backend.isServer) return

    const indexes = (id: number) =>
      db.query<{ name: string; definition: string }>(
        `select c.relname as name, regexp_replace(pg_get_indexdef(c.oid), '.* USING ', '') as definition
         from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam
         where i.indrelid = $1::regclass and a.amname = 'hnsw' order by 1`,
        [`millrace.vectors_${id}`],
      )
    const build = async () => {
      const built: number[] = []
      for (
        let id = await buildIndex(db, { rowsMin: 2 });
        id !== undefined;
        id = await buildIndex(db, { rowsMin: 2 })
      ) {
        built.push(id)
      }
      return built
    }

    test('each form has its index, up to the dims that pgvector indexes', async () => {
      const expected = [
        ['full', 8, 'hnsw (embedding vector_ip_ops)'],
        ['full', 2_001, 'hnsw (((embedding)::halfvec(2001)) halfvec_ip_ops)'],
        ['full', 4_001, undefined],
        ['half', 4_000, 'hnsw (embedding halfvec_ip_ops)'],
        ['half', 4_001, undefined],
        ['binary', 4_001, 'hnsw (bits bit_hamming_ops)'],
        ['sq8', 16_000, 'hnsw (bits bit_hamming_ops)'],
        ['sq4', 9, 'hnsw (bits bit_hamming_ops)'],
      ] as const
      const ids: number[] = []
      for (const [storage, dims] of expected) {
        ids.push(await filled(`index-${storage}-${dims}`, storage, vectorsOf(dims, 2)))
      }
      await build()
      for (const [i, [, , definition]] of expected.entries()) {
        const found = await indexes(ids[i] ?? 0)
        expect(found.map((index) => index.definition)).toEqual(
          definition === undefined ? [] : [`${definition} WITH (m='16', ef_construction='64')`],
        )
      }
    })

    test.each(FORMS)('%s: through its index a search gives what it gives without', async (storage) => {
      const name = `indexed-${storage}`
      await world.client.post('/v1/domains', { name, storage, threshold: null }, z.unknown())
      const documents = TOPICS.map((topic, n) => ({
        id: `d${n}`,
        title: topic,
        text: `# Of ${topic}\n\nAll that is to be known about ${topic}.`,
        metadata: { n, more: { of: [topic] } },
      }))
      const url = `/v1/domains/${name}/documents`
      const { ingestion } = await world.client.post(url, { documents }, submissionSchema)
      await world.finished(ingestion)
      const generation = (await getDomain(db, name))?.generationId ?? 0
      expect(await build()).toContain(generation)

      const vector = Float32Array.from(vectorsOf(384, 1)[0] ?? [], (value) => value * 3)
      const search = (given: Partial<HitQuery>, exact: boolean) =>
        findHits(db, { ...ASKED, domain: name, vector, exact, ...given })
      const all = await search({ k: TOPICS.length }, true)
      expect(all).toHaveLength(TOPICS.length)
      const middle = all[4]?.scores.dense ?? 0
      const asked: readonly Partial<HitQuery>[] = [
        { k: 1 },
        { k: 5 },
        { k: TOPICS.length },
        { k: TOPICS.length + 1 },
        { k: 9, thresholds: { dense: middle } },
        { k: 9, thresholds: { dense: null, sparse: 0.1 } },
        { k: 3, filter: { n: { lt: 4 } } },
        { k: 5, filter: { n: { lt: 4 } } },
        { k: 3, filter: { 'document.id': { ne: all[0]?.documentId } } },
      ]
      for (const one of asked)
        expect(await search(one, false), JSON.stringify(one)).toEqual(await search(one, true))
      expect(await search({ k: 9, thresholds: { dense: middle } }, false)).toHaveLength(5)
      expect(await search({ k: 9, thresholds: { dense: null, sparse: 0.1 } }, false)).toEqual([])
    })

    test('another m or efConstruction: a new index beside the old one, which then goes', async () => {
      const id = await filled('tuned', 'sq8', vectorsOf(8, 3))
      await build()
      await updateDomain(db, 'tuned', { index: { m: 4, efConstruction: 20 } })
      expect(await build()).toEqual([id])
      const tuned = [
        {
          name: `vectors_${id}_hnsw`,
          definition: `hnsw (bits bit_hamming_ops) WITH (m='4', ef_construction='20')`,
        },
      ]
      expect(await indexes(id)).toEqual(tuned)
      expect(await build()).toEqual([])

      // A builder that died after the new one was there, and one that died while it was built.
      await db.query(
        `create index vectors_${id}_hnsw_new on millrace.vectors_${id} using hnsw (bits bit_hamming_ops)`,
      )
      await updateDomain(db, 'tuned', { index: { m: 16, efConstruction: 64 } })
      expect(await build()).toEqual([id])
      expect(await indexes(id)).toMatchObject([
        { name: `vectors_${id}_hnsw`, definition: expect.not.stringContaining('20') },
      ])
      await db.query(
        `create index vectors_${id}_hnsw_new on millrace.vectors_${id} using hnsw (bits bit_hamming_ops)`,
      )
      await db.query(
        `update pg_index set indisvalid = false where indexrelid = 'millrace.vectors_${id}_hnsw_new'::regclass`,
      )
      await updateDomain(db, 'tuned', { index: { m: 4, efConstruction: 20 } })
      expect(await build()).toEqual([id])
      expect(await indexes(id)).toEqual(tuned)
    })
  })
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0)
