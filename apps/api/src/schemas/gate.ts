import { GATE_METRICS } from '@millrace/flow'
import { z } from 'zod'
import { domainName } from './shared.js'

const share = z.number().min(0).max(1)
const metric = z.enum(GATE_METRICS)
/** What has to hold before a generation takes over. */
export const gateIn = z
  .strictObject({
    margin: share.optional().describe('How much worse a watched metric may be. Default 0.02'),
    metrics: z.array(metric).min(1).optional().describe('Those that are watched. Default: all'),
    overlap: share
      .optional()
      .describe('Without a golden set: the least mean overlap of the first 10 documents. Default 0.5'),
    required: z
      .literal('golden')
      .nullable()
      .optional()
      .describe('golden: without a golden set nothing passes. Default: overlap will do'),
  })
  .describe('What has to hold before it takes over')
export const generationNamed = z.strictObject({ name: domainName, id: z.string() })
export const gateQuery = z.strictObject({
  fresh: z
    .enum(['true', 'false'])
    .default('true')
    .transform((value) => value === 'true')
    .describe('false: what came of it last will do where nothing has changed since'),
})

const figures = z
  .object({ hit1: z.number(), hit3: z.number(), hit10: z.number(), mrr: z.number(), ndcg: z.number() })
  .nullable()
const standing = z.object({
  rank: z.int().nullable().describe('null: not among the first 100, or not measured'),
  score: z.number().nullable(),
  level: z.string().nullable().describe('Key of a level, found (a score without levels), or miss'),
})
const list = z.object({
  total: z.int(),
  first: z.array(
    z.object({
      id: z.string(),
      question: z.string().describe('300 characters at most'),
      live: standing,
      other: standing,
      instead: z
        .array(z.object({ documentId: z.string(), score: z.number() }))
        .nullish()
        .describe('The first hits of the other generation'),
    }),
  ),
})
const overlapPart = {
  texts: z.int().describe('Searches where one of the two found something'),
  overlap: z.number().nullable().describe('Mean share of the first 10 documents that both found'),
  equalFirst: z.number().nullable().describe('Share of searches with the same first document'),
}
export const gateReport = z.object({
  state: z
    .enum(['running', 'done'])
    .describe('running: golden runs of more than 200 questions are under way'),
  passed: z.boolean(),
  evidence: z.enum(['golden', 'overlap', 'none']).describe('none: nothing could be measured'),
  isWeak: z.boolean().describe('That both find alike does not say that they find what they should'),
  sentence: z.object({ en: z.string(), zh: z.string() }),
  live: z.string().describe('The generation that it was held to'),
  other: z.string(),
  runs: z.object({ live: z.string(), other: z.string() }).nullable().describe('Golden runs'),
  golden: z
    .object({
      measured: z.int().describe('Questions that could be measured in the live generation'),
      lost: z.int().describe('Of those, not in the other: they count as not found'),
      live: figures,
      other: figures,
      change: figures.describe('Below 0: the other is worse'),
      failed: z.array(metric).describe('Watched, and worse by more than the margin'),
      same: z.int(),
      worse: list.describe('50 at most, the largest fall first'),
      better: list.describe('20 at most'),
    })
    .nullable(),
  overlap: z
    .object({
      ...overlapPart,
      stored: z.object(overlapPart).describe('Searches with stored texts'),
      queries: z.object(overlapPart).describe('Searches with logged queries'),
      isWhole: z.boolean().describe('false: its time was up'),
    })
    .nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable().describe('Why it was not measured'),
  startedAt: z.string(),
  at: z.string().nullable().describe('When it was decided'),
})
export const gateOut = z.object({
  settings: z.object({
    margin: z.number(),
    metrics: z.array(metric),
    overlap: z.number(),
    required: z.literal('golden').nullable(),
  }),
  report: gateReport.nullable().describe('null: it never ran'),
})
