import { readFile } from 'node:fs/promises'
import { FUSIONS, fusionOf } from '@millrace/flow'
import { insertDomain, type StorageForm } from '@millrace/store'
import { embeddingSql } from '@millrace/store/storage/form'
import { submissionSchema } from 'millrace/client'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databases, servers } from './support/backends.js'
import { openWorld, type World } from './support/world.js'

const DOCUMENTS = ['reset-password', 'change-password', 'refund-times']

async function fill(world: World): Promise<void> {
  const name = 'support-en'
  await world.call('POST', '/v1/domains', { name, model: 'all-minilm-l6-v2' })
  const documents = await Promise.all(
    DOCUMENTS.map(async (id) => ({
      id: `${id}.md`,
      title: id,
      text: await readFile(new URL(`../samples/support-en/${id}.md`, import.meta.url), 'utf8'),
    })),
  )
  const { ingestion } = await world.client.post(
    `/v1/domains/${name}/documents`,
    { documents },
    submissionSchema,
  )
  await world.finished(ingestion)
}

/** What POST /v1/embed gives for SQL. */
async function literals(world: World): Promise<{ vector: string; terms: string }> {
  const { body } = await world.call('POST', '/v1/embed', {
    domain: 'support-en',
    texts: ['forgot my password'],
    outputs: ['dense', 'sparse'],
    sql: true,
  })
  const [text] = body.texts as { sql: { vector: string; terms: string } }[]
  if (text === undefined) throw new Error('no text was embedded')
  return text.sql
}

for (const backend of databases()) {
  describe(`SQL, ${backend.name}`, () => {
    let world: World
    beforeAll(async () => {
      world = await openWorld(backend)
      await fill(world)
    })
    afterAll(() => world?.close())

    test('the examples of docs/sql.md run', async () => {
      const docs = await readFile(new URL('../docs/sql.md', import.meta.url), 'utf8')
      const examples = [...docs.matchAll(/^```sql\n(.*?)^```/gms)].map(([, sql = '']) => sql)
      expect(examples.length).toBeGreaterThan(8)
      const { vector, terms } = await literals(world)
      const { db } = world.running.backends
      // Temporary tables are there in one session alone.
      const found = await db.transact(async (tx) => {
        const rows: object[][] = []
        for (const sql of examples) {
          rows.push(await tx.query(sql))
          if (!sql.startsWith('create temporary table if not exists asked')) continue
          await tx.query(`insert into asked values ('forgot my password', $1::vector, $2::sparsevec)`, [
            vector,
            terms,
          ])
        }
        await tx.query('drop table asked, my_tickets')
        return rows
      })
      expect(found.filter((rows) => rows.length > 0)).toHaveLength(examples.length - 2)
      expect(found[1]?.[0]).toMatchObject({ document_id: 'reset-password.md' })
      expect(found[2]?.[0]).toMatchObject({ document_id: 'reset-password.md' })
    })

    test('every function says what it is for', async () => {
      const silent = await world.running.backends.db.query(
        `select p.oid::regprocedure::text as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
         where n.nspname = 'millrace' and coalesce(obj_description(p.oid, 'pg_proc'), '') = ''`,
      )
      expect(silent).toEqual([])
    })

    test('presets of fusion are the same in SQL and over HTTP', async () => {
      const { db } = world.running.backends
      const inSql = async (preset: string | null, lexical: string) =>
        (
          await db.query<{ fusion: object }>('select millrace.fusion_of($1, $2) as fusion', [preset, lexical])
        )[0]?.fusion
      for (const [name, fusion] of Object.entries(FUSIONS)) {
        if (!('colbert' in fusion)) expect(await inSql(name, 'bm25')).toEqual(fusion)
      }
      for (const lexical of ['bm25', 'learned'] as const) {
        expect(await inSql(null, lexical)).toEqual(fusionOf(undefined, lexical))
      }
      await expect(inSql('m3-pairs', 'learned')).rejects.toMatchObject({ code: '22023' })
    })

    test.each<StorageForm>(['full', 'half', 'sq8', 'sq4', 'binary'])('%s decodes alike', async (storage) => {
      const { db } = world.running.backends
      const dims = 8
      const [row] = await db.query<{ sql: string }>(`select millrace.embedding_sql($1, $2, 'v') as sql`, [
        storage,
        dims,
      ])
      // full is a vector already.
      expect(embeddingSql({ storage, dims }, 'v').replace(storage === 'full' ? '::vector' : '', '')).toBe(
        row?.sql,
      )
    })
  })
}

const server = servers()
describe.skipIf(server === undefined)('a role that reads', () => {
  let world: World
  let reader: pg.Client
  const role = `millrace_reader_${process.pid}`
  beforeAll(async () => {
    if (server === undefined) return
    world = await openWorld(server)
    await fill(world)
    const { db } = world.running.backends
    await db.query(`create role ${role}`)
    await db.query('select millrace.grant_reading($1)', [role])
    await db.query('create table millrace.secrets_later (value bytea)')
    await insertDomain(db, {
      name: 'later',
      threshold: null,
      levels: [{ key: 'all', above: null, name: { zh: '全', en: 'all' } }],
      model: 'external',
      dims: 3,
      recipe: {},
      recipeHash: 'x',
    })
    const options = db.pool.options as { connectionString?: string }
    reader = new pg.Client({ connectionString: options.connectionString })
    await reader.connect()
    await reader.query(`set role ${role}`)
  })
  afterAll(async () => {
    await reader?.end()
    await world?.running.backends.db.query('select millrace.revoke_reading($1)', [role])
    await world?.running.backends.db.query(`drop role ${role}`)
    await world?.close()
  })

  test('searches, in domains that came later too', async () => {
    const { vector, terms } = await literals(world)
    const found = await reader.query(
      `select document_id, millrace.level('support-en', similarity) as level
       from millrace.hybrid_search('support-en', $1, $2, 3, null, null, '{"document.id": {"prefix": "reset"}}')`,
      [vector, terms],
    )
    expect(found.rows).toMatchObject([{ document_id: 'reset-password.md' }])
    expect((await reader.query(`select * from millrace_domains."support-en"`)).rows.length).toBeGreaterThan(2)
    const words = await reader.query(`select document_id from millrace.sparse_search('support-en', $1, 3)`, [
      terms,
    ])
    expect(words.rows[0]).toEqual({ document_id: 'reset-password.md' })
    expect((await reader.query(`select * from millrace.search('later', '[1,2,3]', 3)`)).rows).toEqual([])
    expect((await reader.query('select * from millrace_domains.later')).rows).toEqual([])
  })

  test.each([
    'select text from millrace.documents',
    'select * from millrace.secrets',
    'select * from millrace.secrets_later',
    'select * from millrace.queries',
    'select * from millrace.file_parts',
    `update millrace.domains set name = 'mine'`,
    'delete from millrace.chunks',
    `insert into millrace.bands (domain_id, score, recipe) values (1, 'dense', 'x')`,
  ])('%s is refused', async (statement) => {
    await expect(reader.query(statement)).rejects.toMatchObject({ code: '42501' })
  })

  test('a role that is not there is said', async () => {
    await expect(
      world.running.backends.db.query(`select millrace.grant_reading('nobody-of-that-name')`),
    ).rejects.toMatchObject({ code: '42704' })
  })

  test.each(['grant_reading', 'revoke_reading'])('%s of null says that a name is missing', async (name) => {
    await expect(world.running.backends.db.query(`select millrace.${name}(null)`)).rejects.toMatchObject({
      code: '22023',
      message: 'the name of the role is null',
    })
  })

  test('NaN has no level', async () => {
    const levels = await world.running.backends.db.query(
      `select millrace.level('support-en', 'NaN') as nan, millrace.level('support-en', 1) is not null as one,
         millrace.level_name('support-en', 'dense', 'NaN') as named`,
    )
    expect(levels).toEqual([{ nan: null, one: true, named: null }])
  })
})
