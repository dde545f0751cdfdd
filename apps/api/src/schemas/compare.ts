import { SCORE_KINDS } from '@millrace/flow'
import { z } from 'zod'
import { comparisonOut } from './golden.js'
import { queryText, queryVector, searchOptions, tookMs } from './search.js'
import { isOneOf } from './shared.js'

const QUERIES_MAX = 20
const generationId = z.union([z.string(), z.int()]).transform(String)
export const generationsCompareIn = searchOptions
  .omit({ explain: true })
  .extend({
    k: z.int().min(1).max(100).default(10),
    query: queryText.optional(),
    vector: queryVector.optional(),
    queries: z.array(queryText).min(1).max(QUERIES_MAX).optional().describe('Several at once'),
    golden: z
      .literal(true)
      .optional()
      .describe('The whole golden set; k, mode, fusion, rerank, threshold and how it is searched count'),
    generations: z
      .tuple([generationId, generationId])
      .optional()
      .describe('Left out: the live one, and the one that is being built or was live before'),
  })
  .refine(({ query, vector, queries, golden }) => isOneOf([query, vector, queries, golden]), {
    error: 'send either query, vector, queries or golden',
  })
  .refine(({ golden, filter, thresholds }) => golden === undefined || (filter ?? thresholds) === undefined, {
    error: 'the questions of a golden set have filters of their own, and thresholds cut nothing',
  })

const score = z.enum(SCORE_KINDS)
const placed = z.object({
  rank: z.int(),
  chunk: z.int(),
  start: z.int(),
  end: z.int(),
  text: z.string().describe('Its first 300 characters'),
  score: z.number(),
  rankedBy: score,
  scores: z.partialRecord(score, z.number()),
  level: z.string().nullable().describe('Key; null where its scores have no levels'),
})
const side = z.object({
  mode: z.string(),
  rankedBy: score,
  threshold: z.number().nullable().describe('As it was applied'),
  hits: z.int(),
  tookMs,
})
const compared = z.object({
  query: z.string().nullable().describe('null: a vector'),
  a: side,
  b: side,
  moved: z.object({
    same: z.int(),
    up: z.int(),
    down: z.int(),
    other: z.int(),
    new: z.int(),
    gone: z.int(),
  }),
  rows: z
    .array(
      z.object({
        documentId: z.string(),
        title: z.string().nullable(),
        move: z
          .enum(['same', 'up', 'down', 'other', 'new', 'gone'])
          .describe('other: another passage of the document'),
        a: placed.nullable(),
        b: placed.nullable(),
        why: z
          .array(z.object({ code: z.string(), en: z.string(), zh: z.string() }))
          .describe('Looked into for 20 that are in one list alone, over all queries'),
      }),
    )
    .describe('A passage a row, in the order of b; what is only in a comes last'),
})
export const generationsCompareOut = z.object({
  generations: z
    .array(z.object({ id: z.string(), state: z.string(), model: z.string(), documents: z.int() }))
    .describe('a, b'),
  results: z
    .array(
      z.union([
        compared,
        z.object({
          query: z.string().nullable(),
          error: z.object({ code: z.string(), message: z.string(), hint: z.string().optional() }),
        }),
      ]),
    )
    .describe('Of each query, in order; none with golden'),
  golden: z
    .object({
      state: z.enum(['running', 'finished']).describe('running: workers ask more than 200 questions'),
      runs: z.object({ a: z.string(), b: z.string() }).describe('Golden runs'),
      comparison: comparisonOut.nullable().describe('before is a, after is b; null while it runs'),
    })
    .nullable(),
  warnings: z.array(z.object({ code: z.string(), message: z.string() })),
})
