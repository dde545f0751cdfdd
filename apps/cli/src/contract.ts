import { z } from 'zod'

/** The parts of the HTTP contract that the commands use. */
const level = z.object({
  key: z.string(),
  above: z.number().nullable(),
  name: z.object({ zh: z.string(), en: z.string() }),
})
export const domainSchema = z.object({
  name: z.string(),
  model: z.string(),
  modelState: z.string(),
  threshold: z.number().nullable(),
  levels: z.array(level),
})
export type Domain = z.infer<typeof domainSchema>

const counts = z.object({
  total: z.number(),
  received: z.number(),
  preparing: z.number(),
  embedding: z.number(),
  ready: z.number(),
  failed: z.number(),
  cancelled: z.number(),
})
export const domainDetailSchema = domainSchema.extend({ documents: counts })

const rejected = z.array(
  z.object({ index: z.number(), id: z.string().optional(), code: z.string(), message: z.string() }),
)
export const submissionSchema = z.object({
  ingestion: z.string(),
  accepted: z.number(),
  /** The first of them. */
  rejected,
  rejectedTotal: z.number(),
})
export type Submission = z.infer<typeof submissionSchema>

const cost = z.object({ total: z.number(), embed: z.number() })
/** What a submission would do, asked with dryRun. */
export const planSchema = z.object({
  dryRun: z.literal(true),
  documents: z.object({
    added: z.number(),
    changed: z.number(),
    unchanged: z.number(),
    deleted: z.number(),
    rejected: z.number(),
    /** Behind URLs. */
    unknown: z.number(),
  }),
  chunks: cost,
  tokens: cost,
  rejected,
})
export type Plan = z.infer<typeof planSchema>

export const ingestionSchema = z.object({
  id: z.string(),
  domain: z.string(),
  state: z.enum(['running', 'cancelled', 'finished']),
  documents: counts.extend({ unchanged: z.number() }),
  chunks: z.object({ total: z.number(), embedded: z.number(), reused: z.number() }),
  tokens: z.object({ total: z.number(), embedded: z.number() }),
  tokensPerSecond: z.number().nullable(),
  etaSeconds: z.number().nullable(),
  errors: z.array(
    z.object({
      code: z.string(),
      count: z.number(),
      example: z.object({ document: z.string(), message: z.string() }),
    }),
  ),
  /** What became of the deletions that a sync brings. */
  sync: z
    .object({
      source: z.string(),
      state: z.enum(['waiting', 'done', 'skipped']),
      deleted: z.number(),
      reason: z.string().nullable(),
    })
    .nullish(),
})
export type Ingestion = z.infer<typeof ingestionSchema>

export const searchSchema = z.object({
  hits: z.array(
    z.object({
      documentId: z.string(),
      title: z.string().nullable(),
      chunk: z.number(),
      text: z.string(),
      similarity: z.number(),
      level: z.string(),
      levelKey: z.string(),
      start: z.number(),
      end: z.number(),
      metadata: z.record(z.string(), z.unknown()),
    }),
  ),
  model: z.string(),
  threshold: z.number().nullable(),
  mode: z.string(),
  tookMs: z.object({ embed: z.number(), search: z.number() }),
})
export type SearchResult = z.infer<typeof searchSchema>

export const similaritySchema = z.object({
  similarity: z.number(),
  level: z.string(),
  levelKey: z.string(),
  model: z.string(),
})

/** The body of every refusal. */
export const problem = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    hint: z.string().optional(),
    details: z.unknown().optional(),
  }),
})
