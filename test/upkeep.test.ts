import {
  buildIndex,
  deleteDocument,
  deleteDomain,
  getDomain,
  indexStates,
  insertDomain,
  migrate,
  openDb,
  sweepOrphans,
} from '@millrace/store'
import { searchSchema, statusSchema, submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { databases, servers } from './support/backends.js'
import { openWorld, until, type World } from './support/world.js'

const DOCUMENTS = Array.from({ length: 12 }, (_, i) => ({
  id: `d${i}`,
  text: `Text number ${i} about topic ${i % 4}.`,
}))

async function ingest(world: World, domain: string, documents: readonly object[]) {
  const { ingestion } = await world.client.post(
    `/v1/domains/${domain}/documents`,
    { documents },
    submissionSchema,
  )
  return world.finished(ingestion)
}

const server = servers()
if (server !== undefined) {
  describe('the index, on servers', () => {
    let world: World
    beforeAll(async () => {
      world = await openWorld(server, { INDEX_ROWS_MIN: '10' })
      await world.client.post('/v1/domains', { name: 'small' }, z.unknown())
      await world.client.post('/v1/domains', { name: 'large' }, z.unknown())
      await ingest(world, 'small', DOCUMENTS.slice(0, 3))
      await ingest(world, 'large', DOCUMENTS)
    })
    afterAll(() => world?.close())

    const validIndexes = () =>
      world.running.backends.db.query<{ name: string }>(
        `select c.relname as name from pg_index i join pg_class c on c.oid = i.indexrelid
         where c.relname like 'vectors%hnsw' and i.indisvalid order by 1`,
      )
    const built = (count: number) =>
      until(async () => ((await validIndexes()).length >= count ? validIndexes() : undefined), 30_000)
    const search = async (domain: string) =>
      (await world.client.post(`/v1/domains/${domain}/search`, { query: 'topic 3', k: 5 }, searchSchema)).hits

    test('is built when a domain has enough vectors and nothing pending; a small one stays exact', async () => {
      expect(await built(1)).toEqual([{ name: 'vectors_2_hnsw' }])
      expect(await search('large')).toHaveLength(5)
      expect(await search('small')).toHaveLength(3)
    })

    test('that a dead builder left invalid is dropped and built anew', async () => {
      const { db } = world.running.backends
      await built(1)
      await db.query(
        `update pg_index set indisvalid = false where indexrelid = 'millrace.vectors_2_hnsw'::regclass`,
      )
      await db.query('update millrace.generations set indexed_at = null where id = 2')
      expect(await built(1)).toEqual([{ name: 'vectors_2_hnsw' }])
    })

    test('of a domain that grows by many small ingestions is built although something is always open', async () => {
      const { db } = world.running.backends
      await world.client.post('/v1/domains', { name: 'busy' }, z.unknown())
      const domain = await getDomain(db, 'busy')
      const id = domain?.generationId ?? 0
      await db.query(
        `insert into millrace.vectors_${id} (text_hash, embedding)
         select sha256(int4send(n)), array_fill(n, array[384])::vector from generate_series(1, 100) n`,
      )
      await db.query(
        `insert into millrace.pending (generation_id, text_hash, tokens)
         select $1, sha256(int4send(-n)), 9 from generate_series(1, 9) n`,
        [id],
      )
      expect(await buildIndex(db, { rowsMin: 90 })).toBeUndefined()
      expect(await buildIndex(db, { rowsMin: 100 })).toBe(id)
      expect((await world.client.get('/v1/status', statusSchema)).domains).toMatchObject([
        { name: 'busy', index: { state: 'ready' } },
        { name: 'large', index: { state: 'ready' } },
        { name: 'small', index: { state: 'none' } },
      ])
    })

    test('lets a filtered search go on until it has its hits', async () => {
      const filter = { 'document.id': 'd7' }
      const body = { query: 'topic 3', k: 5, filter }
      const { hits } = await world.client.post('/v1/domains/large/search', body, searchSchema)
      expect(hits.map((hit) => hit.documentId)).toEqual(['d7'])
    })
  })

  test('an index is seen while it is built, stops when told to, and keeps no domain from being deleted', async () => {
    const place = await server.open()
    const db = openDb({ url: String(place.env.DATABASE_URL), kind: 'server' })
    const holder = await openDb({ url: String(place.env.DATABASE_URL), kind: 'server' }).pool.connect()
    try {
      await migrate(db)
      const model = { model: 'm', dims: 3, recipe: {}, recipeHash: 'r' }
      const levels = [{ key: 'all', above: null, name: { zh: '全', en: 'all' } }]
      await insertDomain(db, { name: 'slow', threshold: null, levels, ...model })
      await db.query(
        `insert into millrace.vectors_1 (text_hash, embedding)
         select sha256(int4send(n)), array[1, n, 2 * n]::vector from generate_series(1, 60) n`,
      )
      /** A transaction whose end building waits for. */
      const hold = async () => {
        await holder.query('begin')
        await holder.query(`insert into millrace.vectors_1 values (sha256('x'), '[1,2,3]')`)
      }
      await hold()
      const building = () =>
        until(async () => {
          const index = (await indexStates(db)).get(1)
          return index?.phase?.startsWith('waiting') ? index : undefined
        })
      const stop = new AbortController()
      const stopped = buildIndex(db, { rowsMin: 50 }, stop.signal)
      expect(await building()).toMatchObject({ state: 'building' })
      stop.abort()
      expect(await stopped).toBeUndefined()
      expect((await indexStates(db)).get(1)).toEqual({ state: 'none' })

      await holder.query('rollback')
      await db.query('drop index millrace.vectors_1_hnsw')
      await hold()
      const again = buildIndex(db, { rowsMin: 50 }).catch((error: unknown) => error)
      await building()
      const deleted = deleteDomain(db, 'slow')
      // Without the deletion it would wait for the holder; so does the table, once nobody builds.
      expect(await again).toMatchObject({ code: '57014' })
      await holder.query('rollback')
      expect(await deleted).toBe(true)
    } finally {
      holder.release(true)
      await db.close()
      await place.remove()
    }
  })
}

for (const backend of databases()) {
  describe(`vectors nobody refers to, ${backend.name}`, () => {
    let world: World
    beforeAll(async () => {
      world = await openWorld(backend)
      await world.client.post('/v1/domains', { name: 'docs' }, z.unknown())
    })
    afterAll(() => world?.close())

    const vectors = async () => {
      const { db } = world.running.backends
      return db.query<{ orphaned: boolean }>(
        'select orphaned_at is not null as orphaned from millrace.vectors_1 order by 1',
      )
    }

    test('are marked, come back unmarked when the text does, and are deleted when their time is over', async () => {
      const { db } = world.running.backends
      const domain = await getDomain(db, 'docs')
      await ingest(world, 'docs', DOCUMENTS.slice(0, 2))
      await deleteDocument(db, domain?.id ?? 0, 'd1')
      expect(await vectors()).toEqual([{ orphaned: false }, { orphaned: true }])
      expect(await ingest(world, 'docs', DOCUMENTS.slice(1, 2))).toMatchObject({
        chunks: { embedded: 0, reused: 1 },
      })
      expect(await vectors()).toEqual([{ orphaned: false }, { orphaned: false }])
      await deleteDocument(db, domain?.id ?? 0, 'd1')
      expect(await sweepOrphans(db, 3_600)).toBe(0)
      expect(await sweepOrphans(db, -1)).toBe(1)
      expect(await vectors()).toEqual([{ orphaned: false }])
    })

    test('that an edit left behind are marked too', async () => {
      await ingest(world, 'docs', [{ id: 'd0', text: 'Another text altogether.' }])
      expect(await vectors()).toEqual([{ orphaned: false }, { orphaned: true }])
    })
  })

  describe(`migrations, ${backend.name}`, () => {
    test('a schema newer than the code is refused, and so is an applied file that was changed', async () => {
      const world = await openWorld(backend)
      try {
        const { db } = world.running.backends
        expect(await migrate(db)).toEqual([])
        await db.query(
          `insert into millrace.migrations (version, name, checksum) values (9999, '9999_later.sql', '')`,
        )
        await expect(migrate(db)).rejects.toMatchObject({ code: 'SCHEMA_TOO_NEW' })
        await db.query('delete from millrace.migrations where version = 9999')
        await db.query(`update millrace.migrations set checksum = 'x' where version = 1`)
        await expect(migrate(db)).rejects.toMatchObject({ code: 'MIGRATION_ALTERED' })
      } finally {
        await world.close()
      }
    })
  })

  if (backend.isServer) {
    test(`two processes that start at once on an empty database migrate it once, ${backend.name}`, async () => {
      const place = await backend.open()
      const dbs = [1, 2, 3].map(() => openDb({ url: String(place.env.DATABASE_URL), kind: 'server' }))
      try {
        const applied = await Promise.all(dbs.map((db) => migrate(db)))
        expect(applied.filter((names) => names.length > 0)).toHaveLength(1)
      } finally {
        await Promise.all(dbs.map((db) => db.close()))
        await place.remove()
      }
    })
  }
}
