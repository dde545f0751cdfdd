import { OUTPUTS } from '@millrace/embed'
import { z } from 'zod'
import { domainName } from './schemas.js'

/** Of calls about queries: their vectors, their log, and why a document is not among the hits. */
export const embedIn = z
  .strictObject({
    texts: z.array(z.string()).min(1).max(100),
    model: z.string().optional().describe('Left out, with domain too: the default model'),
    domain: domainName.optional().describe('Its model, and texts are cleaned as its documents are'),
    kind: z
      .enum(['query', 'document'])
      .default('query')
      .describe('Some models read a query with an instruction before it'),
    outputs: z.array(z.enum(OUTPUTS)).min(1).default(['dense']),
    sql: z.boolean().default(false).describe('Also as literals for SQL'),
  })
  .refine(({ model, domain }) => model === undefined || domain === undefined, {
    error: 'send either model or domain',
  })

const failure = z.object({
  error: z.object({ code: z.string(), message: z.string(), hint: z.string().optional() }),
})
export const embedOut = z.object({
  model: z.string(),
  revision: z.string(),
  dims: z.int(),
  texts: z
    .array(
      z.union([
        failure,
        z.object({
          tokens: z.int().describe('Special tokens included'),
          windows: z.int().describe('More than 1: longer than the model takes, and pooled over that many'),
          dense: z.array(z.number()).optional().describe('Unit length'),
          sparse: z.record(z.string(), z.number()).optional().describe('A weight a token id'),
          colbert: z.array(z.array(z.number())).optional().describe('A vector a token'),
          sql: z
            .object({
              vector: z.string().optional().describe('For a parameter of type vector'),
              terms: z.string().optional().describe('For a parameter of type sparsevec'),
            })
            .optional(),
        }),
      ]),
    )
    .describe('In the order of texts; a wrong one has an error in its place'),
})
