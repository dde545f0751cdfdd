import { readFile } from 'node:fs/promises'
import { codeOf, messageOf } from '@millrace/errors'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { backends } from './support/backends.js'
import { openWorld, type World } from './support/world.js'

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }
type Filter = { readonly [key: string]: Json }

const jsonSchema: z.ZodType<Json> = z.lazy(() =>
  z.union([
    z.null(),
    z.boolean(),
    z.number(),
    z.string(),
    z.array(jsonSchema),
    z.record(z.string(), jsonSchema),
  ]),
)
const filterSchema = z.record(z.string(), jsonSchema)
const documentSchema = z.strictObject({
  id: z.string(),
  title: z.string().nullable(),
  createdAt: z.string(),
  metadata: filterSchema,
})
type Document = z.infer<typeof documentSchema>

/** One file for SQL and HTTP, so that both mean the same. */
const { documents, cases } = z
  .strictObject({
    documents: z.array(documentSchema),
    cases: z.array(
      z.strictObject({
        name: z.string(),
        filter: jsonSchema,
        ids: z.array(z.string()).optional(),
        error: z.string().optional(),
      }),
    ),
  })
  .parse(JSON.parse(await readFile(new URL('filter-cases.json', import.meta.url), 'utf8')))

const good = cases.filter(({ ids }) => ids !== undefined)
const wrong = cases.filter(({ ids }) => ids === undefined)
const resultsSchema = z.array(z.object({ hits: z.array(z.object({ documentId: z.string() })) }))

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** What docs/filters.md says, in a few lines: the reference for filters nobody has thought of. */
function matches(filter: Filter, document: Document): boolean {
  return Object.entries(filter).every(([field, value]) => {
    const inner = () => z.array(filterSchema).parse(value)
    if (field === 'and') return inner().every((one) => matches(one, document))
    if (field === 'or') return inner().some((one) => matches(one, document))
    if (field === 'not') return !matches(filterSchema.parse(value), document)
    const found = field === 'document.title' ? document.title : document.metadata[field]
    const isThere = field === 'document.title' ? found !== null : found !== undefined
    const tests = value !== null && typeof value === 'object' && !Array.isArray(value) ? value : { eq: value }
    return Object.entries(tests).every(([operator, operand]) => compares(operator, found, operand, isThere))
  })
}

function compares(operator: string, found: Json | undefined, operand: Json, isThere: boolean): boolean {
  if (operator === 'eq') return found === operand
  if (operator === 'ne') return found !== operand
  if (operator === 'in')
    return z
      .array(jsonSchema)
      .parse(operand)
      .some((one) => one === found)
  if (operator === 'exists') return isThere === operand
  if (operator === 'contains' && Array.isArray(found)) return found.includes(operand)
  if (operator === 'contains' || operator === 'prefix') {
    if (typeof found !== 'string' || typeof operand !== 'string') return false
    return operator === 'prefix' ? found.startsWith(operand) : found.includes(operand)
  }
  const order =
    typeof found === 'string' && typeof operand === 'string'
      ? byBytes(found, operand)
      : typeof found === 'number' && typeof operand === 'number'
        ? found - operand
        : Number.NaN
  if (operator === 'gt') return order > 0
  if (operator === 'gte') return order >= 0
  return operator === 'lt' ? order < 0 : order <= 0
}

// Few values, so that filters match now and then. U+FF61 and U+1F600 sort otherwise in UTF-16 than in UTF-8.
const text = fc.constantFrom('', 'a', 'ab', 'B', 'é', '｡', '😀', '1', '%', "'")
const number = fc.constantFrom(-1, 0, 0.5, 1, 10)
const scalar: fc.Arbitrary<Json> = fc.oneof(text, number, fc.boolean(), fc.constant(null))
const found: fc.Arbitrary<Json> = fc.oneof(
  { weight: 4, arbitrary: scalar },
  { weight: 1, arbitrary: fc.array(scalar, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.constant({ a: 1 }) },
)
const metadatas = fc.record({ a: found, b: found, 'c d': found }, { requiredKeys: [] })
const titles = fc.option(text)
const ordered = { gt: 0, gte: 0, lt: 0, lte: 0 }
const operatorsOf = (value: fc.Arbitrary<Json>, compared: fc.Arbitrary<Json>): fc.Arbitrary<Filter> =>
  fc
    .record(
      {
        eq: value,
        ne: value,
        in: fc.array(value, { maxLength: 20 }),
        exists: fc.boolean(),
        prefix: text,
        ...Object.fromEntries(Object.keys(ordered).map((operator) => [operator, compared])),
      },
      { requiredKeys: [] },
    )
    .map((all) => Object.fromEntries(Object.entries(all).slice(0, 2)))
    .filter((some) => Object.keys(some).length > 0)
const comparison: fc.Arbitrary<Filter> = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('a', 'b', 'c d', 'nowhere'),
      fc.oneof(
        scalar,
        operatorsOf(scalar, fc.oneof(text, number)),
        scalar.map((contains) => ({ contains })),
      ),
    )
    .map(([field, value]) => ({ [field]: value })),
  fc
    .oneof(
      titles,
      operatorsOf(titles, text),
      text.map((contains) => ({ contains })),
    )
    .map((value) => ({ 'document.title': value })),
)
const { filter: filters } = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 3 },
    comparison,
    fc.tuple(comparison, comparison).map(([one, other]) => ({ ...one, ...other })),
    fc.array(tie('filter'), { maxLength: 3 }).map((and) => ({ and })),
    fc.array(tie('filter'), { maxLength: 3 }).map((or) => ({ or })),
    tie('filter').map((not) => ({ not })),
  ),
}))

// The queue has no part in this: each kind of database once.
for (const backend of backends().slice(0, 2)) {
  describe(`filters, ${backend.name}`, () => {
    let world: World
    beforeAll(async () => {
      world = await openWorld(backend)
      await fill('cases', documents)
    })
    afterAll(() => world?.close())

    const sql = <Row extends object>(text: string, values: readonly unknown[] = []) =>
      world.running.backends.db.query<Row>(text, values)

    async function fill(domain: string, given: readonly Document[]): Promise<void> {
      await world.call('POST', '/v1/domains', { name: domain, model: 'external', dims: 2 })
      const { status, body } = await world.call('POST', `/v1/domains/${domain}/documents`, {
        documents: given.map(({ createdAt: _, ...document }, i) => ({
          ...document,
          chunks: [{ text: document.id, vector: [1, i / 100] }],
        })),
      })
      expect({ status, body }).toMatchObject({ status: 202, body: { accepted: given.length, rejected: [] } })
      await sql(
        `update millrace.documents d set created_at = g.at
         from unnest($2::text[], $3::timestamptz[]) g (id, at)
         where d.external_id = g.id and d.domain_id = (select id from millrace.domains where name = $1)`,
        [domain, given.map(({ id }) => id), given.map(({ createdAt }) => createdAt)],
      )
    }

    const searched = async (domain: string, given: readonly Json[]): Promise<string[][]> => {
      const rows = await sql<{ ids: string[] }>(
        `select array(
           select s.document_id from millrace.search($1, '[1, 0]', 100, -1, f.filter) s order by s.document_id collate "C"
         ) as ids
         from jsonb_array_elements($2) with ordinality f (filter, at) order by f.at`,
        [domain, JSON.stringify(given)],
      )
      return rows.map(({ ids }) => ids)
    }
    const overHttp = (domain: string, body: object) =>
      world.call('POST', `/v1/domains/${domain}/search`, { k: 100, threshold: -1, ...body })

    // Many to a call: one call each took ten times as long.
    test('every case of filter-cases.json, in SQL', async () => {
      const lists = await searched(
        'cases',
        good.map(({ filter }) => filter),
      )
      expect(good.map(({ name }, i) => ({ name, ids: lists[i] }))).toEqual(
        good.map(({ name, ids }) => ({ name, ids: [...(ids ?? [])].sort(byBytes) })),
      )
      const said = await Promise.all(
        wrong.map(({ filter }) =>
          searched('cases', [filter]).then(String, (error) => {
            expect(codeOf(error)).toBe('22023')
            return messageOf(error)
          }),
        ),
      )
      expect(wrong.map(({ name }, i) => ({ name, said: said[i] }))).toEqual(
        wrong.map(({ name, error = '' }) => ({
          name,
          said: expect.stringContaining(error),
        })),
      )
    })

    test('every case of filter-cases.json, over HTTP', async () => {
      const { status, body } = await overHttp('cases', {
        queries: good.map(({ filter }) => ({ vector: [1, 0], filter })),
      })
      expect({ status, error: body.error }).toEqual({ status: 200, error: undefined })
      const results = resultsSchema.parse(body.results)
      expect(
        good.map(({ name }, i) => ({
          name,
          ids: results[i]?.hits.map(({ documentId }) => documentId).sort(byBytes),
        })),
      ).toEqual(good.map(({ name, ids }) => ({ name, ids: [...(ids ?? [])].sort(byBytes) })))
      const answers = await Promise.all(
        wrong.map(({ filter }) => overHttp('cases', { vector: [1, 0], filter })),
      )
      expect(wrong.map(({ name }, i) => ({ name, ...answers[i] }))).toMatchObject(
        wrong.map(({ name, error = '' }) => ({
          name,
          status: 400,
          body: { error: { code: 'INVALID_FILTER', message: expect.stringContaining(error) } },
        })),
      )
    })

    test('random filters find what the reference says', async () => {
      const ids = Array.from({ length: 8 }, (_, i) => `r${i}`)
      const plain = { title: null, createdAt: '2026-01-01T00:00:00.000Z', metadata: {} }
      await fill(
        'random',
        ids.map((id) => ({ id, ...plain })),
      )
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(titles, metadatas), { minLength: ids.length, maxLength: ids.length }),
          fc.array(filters, { minLength: 4, maxLength: 4 }),
          async (given, asked) => {
            const all = given.map(([title, metadata], i) =>
              documentSchema.parse({ ...plain, id: ids[i], title, metadata }),
            )
            await sql(
              `update millrace.published p set title = g.title, metadata = g.metadata
               from jsonb_to_recordset($1) as g (id text, title text, metadata jsonb)
               join millrace.documents d on d.external_id = g.id where p.document_id = d.id`,
              [JSON.stringify(all)],
            )
            expect(await searched('random', asked)).toEqual(
              asked.map((filter) => all.filter((document) => matches(filter, document)).map(({ id }) => id)),
            )
          },
        ),
        { numRuns: 40 },
      )
    })

    test('a thousand filters in each other are refused, not tried', async () => {
      const deep = `${'{"and":['.repeat(1000)}{"n":1}${']}'.repeat(1000)}`
      await expect(
        sql(`select * from millrace.search('cases', '[1, 0]', 10, -1, $1)`, [deep]),
      ).rejects.toMatchObject({ code: '22023', message: expect.stringContaining('deeper than 8') })
      const answer = await world.call(
        'POST',
        '/v1/domains/cases/search',
        `{"vector":[1,0],"k":10,"filter":${deep}}`,
      )
      expect(answer).toMatchObject({
        status: 400,
        body: { error: { code: 'INVALID_FILTER', message: expect.stringContaining('deeper than 8') } },
      })
    })
  })
}
