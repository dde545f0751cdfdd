import { deleteDocument, getDomain, migrate, openDb, sweepOrphans } from '@millrace/store'
import { searchSchema, submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { backends, servers } from './support/backends.js'
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

    test('lets a filtered search go on until it has its hits', async () => {
      const filter = { 'document.id': 'd7' }
      const body = { query: 'topic 3', k: 5, filter }
      const { hits } = await world.client.post('/v1/domains/large/search', body, searchSchema)
      expect(hits.map((hit) => hit.documentId)).toEqual(['d7'])
    })
  })
}

for (const backend of backends()) {
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
