import { submissionSchema } from 'millrace/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databases } from './support/backends.js'
import { openWorld, type World } from './support/world.js'

interface Field {
  name: string
  types: string[]
  documents: number
  distinct: number | null
  values: { value: unknown; documents: number }[]
  min: unknown
  max: unknown
}
interface Fields {
  documents: number
  sampled: boolean
  fields: Field[]
}

const METADATA = [
  { lang: 'zh', year: 2024, tags: ['new', 'sale', 'new'], day: '2026-01-31', nested: { a: 1 }, 'a.b': true },
  { lang: 'en', year: 2025.5, tags: ['new'], day: '2025-12-01T08:00:00Z', price: 9, and: 'left out' },
  { lang: 'en', year: -3, tags: [['deep'], { a: 1 }, 7], price: '9', empty: null, 'document.x': 1 },
  { lang: 'x'.repeat(300), 名称: '退款😀', day: '2026-13-01', "o'clock; drop": '"' },
  {},
]

for (const backend of databases()) {
  describe(`fields of the metadata, ${backend.name}`, () => {
    let world: World
    beforeAll(async () => {
      world = await openWorld(backend)
    })
    afterAll(() => world?.close())

    async function fill(name: string, metadata: readonly object[]) {
      await world.call('POST', '/v1/domains', { name, model: 'external', dims: 1 })
      const documents = metadata.map((own, i) => ({
        id: String(i),
        chunks: [{ text: 'a', vector: [1] }],
        metadata: own,
      }))
      for (let at = 0; at < documents.length; at += 1_000) {
        const body = { documents: documents.slice(at, at + 1_000) }
        const sent = await world.client.post(`/v1/domains/${name}/documents`, body, submissionSchema)
        await world.finished(sent.ingestion)
      }
    }
    const fieldsOf = async (name: string) => {
      const { status, body } = await world.call('GET', `/v1/domains/${name}/fields`)
      expect(status).toBe(200)
      return body as unknown as Fields
    }

    test('each has its types, its commonest values and its bounds', async () => {
      await fill('mixed', METADATA)
      const { documents, sampled, fields } = await fieldsOf('mixed')
      expect({ documents, sampled }).toEqual({ documents: 5, sampled: false })
      expect(fields.map(({ name, documents: have }) => [name, have])).toEqual([
        ['lang', 4],
        ['day', 3],
        ['tags', 3],
        ['year', 3],
        ['price', 2],
        ['a.b', 1],
        ['empty', 1],
        ['nested', 1],
        ["o'clock; drop", 1],
        ['名称', 1],
      ])
      const named = new Map(fields.map(({ name, documents: _, ...field }) => [name, field]))
      expect(named.get('lang')).toEqual({
        types: ['string'],
        distinct: 3,
        // The long one is none to choose.
        values: [
          { value: 'en', documents: 2 },
          { value: 'zh', documents: 1 },
        ],
        min: null,
        max: null,
      })
      expect(named.get('year')).toMatchObject({ types: ['number'], distinct: 3, min: -3, max: 2025.5 })
      expect(named.get('day')).toMatchObject({
        types: ['date', 'string'],
        min: '2025-12-01T08:00:00Z',
        max: '2026-01-31',
      })
      // Twice in one list is one document; lists in lists cannot be looked for.
      expect(named.get('tags')).toEqual({
        types: ['array'],
        distinct: 3,
        values: [
          { value: 'new', documents: 2 },
          { value: 'sale', documents: 1 },
          { value: 7, documents: 1 },
        ],
        min: null,
        max: null,
      })
      expect(named.get('price')).toMatchObject({ types: ['number', 'string'], distinct: 2, min: 9, max: 9 })
      expect(named.get('empty')).toMatchObject({ types: ['null'], values: [{ value: null, documents: 1 }] })
      expect(named.get('nested')).toMatchObject({ types: ['object'], distinct: 0, values: [] })
      expect(named.get('名称')?.values).toEqual([{ value: '退款😀', documents: 1 }])
    })

    test('every name and value that is told finds as many documents with a filter', async () => {
      const { fields } = await fieldsOf('mixed')
      for (const { name, types, values } of fields) {
        for (const { value, documents } of values) {
          const filter = { [name]: types.includes('array') ? { contains: value } : { eq: value } }
          const search = { vector: [1], filter, k: 10 }
          const { body } = await world.call('POST', '/v1/domains/mixed/search', search)
          expect({ filter, found: (body.hits as unknown[]).length }).toEqual({ filter, found: documents })
        }
      }
    })

    test('an empty domain has none, a domain that is not there is refused', async () => {
      await fill('empty', [])
      expect(await fieldsOf('empty')).toEqual({ documents: 0, sampled: false, fields: [] })
      expect(await world.call('GET', '/v1/domains/nobody/fields')).toMatchObject({
        status: 404,
        body: { error: { code: 'UNKNOWN_DOMAIN' } },
      })
      expect((await world.call('POST', '/v1/domains/empty/fields', {})).status).toBe(405)
    })

    test('the newest 10,000 documents are looked at; many values and fields are cut', async () => {
      const { db } = world.running.backends
      await fill('many', [{ oldest: true }])
      // As a load would leave them, without its minutes.
      await db.query(
        `with made as (
           insert into millrace.documents
             (domain_id, external_id, text, content_hash, ingestion_id, state, chunks)
           select d.domain_id, 'made-' || i, d.text, d.content_hash, d.ingestion_id, 'ready', 0
           from millrace.documents d join millrace.domains o on o.id = d.domain_id, generate_series(1, 10000) i
           where o.name = 'many' returning id
         )
         insert into millrace.published (generation_id, document_id, revision, metadata)
         select g.id, m.id, 1, jsonb_build_object('n', m.id, 'even', m.id % 2 = 0, 'word', 'w' || m.id % 50,
             'field' || m.id % 300, true)
         from made m, millrace.generations g join millrace.domains d on d.id = g.domain_id where d.name = 'many'`,
      )
      const started = performance.now()
      const { documents, sampled, fields } = await fieldsOf('many')
      expect(performance.now() - started).toBeLessThan(15_000)
      expect({ documents, sampled }).toEqual({ documents: 10_000, sampled: true })
      expect(fields).toHaveLength(200)
      const named = new Map(fields.map((field) => [field.name, field]))
      expect(named.has('oldest')).toBe(false)
      expect(named.get('n')).toMatchObject({ documents: 10_000, distinct: null })
      expect(named.get('n')?.values).toHaveLength(20)
      expect(named.get('word')).toMatchObject({ distinct: 50 })
      expect(named.get('even')?.values).toEqual([
        { value: false, documents: 5_000 },
        { value: true, documents: 5_000 },
      ])
    })
  })
}
