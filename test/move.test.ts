import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { codeOf } from '@millrace/errors'
import { type Db, dropLostImports } from '@millrace/store'
import { createColbert, insertColbert } from '@millrace/store/colbert'
import { buildProgram, openClient } from 'millrace'
import { searchSchema, submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Backend, databases } from './support/backends.js'
import { changed, resealed, tar, untar } from './support/tars.js'
import { type Body, openWorld, until, type World } from './support/world.js'

const TAR = { 'content-type': 'application/x-tar' }
const FORMS = ['full', 'half', 'sq8', 'sq4', 'binary'] as const
const NOTES = [
  {
    id: 'tea/😀 一',
    title: 'Tea',
    text: '# Tea\n\nGreen tea is brewed at eighty degrees.',
    metadata: { shelf: 3, tags: ['hot', '热'] },
  },
  { id: 'bread', title: 'Bread', text: 'Bread needs flour, water, salt and a night of patience.' },
  { id: 'moon', text: 'The moon draws the sea twice a day. Nobody hears it.' },
]
const QUESTION = 'how hot is the water for tea?'

const fixture = (name: string) =>
  readFile(new URL(`../packages/files/test/fixtures/${name}`, import.meta.url))

/** The rows of everything that a domain has, but for ids and where they are, so that two can be compared. */
async function contentOf(db: Db, name: string) {
  const [at] = await db.query<{ id: number; domain: number; outputs: string[] }>(
    `select g.id, d.id as domain, g.outputs from millrace.domains d
     join millrace.generations g on g.domain_id = d.id and g.state = 'live' where d.name = $1`,
    [name],
  )
  if (at === undefined) throw new Error(`no domain ${name}`)
  const rows = (sql: string, values: readonly unknown[]) => db.query<Record<string, unknown>>(sql, values)
  return {
    documents: await rows(
      `select external_id, title, text, metadata, encode(content_hash, 'hex') as hash, revision, state, source, origin, url,
         file_name, file_type, encode(file_hash, 'hex') as file_hash, format, layout, warnings, chunks, tokens, created_at,
         (select encode(sha256(string_agg(f.bytes, ''::bytea order by f.part)), 'hex') from millrace.file_parts f where f.document_id = d.id) as bytes,
         (select p.published_at from millrace.published p where p.document_id = d.id and p.generation_id = $2 and p.revision = d.revision) as published
       from millrace.documents d where domain_id = $1 order by 1`,
      [at.domain, at.id],
    ),
    chunks: await rows(
      `select d.external_id, c.ordinal, c.start_at, c.end_at, c.tokens, encode(c.text_hash, 'hex') as hash, c.context, c.text,
         c.headings, c.place, c.parent
       from millrace.chunks c join millrace.documents d on d.id = c.document_id where c.generation_id = $1 order by 1, 2`,
      [at.id],
    ),
    parents: await rows(
      `select d.external_id, c.ordinal, c.start_at, c.end_at, c.text, c.headings, c.place
       from millrace.parents c join millrace.documents d on d.id = c.document_id where c.generation_id = $1 order by 1, 2`,
      [at.id],
    ),
    vectors: await rows(
      `select to_jsonb(v) - 'orphaned_at' as row from millrace.vectors_${at.id} v order by text_hash`,
      [],
    ),
    terms: at.outputs.includes('sparse')
      ? await rows(
          `select text_hash, terms, weights::text from millrace.terms_${at.id} order by text_hash`,
          [],
        )
      : [],
    colbert: at.outputs.includes('colbert')
      ? await rows(`select * from millrace.colbert_${at.id} order by text_hash`, [])
      : [],
    golden: await rows(
      `select external_id, question, encode(question_hash, 'hex') as hash, filter, documents, note
       from millrace.golden where domain_id = $1 order by 1`,
      [at.domain],
    ),
    settings: await rows(
      `select d.search, g.model, g.dims, g.recipe, g.recipe_hash, g.storage, g.outputs, g.lexical, g.counted, g.index_m,
         g.index_ef_construction, (
           select jsonb_agg(to_jsonb(b) - 'domain_id' - 'set_at' order by b.score, b.recipe) from millrace.bands b
           where b.domain_id = d.id
         ) as bands
       from millrace.domains d join millrace.generations g on g.id = $2 where d.id = $1`,
      [at.domain, at.id],
    ),
  }
}

const dbOf = (world: World): Db => world.running.backends.db

async function exported(world: World, name: string): Promise<Buffer> {
  const response = await fetch(`${world.url}/v1/domains/${name}/export`)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('application/x-tar')
  return Buffer.from(await response.arrayBuffer())
}

async function sent(world: World, name: string, archive: Buffer): Promise<{ status: number; body: Body }> {
  const response = await fetch(`${world.url}/v1/domains/${name}/import`, {
    method: 'POST',
    headers: TAR,
    body: new Uint8Array(archive),
  })
  return { status: response.status, body: (await response.json()) as Body }
}

const refused = async (world: World, name: string, archive: Buffer) => {
  const { status, body } = await sent(world, name, archive)
  return [status, body.error?.code, body.error?.message ?? ''] as const
}

async function filled(world: World, name: string, settings: object, documents: readonly object[] = NOTES) {
  const { status, body } = await world.call('POST', '/v1/domains', { name, ...settings })
  expect(status, JSON.stringify(body)).toBe(201)
  const { ingestion } = await world.client.post(
    `/v1/domains/${name}/documents`,
    { documents },
    submissionSchema,
  )
  return world.finished(ingestion)
}

async function hits(world: World, name: string, query: object) {
  const { hits } = await world.client.post(
    `/v1/domains/${name}/search`,
    { k: 10, threshold: -1, ...query },
    searchSchema,
  )
  return hits.map(({ documentId, chunk, text, similarity }) => {
    return { documentId, chunk, text, similarity: similarity?.toFixed(6) }
  })
}

/** Nothing is left of a domain that nobody sees. */
async function traces(world: World, name: string) {
  const db = dbOf(world)
  expect((await world.call('GET', `/v1/domains/${name}`)).status).toBe(404)
  const rows = await db.query('select 1 from millrace.domains where name = $1', [name])
  const generations = await db.query<{ id: string }>('select id::text from millrace.generations')
  const tables = await db.query<{ id: string }>(
    `select substr(relname, 9) as id from pg_class where relname ~ '^vectors_[0-9]+$' and relkind = 'r'`,
  )
  const ids = new Set(generations.map(({ id }) => id))
  return [...rows, ...tables.filter(({ id }) => !ids.has(id))]
}

const worlds = new Map<string, World>()
const worldOf = (backend: Backend): World => {
  const world = worlds.get(backend.name)
  if (world === undefined) throw new Error('not opened')
  return world
}

beforeAll(async () => {
  await Promise.all(databases().map(async (backend) => worlds.set(backend.name, await openWorld(backend))))
})
afterAll(async () => {
  await Promise.all([...worlds.values()].map((world) => world.close()))
})

for (const from of databases()) {
  describe(`an archive of ${from.name}`, () => {
    const source = () => worldOf(from)
    // From a server to the embedded database is the same file as from the embedded one.
    const targets = databases().filter(({ isServer }) => isServer || !from.isServer)

    /** It arrives everywhere as it was: rows, hits, and nothing to embed. */
    async function moves(name: string, query: object) {
      const archive = await exported(source(), name)
      const content = await contentOf(dbOf(source()), name)
      for (const backend of targets) {
        const world = worldOf(backend)
        const other = `${name}-${from.name.slice(0, 3).toLowerCase()}`
        const { status, body } = await sent(world, other, archive)
        expect(status, JSON.stringify(body)).toBe(201)
        const ingestion = await world.finished(String(body.ingestion))
        expect(ingestion).toMatchObject({
          state: 'finished',
          chunks: { embedded: 0 },
          tokens: { embedded: 0 },
        })
        expect(await contentOf(dbOf(world), other)).toEqual(content)
        expect(await hits(world, other, query)).toEqual(await hits(source(), name, query))
        expect(await dbOf(world).query('select 1 from millrace.pending limit 1')).toEqual([])
      }
      return archive
    }

    test.each(from.isServer ? (['full', 'sq4'] as const) : FORMS)(
      '%s, with terms: codes bit by bit, settings, golden questions',
      async (storage) => {
        const name = `form-${storage}`
        await filled(source(), name, {
          storage,
          threshold: 0.1,
          search: { mode: 'hybrid' },
          index: { m: 12, efSearch: 99 },
          scores: { hybrid: { threshold: 0.05 } },
        })
        const questions = [
          { question: QUESTION, documentId: 'tea/😀 一', note: 'warm' },
          {
            id: 'loaf',
            question: 'what rises overnight?',
            documentIds: ['bread', 'gone'],
            filter: { shelf: { gt: 1 } },
          },
        ]
        const put = await source().call('POST', `/v1/domains/${name}/golden`, { questions })
        expect(put.status, JSON.stringify(put.body)).toBe(200)
        await moves(name, { query: QUESTION })
      },
    )

    test('parents, without terms', async () => {
      const text = Array.from({ length: 60 }, (_, i) => `Sentence ${i} of the long story is told here.`).join(
        ' ',
      )
      const chunking = { kind: 'parent', size: 32, parentSize: 128 }
      await filled(source(), 'parents', { chunking, outputs: ['dense'] }, [{ id: 'story', text }])
      await moves('parents', { query: 'sentence 12' })
    })

    test("files keep their bytes, and chunks their pages; what is at nobody's side stays so", async () => {
      await source().call('POST', '/v1/domains', { name: 'files' })
      const form = new FormData()
      form.append('id', 'warranty 😀')
      form.append('metadata', '{"kind": "pdf"}')
      form.append('file', new Blob([await fixture('warranty.pdf')]), 'warranty.pdf')
      form.append(
        'file',
        new Blob([`<!-- ${'x'.repeat(1024 * 1024)} --><p>Long ago.</p>`], { type: 'text/html' }),
        'long.html',
      )
      form.append('file', new Blob([await fixture('encrypted.pdf')]), 'encrypted.pdf')
      const response = await fetch(`${source().url}/v1/domains/files/documents?source=shelf`, {
        method: 'POST',
        body: form,
      })
      const { ingestion } = (await response.json()) as { ingestion: string }
      await source().finished(ingestion)
      const archive = await exported(source(), 'files')
      for (const backend of targets) {
        const world = worldOf(backend)
        const name = `files-${from.name.slice(0, 3).toLowerCase()}`
        const { status, body } = await sent(world, name, archive)
        expect(status, JSON.stringify(body)).toBe(201)
        expect(body).toMatchObject({ documents: 3, files: 3, ready: 2 })
        // What failed is tried again, and fails again.
        const again = await world.finished(String(body.ingestion))
        expect(again).toMatchObject({
          documents: { ready: 2, failed: 1 },
          errors: [{ code: 'FILE_ENCRYPTED' }],
        })
        const content = await contentOf(dbOf(world), name)
        const before = await contentOf(dbOf(source()), 'files')
        expect(content.chunks).toEqual(before.chunks)
        expect(content.documents).toEqual(before.documents)
        const file = await fetch(
          `${world.url}/v1/domains/${name}/documents/${encodeURIComponent('warranty 😀')}/file`,
        )
        expect(Buffer.from(await file.arrayBuffer()).equals(await fixture('warranty.pdf'))).toBe(true)
      }
    })

    test('vectors of the caller', async () => {
      const chunks = [
        { text: 'one', vector: [3, 0, 0] },
        { text: 'two', vector: [0, 4, 1] },
      ]
      await filled(source(), 'own', { model: 'external', dims: 3, storage: 'sq4' }, [{ id: 'a', chunks }])
      await moves('own', { vector: [0, 1, 0] })
    })

    test('token vectors, a domain without documents', async () => {
      await filled(source(), 'late', {})
      const db = dbOf(source())
      const [{ id } = { id: 0 }] = await db.query<{ id: number }>(
        `update millrace.generations set outputs = '{dense,sparse,colbert}'
         where domain_id = (select id from millrace.domains where name = 'late') returning id`,
      )
      const hashes = await db.query<{ hash: Buffer }>(`select text_hash as hash from millrace.vectors_${id}`)
      await db.transact(async (tx) => {
        await createColbert(tx, id)
        const bits = createHash('sha256').update('bits').digest().subarray(0, 6)
        await insertColbert(
          tx,
          id,
          hashes.map(({ hash }) => ({ hash, tokens: 3, dims: 16, bits })),
        )
      })
      await moves('late', { query: QUESTION })
      await source().call('POST', '/v1/domains', { name: 'empty' })
      expect(await untar(await moves('empty', { query: QUESTION }))).toHaveLength(2)
    })

    test('what is not ready comes with its text, and is prepared where it arrives', async () => {
      await filled(source(), 'half-way', {})
      await dbOf(source()).query(
        `update millrace.documents set text = 'Rye bread is dark.', revision = 2, state = 'failed', error_code = 'X', error_message = 'x'
         where external_id = 'bread' and domain_id = (select id from millrace.domains where name = 'half-way')`,
      )
      const archive = await exported(source(), 'half-way')
      for (const backend of targets) {
        const world = worldOf(backend)
        const name = `half-${from.name.slice(0, 3).toLowerCase()}`
        const { body } = await sent(world, name, archive)
        expect(body).toMatchObject({ documents: 3, ready: 2 })
        const done = await world.finished(String(body.ingestion))
        expect(done).toMatchObject({ documents: { ready: 3, failed: 0 }, chunks: { embedded: 1 } })
        expect((await hits(world, name, { query: 'dark bread' }))[0]).toMatchObject({
          documentId: 'bread',
          text: 'Rye bread is dark.',
        })
      }
    })
  })
}

for (const backend of databases()) {
  describe(`wrong archives, ${backend.name}`, () => {
    const world = () => worldOf(backend)
    let whole: Buffer
    let entries: Awaited<ReturnType<typeof untar>>
    /** Where the last entry begins. */
    let end: number
    beforeAll(async () => {
      await filled(world(), 'good', {})
      whole = await exported(world(), 'good')
      entries = await untar(whole)
      end = whole.lastIndexOf('checksums.json')
    })

    test('is refused with its entry and a reason, and leaves nothing', async () => {
      const named = (name: RegExp) =>
        entries.find((entry) => name.test(entry.name)) ?? { name: '', bytes: Buffer.alloc(0) }
      const without = (name: RegExp) => entries.filter((entry) => !name.test(entry.name))
      const manifest = (from: string, to: string) =>
        changed(entries, 'manifest.json', (text) => text.replace(from, to))
      const cases: readonly [string, Buffer, string, RegExp][] = [
        [
          'a byte',
          await tar(changed(entries, /embedding/, (text) => `${text.slice(0, -4)}\0\0\0\0`)),
          'BAD_ARCHIVE',
          /embedding\.npy: (row \d+ has the length|is not what was written)/,
        ],
        [
          'a title',
          await tar(changed(entries, /documents/, (text) => text.replace('Bread', 'Toast'))),
          'BAD_ARCHIVE',
          /documents-1\.ndjson: is not what was written: its SHA-256/,
        ],
        ['cut in an entry', whole.subarray(0, 9000), 'BODY_INCOMPLETE|BAD_ARCHIVE', /./],
        ['cut between entries', await tar(entries.slice(0, 3)), 'BAD_ARCHIVE', /ends before checksums\.json/],
        ['no tar', Buffer.from('x'.repeat(2000)), 'BAD_ARCHIVE', /no tar/],
        ['a text', Buffer.from('hello'), 'BAD_ARCHIVE', /no tar/],
        ['more behind it', Buffer.concat([whole, Buffer.from('more')]), 'BAD_ARCHIVE', /behind checksums/],
        ['nothing', Buffer.alloc(0), 'BAD_ARCHIVE', /nothing in it/],
        [
          'two manifests',
          await tar([...entries.slice(0, 1), ...entries]),
          'BAD_ARCHIVE',
          /manifest\.json: is there twice/,
        ],
        [
          'something else',
          await tar([...entries.slice(0, 1), { name: '../etc', bytes: Buffer.from('x') }]),
          'BAD_ARCHIVE',
          /\.\.\/etc: is no part/,
        ],
        [
          'other order',
          await tar([...entries.slice(0, 1), ...entries.slice(1).reverse()]),
          'BAD_ARCHIVE',
          /./,
        ],
        [
          'a chunk less',
          await tar(resealed(changed(entries, /chunks/, (text) => text.slice(text.indexOf('\n') + 1)))),
          'BAD_ARCHIVE',
          /part-00001: document "bread" has 0 chunks, and should have 1|of no chunk of its part/,
        ],
        [
          'no vectors',
          await tar(resealed(without(/vectors/))),
          'BAD_ARCHIVE',
          /part-00001: 3 texts lack vectors/,
        ],
        ['no terms', await tar(resealed(without(/terms/))), 'BAD_ARCHIVE', /3 texts lack terms/],
        [
          'a column less',
          await tar(resealed(without(/embedding/))),
          'BAD_ARCHIVE',
          /lack some of their columns|comes where/,
        ],
        [
          'another text',
          await tar(resealed(changed(entries, /chunks/, (text) => text.replace('patience', 'patients')))),
          'BAD_ARCHIVE',
          /is not the text that its hash is of/,
        ],
        [
          'a span',
          await tar(resealed(changed(entries, /chunks/, (text) => text.replace(/"end":\d+/, '"end":99999')))),
          'BAD_ARCHIVE',
          /of \d+ characters/,
        ],
        [
          'no JSON',
          await tar(resealed(changed(entries, /documents/, (text) => text.replace('{', '[')))),
          'BAD_ARCHIVE',
          /line 1 is no JSON/,
        ],
        [
          'other type',
          await tar(resealed(changed(entries, /embedding/, (text) => text.replace('<f4', '<f2')))),
          'BAD_ARCHIVE',
          /embedding\.npy: its head says/,
        ],
        [
          'dims',
          await tar(resealed(manifest('"dims": 384', '"dims": 383'))),
          'BAD_ARCHIVE',
          /384 dims, the archive's vectors 383/,
        ],
        [
          'storage',
          await tar(resealed(manifest('"storage": "full"', '"storage": "half"'))),
          'BAD_ARCHIVE',
          /has 384 of <f4 a row/,
        ],
        [
          'newer',
          await tar(resealed(manifest('"formatVersion": 1', '"formatVersion": 2'))),
          'ARCHIVE_TOO_NEW',
          /version 2/,
        ],
        [
          'recipe',
          await tar(resealed(manifest('"overlap": 0', '"overlap": 1'))),
          'BAD_ARCHIVE',
          /recipe does not have its hash|manifest/,
        ],
        [
          'length',
          await tar(resealed(changed(entries, /embedding/, (text) => `${text.slice(0, -4)}\0\0\x80\x3f`))),
          'BAD_ARCHIVE',
          /row 2 has the length/,
        ],
        [
          'a file',
          await tar(
            resealed([
              ...entries.slice(0, 2),
              { name: 'part-00001/files/1', bytes: named(/chunks/).bytes },
              ...entries.slice(2),
            ]),
          ),
          'BAD_ARCHIVE',
          /is a file of no document/,
        ],
      ]
      for (const [what, archive, code, message] of cases) {
        const [status, got, said] = await refused(world(), 'bad', archive)
        expect([what, status], said).toEqual([what, got === 'BODY_INCOMPLETE' ? 400 : 422])
        expect(got, what).toMatch(new RegExp(`^(${code})$`))
        expect(said, what).toMatch(message)
      }
      expect(await traces(world(), 'bad')).toEqual([])
    })

    test('what tar itself packed again is taken, also as bytes of no known type', async () => {
      const again = entries.flatMap((entry) => [
        ...(entry.name.endsWith('documents-1.ndjson')
          ? [{ name: './part-00001/', bytes: Buffer.alloc(0) }]
          : []),
        { ...entry, name: `./${entry.name}` },
      ])
      const packed = await tar([{ name: './', bytes: Buffer.alloc(0) }, ...again])
      const { status } = await fetch(`${world().url}/v1/domains/again/import`, {
        method: 'POST',
        headers: { 'content-type': 'application/octet-stream' },
        body: new Uint8Array(packed),
      })
      expect(status).toBe(201)
    })

    test('a model that is not here, or of another revision, is named before anything is written', async () => {
      const other = (change: (recipe: Record<string, unknown>) => object, model?: string) =>
        changed(entries, 'manifest.json', (text) => {
          const manifest = JSON.parse(text)
          const recipe = change(manifest.generation.recipe)
          const sorted = canonical(recipe)
          const recipeHash = createHash('sha256').update(sorted).digest('hex')
          Object.assign(manifest.generation, {
            recipe,
            recipeHash,
            ...(model === undefined ? {} : { model }),
          })
          return JSON.stringify(manifest)
        })
      const unknown = await refused(
        world(),
        'x',
        await tar(other((recipe) => ({ ...recipe, model: 'nope' }), 'nope')),
      )
      expect(unknown).toEqual([
        409,
        'ARCHIVE_MODEL',
        expect.stringMatching(/made with nope, which is not here/),
      ])
      const revised = await refused(
        world(),
        'x',
        await tar(other((recipe) => ({ ...recipe, revision: 'r2' }))),
      )
      expect(revised).toEqual([409, 'ARCHIVE_MODEL', expect.stringMatching(/revision r2 of all-minilm/)])
      expect(await traces(world(), 'x')).toEqual([])
    })

    test('a domain that is there, a body that is no archive, a domain that is not there', async () => {
      expect(await refused(world(), 'good', whole)).toEqual([409, 'DOMAIN_EXISTS', expect.any(String)])
      expect(await world().call('POST', '/v1/domains/y/import', {})).toMatchObject({ status: 415 })
      expect(await world().call('GET', '/v1/domains/nope/export')).toMatchObject({ status: 404 })
    })

    const sockets: Socket[] = []
    afterAll(() => {
      for (const socket of sockets) socket.destroy()
    })

    /** Sends the beginning of an archive and waits until some of it stands in the database. */
    async function begun(name: string) {
      const socket = connect(Number(new URL(world().url).port), '127.0.0.1')
      sockets.push(socket)
      await once(socket, 'connect')
      socket.write(
        `POST /v1/domains/${name}/import HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-tar\r\ncontent-length: ${whole.length}\r\n\r\n`,
      )
      socket.write(whole.subarray(0, end))
      // Terms are the last that is written before what is not sent.
      await until(async () => {
        const [row] = await dbOf(world()).query<{ table: string | null }>(
          `select to_regclass('millrace.terms_' || g.id)::text as table
           from millrace.generations g join millrace.domains d on d.id = g.domain_id where d.name = $1`,
          [name],
        )
        if (row === undefined || row.table === null) return undefined
        const terms = await dbOf(world()).query(`select 1 from ${row.table}`)
        return terms.length === NOTES.length ? true : undefined
      })
      return socket
    }

    test('nobody sees one that has not come whole; a broken connection leaves nothing', async () => {
      const socket = await begun('cut')
      expect((await world().call('GET', '/v1/domains/cut')).status).toBe(404)
      expect((await world().call('POST', '/v1/domains/cut/search', { query: 'x' })).status).toBe(404)
      const { body } = await world().call('GET', '/v1/domains')
      expect(JSON.stringify(body)).not.toContain('"cut"')
      expect(await world().call('POST', '/v1/domains', { name: 'cut' })).toMatchObject({
        status: 409,
        body: { error: { code: 'DOMAIN_IMPORTING' } },
      })
      expect(await refused(world(), 'cut', whole)).toEqual([409, 'DOMAIN_IMPORTING', expect.any(String)])
      socket.destroy()
      await until(async () => ((await traces(world(), 'cut')).length === 0 ? true : undefined))
      expect((await sent(world(), 'cut', whole)).status).toBe(201)
    })

    test('one whose process died goes with its lease; who deletes the domain ends the import', async () => {
      const silent = await begun('silent')
      const db = dbOf(world())
      await db.query(
        `update millrace.domains set importing_until = now() - interval '1 second' where name = 'silent'`,
      )
      await dropLostImports(db)
      expect(await traces(world(), 'silent')).toEqual([])
      silent.destroy()

      const ended = await begun('ended')
      expect((await world().call('DELETE', '/v1/domains/ended')).status).toBe(204)
      ended.write(whole.subarray(end))
      const [answer] = (await once(ended, 'data')) as [Buffer]
      expect(answer.toString()).toMatch(/^HTTP\/1\.1 409 [\s\S]*IMPORT_ENDED/)
      ended.destroy()
      expect(await traces(world(), 'ended')).toEqual([])
    })
  })
}

/** As recipes are hashed: keys sorted. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )

for (const backend of databases()) {
  describe(`millrace export and import, ${backend.name}`, () => {
    const world = () => worldOf(backend)
    let folder: string
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'millrace-move-'))
      await filled(world(), 'house', {})
    })
    afterAll(() => rm(folder, { recursive: true, force: true }))

    /** What the command prints, or the code of why it failed. */
    async function command(...args: string[]): Promise<string> {
      let printed = ''
      const program = buildProgram({
        client: world().client,
        write: (text) => {
          printed += text
        },
        openEngine: () => {
          throw new Error('needs none')
        },
      })
      await program.parseAsync(args, { from: 'user' }).catch((error: unknown) => {
        printed += codeOf(error)
      })
      return printed
    }

    test('there and back, with what was moved', async () => {
      const file = join(folder, 'house.tar')
      expect(await command('export', 'house', '-o', file)).toMatch(
        /^exported house to .*house\.tar: 3 documents, 3 chunks, 3 vectors; [\d.]+ kB, checksums are right\n$/,
      )
      expect(await command('export', 'house', '-o', file)).toBe('FILE_EXISTS')
      const again = JSON.parse(await command('export', 'house', '-o', file, '--force', '--json'))
      expect(again).toMatchObject({ domain: 'house', file, counts: { documents: 3, chunks: 3 } })
      expect(await command('import', file)).toBe('DOMAIN_EXISTS')
      expect(await command('import', file, '--domain', 'home')).toBe(
        'imported home (all-minilm-l6-v2): 3 documents, 3 chunks, 3 vectors; nothing was embedded\n',
      )
      expect(await hits(world(), 'home', { query: QUESTION })).toEqual(
        await hits(world(), 'house', { query: QUESTION }),
      )
      expect(await readdir(folder)).toEqual(['house.tar'])
    })

    test('what cannot be moved is said, and leaves no file', async () => {
      expect(await command('export', 'nope', '-o', join(folder, 'nope.tar'))).toBe('UNKNOWN_DOMAIN')
      expect(await command('export', 'house', '-o', join(folder, 'no', 'way.tar'))).toBe('CANNOT_WRITE')
      expect(await command('import', join(folder, 'nope.tar'))).toBe('NO_SUCH_FILE')
      const wrong = join(folder, 'wrong.tar')
      await writeFile(wrong, 'x'.repeat(4_000))
      expect(await command('import', wrong)).toBe('BAD_ARCHIVE')
      const whole = await exported(world(), 'house')
      await writeFile(wrong, whole.subarray(0, whole.length - 5_000))
      expect(await command('import', wrong, '-d', 'cut-off')).toMatch(/BAD_ARCHIVE|BODY_INCOMPLETE/)
      await rm(wrong)
      expect((await readdir(folder)).filter((name) => name !== 'house.tar')).toEqual([])
    })
  })
}

test('an archive that does not come whole is not kept', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-move-'))
  const [backend] = databases()
  if (backend === undefined) throw new Error('no database')
  await filled(worldOf(backend), 'broken', {})
  const whole = await exported(worldOf(backend), 'broken')
  let cut = whole.length - 3_000
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/x-tar', 'content-length': whole.length })
    if (cut === whole.length) response.end(whole)
    else response.write(whole.subarray(0, cut), () => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const program = () =>
    buildProgram({
      client: openClient({ url, apiKey: undefined, language: 'en' }),
      write: () => undefined,
      openEngine: () => {
        throw new Error('needs none')
      },
    }).parseAsync(['export', 'broken', '-o', join(folder, 'broken.tar')], { from: 'user' })
  await expect(program()).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
  const at = whole.indexOf('Bread needs')
  whole.write('Toast', at)
  cut = whole.length
  await expect(program()).rejects.toMatchObject({ code: 'BAD_ARCHIVE' })
  expect(await readdir(folder)).toEqual([])
  server.close()
  await rm(folder, { recursive: true })
})
