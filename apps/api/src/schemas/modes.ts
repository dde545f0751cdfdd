import { z } from 'zod'

export const mode = z
  .enum(['dense', 'sparse', 'hybrid'])
  .describe('By meaning (dense), by words (sparse) or by both')
const weight = z.number().min(0).max(1_000)
export const fusion = z
  .union([
    z.string().describe('Name of a preset'),
    z.strictObject({ method: z.literal('rrf'), k: z.number().min(1).max(10_000).default(60) }),
    z.strictObject({
      method: z.literal('weighted'),
      dense: weight,
      sparse: weight,
      colbert: weight.optional(),
    }),
  ])
  .describe('How the results by meaning and by words become one')
export const rerank = z
  .strictObject({
    by: z.string().describe('colbert, or the id of a model that reranks'),
    top: z.int().min(1).max(200).optional().describe('Hits that are reranked; default 50'),
  })
  .nullable()
  .describe('null: none')
