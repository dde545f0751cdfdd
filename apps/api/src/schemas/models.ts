import { z } from 'zod'
import { levels } from './shared.js'

export const modelsOut = z.object({
  default: z.string().describe('The model of a domain that names none'),
  models: z.array(
    z.object({
      id: z.string().describe('What a domain names; a variant has its precision in it'),
      revision: z.string().describe('Changes whenever the vectors do'),
      precision: z.string().describe('remote: a server computes the vectors'),
      dims: z.int().describe('Numbers of a vector; 1 of a reranker'),
      tokensMax: z.int().describe('What it reads at once, special tokens included'),
      languages: z.array(z.string()).describe('What it was made for, as language tags'),
      outputs: z.array(z.enum(['dense', 'sparse', 'colbert'])).describe('None of a reranker'),
      reranker: z.boolean().describe('For search.rerank.by, and for no domain'),
      state: z.enum(['absent', 'loading', 'ready', 'failed']).describe('absent: loaded when it is needed'),
      license: z.string().nullable(),
      threshold: z
        .number()
        .nullable()
        .describe('Where its lowest level ends: one to begin with; null: it has one level'),
      levels,
      memoryBytes: z
        .int()
        .nullable()
        .describe('By how much memory grew when it was loaded; null: not loaded here'),
    }),
  ),
})
