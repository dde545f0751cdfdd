import { z } from 'zod'
import { counts, indexState } from './shared.js'

const grouped = z.array(
  z.object({
    code: z.string(),
    count: z.int(),
    example: z.object({ document: z.string(), message: z.string() }),
  }),
)
const refused = z.array(
  z.object({
    code: z.string(),
    count: z.int(),
    example: z.record(z.string(), z.unknown()).describe('{index, id?, message} of the first'),
  }),
)
const chunkCounts = z.object({ total: z.int(), embedded: z.int(), reused: z.int() })
const tokenCounts = z.object({ total: z.int(), embedded: z.int() })

export const ingestionOut = z.object({
  id: z.string(),
  domain: z.string(),
  state: z.enum(['running', 'cancelled', 'finished']),
  receiving: z.boolean().describe('Documents are still being sent'),
  documents: counts.extend({ unchanged: z.int().describe('part of ready') }),
  chunks: chunkCounts,
  tokens: tokenCounts,
  tokensPerSecond: z
    .number()
    .nullable()
    .describe('Of the last one or two minutes; once it has ended, of all the time it worked'),
  etaSeconds: z.number().nullable().describe('null until it can be told, and while receiving'),
  errors: grouped.describe('Of documents that failed'),
  rejected: z.object({ total: z.int(), codes: refused }).describe('Documents that were not taken'),
  index: indexState,
  sync: z
    .object({
      source: z.string(),
      state: z.enum(['waiting', 'done', 'skipped']),
      deleted: z.int(),
      reason: z.string().nullable(),
    })
    .nullable(),
  report: z
    .object({
      seconds: z.number(),
      documents: z.object({
        sent: z.int(),
        ready: z.int(),
        unchanged: z.int(),
        failed: z.int(),
        cancelled: z.int(),
        refused: z.int(),
        deleted: z.int(),
      }),
      chunks: chunkCounts,
      tokens: tokenCounts,
      refused,
      failed: grouped,
      textCut: z.object({
        characters: z.int().describe('Of cleaned text, white space aside, that are in no chunk'),
      }),
      empty: z.int().describe('Documents of which cleaning left nothing'),
    })
    .nullable()
    .describe('null until it has ended'),
  startedAt: z.string(),
  finishedAt: z.string().nullable(),
})
export const ingestionsPage = z.object({ ingestions: z.array(ingestionOut), cursor: z.string().nullable() })
export const ingestionsQuery = z.strictObject({
  cursor: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
})
