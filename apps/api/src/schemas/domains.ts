import { levelsSchema } from '@millrace/embed'
import { DIMS_MAX } from '@millrace/flow'
import { CHUNK_SIZE_MIN, CHUNKING_KINDS, CLEANING_STEPS } from '@millrace/text'
import { z } from 'zod'
import { besidesOut } from './besides.js'
import { fusion, mode, rerank } from './modes.js'
import { candidates, counts, domainName, efSearch, leastScore, levels } from './shared.js'

const threshold = z
  .number()
  .min(-1)
  .max(1)
  .nullable()
  .describe('Least similarity of a hit, -1 to 1; null: no cut')

export const chunkingIn = z.strictObject({
  kind: z
    .enum(CHUNKING_KINDS)
    .optional()
    .describe('How texts are divided; the other options have defaults of each kind'),
  size: z
    .int()
    .min(CHUNK_SIZE_MIN)
    .optional()
    .describe('Tokens of a chunk at most, special tokens and context included'),
  overlap: z.int().min(0).optional().describe('Tokens that a chunk repeats of the one before it'),
  context: z
    .enum(['title', 'headings', 'none'])
    .optional()
    .describe('What the model reads before the text of a chunk; headings: title and heading path'),
  template: z.string().optional().describe('Instead of context: a text with {title} and {headings} in it'),
  pooling: z.enum(['mean', 'max']).optional().describe('Of document: how the vectors of windows become one'),
  parentSize: z.int().optional().describe('Of parent: tokens of a parent at most'),
})
export const cleaningIn = z
  .partialRecord(z.enum(CLEANING_STEPS), z.boolean())
  .describe('Steps of cleaning to switch on or off')
export const storage = z
  .enum(['full', 'half', 'sq8', 'sq4', 'binary'])
  .describe('How vectors are kept: float32, float16, codes of 8 or 4 bits, or float16 found by their signs')
export const outputs = z
  .array(z.enum(['dense', 'sparse', 'colbert']))
  .min(1)
  .describe('What is kept of a text; default dense and sparse')
export const indexIn = z.strictObject({
  m: z.int().min(2).max(100).optional().describe('Neighbours of a vector in the index; default 16'),
  efConstruction: z
    .int()
    .min(4)
    .max(1_000)
    .optional()
    .describe('Candidates looked at for each while it is built, at least 2 m; default 64'),
})
const band = z.strictObject({
  threshold: leastScore.optional(),
  levels: levelsSchema.nullable().optional(),
})
const otherScores = z
  .strictObject({ sparse: band, hybrid: band, colbert: band, rerank: band })
  .partial()
  .describe('Threshold and levels of other scores than dense')

export const domainIn = z.strictObject({
  name: domainName,
  model: z.string().optional().describe('external: documents bring chunks with vectors'),
  dims: z
    .int()
    .min(1)
    .max(DIMS_MAX)
    .optional()
    .describe('Numbers of a vector; of an external domain, and of no other'),
  threshold: threshold.optional(),
  levels: levelsSchema.optional(),
  chunking: chunkingIn.optional(),
  cleaning: cleaningIn.optional(),
  storage: storage.optional(),
  outputs: outputs.optional(),
  index: indexIn
    .extend({ efSearch: efSearch.optional(), candidates: candidates.nullable().optional() })
    .optional(),
  search: z
    .strictObject({
      mode: mode.optional(),
      fusion: fusion.nullable().optional(),
      rerank: rerank.optional(),
    })
    .optional()
    .describe('What searches do unless they say otherwise'),
  scores: otherScores.optional(),
})
export const domainChange = domainIn.omit({ name: true, dims: true })

export const domainOut = z.object({
  name: z.string(),
  generation: z
    .object({ id: z.string(), state: z.string() })
    .describe('The one that searches see: GET …/generations lists all'),
  model: z.string(),
  modelState: z.enum(['absent', 'loading', 'ready', 'failed']),
  dims: z.int(),
  threshold: z.number().nullable(),
  levels,
  chunking: z
    .object({
      kind: z.string(),
      size: z.int(),
      overlap: z.int(),
      context: z.string(),
      template: z.string().optional(),
      pooling: z.string().optional(),
      parentSize: z.int().optional(),
    })
    .nullable()
    .describe('null: of an external domain'),
  cleaning: z.record(z.string(), z.boolean()).nullable(),
  storage: z.string(),
  outputs: z.array(z.string()),
  lexical: z.string().nullable().describe('What sparse is: learned by the model, or bm25 over words'),
  index: z.object({
    m: z.int(),
    efConstruction: z.int(),
    efSearch: z.int(),
    candidates: z.int().nullable().describe('null: what the form of storage needs'),
  }),
  search: z.object({
    mode: z.string(),
    fusion: z
      .union([z.string(), z.record(z.string(), z.unknown())])
      .nullable()
      .describe('null: the usual one for its words'),
    rerank: z.object({ by: z.string(), top: z.int() }).nullable(),
  }),
  scores: z.record(z.string(), z.object({ threshold: z.number().nullable(), levels: levels.nullable() })),
  staleThresholds: z
    .array(z.object({ score: z.string(), threshold: z.number(), recipe: z.string() }))
    .describe('Set for another recipe, fusion or reranker: not applied'),
  createdAt: z.string(),
  updatedAt: z.string(),
})
export const domainDetail = domainOut.extend({ documents: counts, ...besidesOut })
