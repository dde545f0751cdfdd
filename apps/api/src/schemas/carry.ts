import { levelsSchema } from '@millrace/embed'
import { CARRY_METHODS, PAIR_SOURCES, SCORE_KINDS, SURENESSES } from '@millrace/flow'
import { z } from 'zod'
import { leastScore } from './shared.js'

const kind = z.enum(SCORE_KINDS)

export const carryQuery = z.strictObject({
  fresh: z
    .enum(['true', 'false'])
    .default('false')
    .transform((value) => value === 'true')
    .describe('true: measure anew, also where nothing has changed since'),
})

const wish = z.strictObject({
  threshold: leastScore.optional(),
  levels: levelsSchema.nullable().optional().describe('Highest first; null: none'),
})

export const carryIn = z.strictObject({
  accept: z
    .union([z.literal(true), z.array(kind).min(1)])
    .optional()
    .describe('true: all that have a number; or those of some kinds of score'),
  thresholds: z
    .strictObject({
      dense: wish.optional(),
      sparse: wish.optional(),
      hybrid: wish.optional(),
      colbert: wish.optional(),
      rerank: wish.optional(),
    })
    .optional()
    .describe('Other ones, which go before those that are accepted'),
})

const number = z.number().nullable()
const shares = z.object({
  unrelated: z.number(),
  golden: number.describe('null: there are no golden pairs'),
})

export const carryOut = z.object({
  generation: z.string(),
  from: z
    .string()
    .nullable()
    .describe('The generation that was live when it was measured; null: nothing was'),
  policy: z.enum(['confirm', 'carry', 'defaults']),
  same: z.boolean().describe('Both have one recipe: thresholds and levels stay what they are'),
  items: z.array(
    z.object({
      score: kind,
      item: z.string().describe('threshold, or level:<key>'),
      old: z.number(),
      new: number.describe('null: nothing means the same, and why says so'),
      low: number.describe('Where it is in 95 of 100 samples like this one'),
      high: number,
      method: z
        .enum(CARRY_METHODS)
        .describe(
          'golden: as large a part of what is above belongs together as before; unrelated: the same share of unrelated pairs is above; extrapolated: no such pair was as alike; unchanged: it means the same under every model; none: it has no number',
        ),
      pairs: z.object({
        unrelated: z.int(),
        golden: z.int(),
        from: z
          .array(z.enum(PAIR_SOURCES))
          .describe(
            'What was asked: golden: the golden set; logged: queries of QUERY_LOG=text; titles: titles of documents, for want of questions; passages: stored passages, for want of titles',
          ),
      }),
      above: z
        .object({ old: shares, new: shares.nullable() })
        .nullable()
        .describe('Shares of the pairs that are above the old one, and above the new one'),
      separates: z.boolean().describe('Whether what is above differs from what is below'),
      sureness: z.enum(SURENESSES),
      why: z.string(),
      state: z
        .enum(['proposed', 'confirmed', 'replaced', 'applied'])
        .describe('confirmed, replaced: by a person; applied: by the policy, when it took over'),
      decided: number.describe('What a person took; null: none, or nobody did yet'),
      decidedAt: z.string().nullable(),
      measuredAt: z.string(),
    }),
  ),
  notes: z.array(z.string()),
})
