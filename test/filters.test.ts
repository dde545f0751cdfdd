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
