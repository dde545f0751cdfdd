import { SIMILARITY_BINS_MAX, SIMILARITY_PAIRS_MAX, SIMILARITY_QUESTIONS_MAX } from '@millrace/flow'
import { z } from 'zod'
import { levels } from './shared.js'

export const similaritiesQuery = z.strictObject({
  pairs: z.coerce
    .number()
    .int()
    .min(1)
    .max(SIMILARITY_PAIRS_MAX)
    .default(1_000)
    .describe('Random pairs that are compared'),
  bins: z.coerce.number().int().min(1).max(SIMILARITY_BINS_MAX).default(60).describe('Of the histogram'),
  seed: z.coerce
    .number()
    .int()
    .min(0)
    .max(2_147_483_647)
    .default(1)
    .describe('Another one draws other pairs; the same one the same, while the domain does not change'),
})

const counts = z.array(z.int()).describe('Pairs in each bin')
const similarity = z.number().nullable().describe('null of no pairs')

export const similaritiesOut = z.object({
  model: z.string(),
  bins: z
    .array(z.object({ from: z.number(), to: z.number() }))
    .describe(
      'Of equal width up to 1, from 0 or the tenth below the least similarity; from is in a bin, to in the next',
    ),
  random: z
    .object({
      pairs: z.int(),
      counts,
      mean: similarity,
      p50: similarity,
      p95: similarity,
      p99: similarity,
    })
    .describe('Different pairs of stored vectors that no document has both of'),
  golden: z
    .object({
      pairs: z.int(),
      skipped: z
        .int()
        .describe('Questions that could not be read, or of whose documents no passage can be found'),
      counts,
      mean: similarity,
      p5: similarity,
      p50: similarity,
    })
    .nullable()
    .describe(
      `Questions of the golden set, ${SIMILARITY_QUESTIONS_MAX} at most, each with the nearest passage of its documents; null: it has none, or no model reads them`,
    ),
  threshold: z.number().nullable().describe('Of dense scores'),
  levels,
  notes: z.array(z.string()).describe('Why it is less than what was asked for'),
})
