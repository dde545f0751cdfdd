import { readFile } from 'node:fs/promises'
import { codeOf, messageOf } from '@millrace/errors'
import { checkFilter } from '@millrace/flow'
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

/** 22023 of the SQL function, as HTTP says it and as SQL does. */
async function outcome(ask: () => Promise<string[]>): Promise<{ ids?: string[]; error?: string }> {
  try {
    return { ids: (await ask()).sort(byBytes) }
  } catch (error) {
    expect(codeOf(error)).toMatch(/^(22023|INVALID_FILTER)$/)
    return { error: messageOf(error) }
  }
}

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

for (const backend of backends().filter(({ name }) => name !== 'Postgres alone')) {
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

    const inSql = async (domain: string, filter: unknown): Promise<string[]> => {
      const rows = await sql<{ id: string }>(
        `select document_id as id from millrace.search($1, '[1, 0]', 1000, -1, $2)`,
        [domain, JSON.stringify(filter)],
      )
      return rows.map(({ id }) => id)
    }

    const overHttp = async (domain: string, filter: unknown): Promise<string[]> => {
      const { status, body } = await world.call('POST', `/v1/domains/${domain}/search`, {
        vector: [1, 0],
        k: 1000,
        threshold: -1,
        filter,
      })
      if (body.error !== undefined) {
        expect(status).toBe(400)
        throw Object.assign(new Error(body.error.message), body.error)
      }
      return (body.hits as { documentId: string }[]).map(({ documentId }) => documentId)
    }

    test.each(cases)('$name', async ({ filter, ids, error }) => {
      for (const ask of [inSql, overHttp]) {
        const found = await outcome(() => ask('cases', filter))
        expect(found).toEqual(
          ids === undefined ? { error: expect.stringContaining(error ?? '') } : { ids: ids.sort(byBytes) },
        )
      }
    })
  })
}
