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

/** Its thresholds, of every kind of score. */
export const domainThresholdsSchema = z.object({
  name: z.string(),
  threshold: z.number().nullable(),
  scores: z.record(z.string(), z.object({ threshold: z.number().nullable() })),
})

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

export const previewSchema = z.object({
  model: z.string(),
  chunks: z.array(
    z.object({
      text: z.string(),
      context: z.string(),
      headings: z.array(z.string()),
      start: z.number(),
      end: z.number(),
      tokens: z.number(),
      overlap: z.number(),
      place: z
        .union([
          z.object({ page: z.number(), pageTo: z.number().optional() }),
          z.object({ sheet: z.string() }),
          z.object({ slide: z.number() }),
        ])
        .nullable(),
      parent: z.number().nullable(),
    }),
  ),
  parents: z.array(
    z.object({ text: z.string(), headings: z.array(z.string()), start: z.number(), end: z.number() }),
  ),
  tokens: z.number(),
  cut: z.number(),
  warnings: z.array(z.string()),
})
export type Preview = z.infer<typeof previewSchema>

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
const grouped = z.array(
  z.object({
    code: z.string(),
    count: z.number(),
    example: z.object({ document: z.string(), message: z.string() }),
  }),
)
const refused = z.array(
  z.object({ code: z.string(), count: z.number(), example: z.looseObject({ message: z.string() }) }),
)
const indexSchema = z.object({
  state: z.enum(['none', 'building', 'ready']),
  phase: z.string().optional(),
  percent: z.number().optional(),
})
const chunkCounts = z.object({ total: z.number(), embedded: z.number(), reused: z.number() })
const tokenCounts = z.object({ total: z.number(), embedded: z.number() })

export const ingestionSchema = z.object({
  id: z.string(),
  domain: z.string(),
  state: z.enum(['running', 'cancelled', 'finished']),
  receiving: z.boolean(),
  documents: counts.extend({ unchanged: z.number() }),
  chunks: chunkCounts,
  tokens: tokenCounts,
  tokensPerSecond: z.number().nullable(),
  etaSeconds: z.number().nullable(),
  errors: grouped,
  rejected: z.object({ total: z.number(), codes: refused }),
  index: indexSchema,
  sync: z
    .object({
      source: z.string(),
      state: z.enum(['waiting', 'done', 'skipped']),
      deleted: z.number(),
      reason: z.string().nullable(),
    })
    .nullable(),
  report: z
    .object({
      seconds: z.number(),
      documents: z.object({
        sent: z.number(),
        ready: z.number(),
        unchanged: z.number(),
        failed: z.number(),
        cancelled: z.number(),
        refused: z.number(),
        deleted: z.number(),
      }),
      chunks: chunkCounts,
      tokens: tokenCounts,
      refused,
      failed: grouped,
      textCut: z.object({ characters: z.number() }),
      empty: z.number(),
    })
    .nullable(),
})
export type Ingestion = z.infer<typeof ingestionSchema>

export const statusSchema = z.object({
  workers: z.array(
    z.object({
      id: z.string(),
      host: z.string(),
      pid: z.number(),
      slots: z.number(),
      tokens: z.number(),
      tokensPerSecond: z.number().nullable(),
      lastSeenSeconds: z.number(),
      startedAt: z.string(),
    }),
  ),
  backlog: z.object({
    documents: z.number(),
    texts: z.number(),
    leases: z.number(),
    tokens: z.number(),
    minutes: z.number().nullable(),
    oldestSeconds: z.number().nullable(),
  }),
  queues: z.array(
    z.object({
      name: z.string(),
      waiting: z.number(),
      active: z.number(),
      delayed: z.number(),
      failed: z.number(),
      oldestSeconds: z.number().nullable(),
    }),
  ),
  models: z.array(z.object({ id: z.string(), state: z.string(), memoryBytes: z.number().nullable() })),
  memory: z.object({ rssBytes: z.number() }),
  failed: z.array(
    z.object({
      domain: z.string(),
      code: z.string(),
      count: z.number(),
      example: z.object({ document: z.string(), message: z.string() }),
    }),
  ),
  running: z.number(),
  ingestions: z.array(ingestionSchema),
  domains: z.array(
    z.object({
      name: z.string(),
      model: z.string(),
      modelState: z.string(),
      threshold: z.number().nullable(),
      documents: counts,
      index: indexSchema,
    }),
  ),
})
export type Status = z.infer<typeof statusSchema>

export const searchSchema = z.object({
  hits: z.array(
    z.object({
      documentId: z.string(),
      title: z.string().nullable(),
      chunk: z.number(),
      text: z.string(),
      similarity: z.number().nullable(),
      score: z.number(),
      rankedBy: z.string(),
      scores: z.record(z.string(), z.number()),
      level: z.string().nullable(),
      levelKey: z.string().nullable(),
      start: z.number(),
      end: z.number(),
      metadata: z.record(z.string(), z.unknown()),
    }),
  ),
  generation: z.string(),
  model: z.string(),
  threshold: z.number().nullable(),
  staleThreshold: z.object({ score: z.string(), threshold: z.number(), recipe: z.string() }).nullable(),
  mode: z.string(),
  rankedBy: z.string(),
  warnings: z.array(z.object({ code: z.string(), message: z.string() })),
  tookMs: z.object({ embed: z.number(), search: z.number(), rerank: z.number().nullable() }),
})
export type SearchResult = z.infer<typeof searchSchema>

export const explainSchema = z.looseObject({
  verdict: z.string(),
  sentence: z.object({ en: z.string(), zh: z.string() }),
  details: z.looseObject({
    exact: z
      .record(
        z.string(),
        z.looseObject({ score: z.number(), place: z.number().nullable(), chunks: z.number().nullable() }),
      )
      .optional(),
  }),
  chunks: z.array(
    z.object({ chunk: z.number(), text: z.string(), scores: z.record(z.string(), z.number()) }),
  ),
})
export type Explained = z.infer<typeof explainSchema>

export const similaritySchema = z.object({
  similarity: z.number(),
  level: z.string(),
  levelKey: z.string(),
  model: z.string(),
  explain: z
    .looseObject({
      scores: z.record(z.string(), z.number().nullable()),
      matches: z.array(z.looseObject({ token: z.string(), weight: z.number() })),
    })
    .optional(),
})
export type Similarity = z.infer<typeof similaritySchema>

/** The body of every refusal. */
export const problem = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    hint: z.string().optional(),
    details: z.unknown().optional(),
  }),
})
