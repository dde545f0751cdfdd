import { findDomain, reportStorage, STORAGE_SAMPLE_MAX } from '@millrace/flow'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { oneAtATime } from '../alone.js'
import type { ApiDeps } from '../deps.js'
import { domainName, problems } from '../schemas/shared.js'

const storageQuery = z.strictObject({
  sample: z.coerce
    .number()
    .int()
    .min(2)
    .max(STORAGE_SAMPLE_MAX)
    .default(1_000)
    .describe('Texts whose stored vectors are compared with float32 ones'),
})

const perVector = z.object({ table: z.number(), index: z.number(), total: z.number() })

const storageOut = z.object({
  domain: z.string(),
  storage: z.string(),
  dims: z.int(),
  vectors: z.int(),
  bytesPerVector: perVector
    .nullable()
    .describe('Of everything below, over the vectors; null: there are none'),
  float32Bytes: z.int().describe('What the numbers of a float32 vector alone take'),
  parts: z
    .array(
      z.object({
        name: z.string().describe('vectors, terms (of sparse) or colbert'),
        rows: z.int(),
        tableBytes: z.number().describe('pg_table_size'),
        indexBytes: z.number().describe('pg_indexes_size'),
        bytesPerRow: perVector.nullable(),
        indexes: z.array(z.object({ name: z.string(), bytes: z.number() })),
      }),
    )
    .describe('The tables of the domain, each with its indexes'),
  error: z
    .object({
      mean: z.number(),
      p99: z.number(),
      largest: z.number(),
      pairs: z.int().describe('Ordered: a text as a query, another as it is stored'),
    })
    .nullable()
    .describe('Difference of similarity to float32; null: not measured, and a note says why'),
  recall: z
    .object({
      k: z.int(),
      recall: z.number(),
      candidates: z
        .int()
        .nullable()
        .describe('As many of the sampled texts as bits gave; null: the form has no bits, all were compared'),
    })
    .nullable()
    .describe('Share of the true nearest k of the sampled texts that are found; null: not measured'),
  sampled: z.int().describe('Texts that were compared'),
  copiedFrom: z
    .string()
    .nullable()
    .describe(
      'The coarsest form that the vectors came through, whose precision they have; null: none coarser',
    ),
  notes: z.array(z.string()),
})

const overRows = (rows: number, table: number, index: number) =>
  rows === 0
    ? null
    : { table: tenths(table / rows), index: tenths(index / rows), total: tenths((table + index) / rows) }
const tenths = (value: number): number => Math.round(value * 10) / 10
const rounded = (value: number): number => Math.round(value * 1e6) / 1e6

export const storageRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  const alone = oneAtATime(
    'Another report on storage is running',
    'Try again when that one is done, half a minute at most',
  )
  app.get(
    '/v1/domains/:name/storage',
    {
      schema: {
        summary: 'What the vectors of a domain take, and how far they are from float32',
        tags: ['domains'],
        params: z.strictObject({ name: domainName }),
        querystring: storageQuery,
        response: { 200: storageOut, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      // It embeds and compares for seconds: one at a time.
      return alone(async () => {
        const { parts, accuracy, notes, ...report } = await reportStorage(deps, domain, request.query)
        const vectors = parts.find(({ name }) => name === 'vectors')?.rows ?? 0
        const sum = (of: (part: (typeof parts)[number]) => number) =>
          parts.reduce((total, part) => total + of(part), 0)
        return {
          domain: domain.name,
          ...report,
          vectors,
          bytesPerVector: overRows(
            vectors,
            sum(({ tableBytes }) => tableBytes),
            sum(({ indexBytes }) => indexBytes),
          ),
          float32Bytes: 4 * domain.dims,
          parts: parts.map((part) => ({
            ...part,
            bytesPerRow: overRows(part.rows, part.tableBytes, part.indexBytes),
            indexes: part.indexes.map((index) => ({ ...index })),
          })),
          error:
            accuracy === null
              ? null
              : {
                  mean: rounded(accuracy.errors.mean),
                  p99: rounded(accuracy.errors.p99),
                  largest: rounded(accuracy.errors.largest),
                  pairs: accuracy.errors.pairs,
                },
          recall:
            accuracy === null
              ? null
              : { k: accuracy.k, recall: rounded(accuracy.recall), candidates: accuracy.candidates },
          sampled: accuracy?.sampled ?? 0,
          notes: [...notes],
        }
      })
    },
  )
}
