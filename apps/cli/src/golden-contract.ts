import { z } from 'zod'

/** The parts of the HTTP contract of golden sets that the commands use. */
export const METRICS = ['hitAt1', 'hitAt3', 'hitAt10', 'mrrAt10', 'ndcgAt10', 'passed'] as const
export type MetricName = (typeof METRICS)[number]

const metricsSchema = z.record(z.enum(METRICS), z.number())
export type Metrics = z.infer<typeof metricsSchema>

export const addedSchema = z.object({
  accepted: z.number(),
  added: z.number(),
  replaced: z.number(),
  unchanged: z.number(),
  removed: z.number(),
  total: z.number(),
  rejected: z.array(z.object({ index: z.number(), code: z.string(), message: z.string() })),
  rejectedTotal: z.number(),
  missing: z.array(z.object({ id: z.string(), question: z.string(), documentId: z.string() })),
  missingTotal: z.number(),
})

export const questionsSchema = z.object({
  questions: z.array(
    z.object({
      id: z.string(),
      question: z.string(),
      documentIds: z.array(z.string()),
      note: z.string().nullable(),
    }),
  ),
  total: z.number(),
  cursor: z.string().nullable(),
})

const result = z.object({
  id: z.string(),
  question: z.string(),
  documentIds: z.array(z.string()),
  rank: z.number().nullable(),
  score: z.number().nullable(),
  absent: z.array(z.object({ documentId: z.string(), reason: z.string(), state: z.string().optional() })),
  instead: z.array(z.object({ documentId: z.string(), score: z.number() })).nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
})
const run = z.object({
  id: z.string(),
  domain: z.string(),
  state: z.enum(['running', 'finished', 'failed']),
  questions: z.number(),
  done: z.number(),
  k: z.number(),
  mode: z.string(),
  threshold: z.number().nullable(),
  model: z.string(),
  note: z.string().nullable(),
  purpose: z.string().nullish(),
  measured: z.number().nullable(),
  unmeasured: z
    .object({ missing: z.number(), notReady: z.number(), empty: z.number(), failed: z.number() })
    .nullable(),
  metrics: metricsSchema.nullable(),
  grades: z.record(z.string(), z.number()).nullable(),
  misses: z.number().nullable(),
  belowThreshold: z.number().nullable(),
  tookMs: z.object({ embed: z.number(), search: z.number() }),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  startedAt: z.string(),
})
export type GoldenRun = z.infer<typeof run>
export const runSchema = run.extend({ missed: z.array(result), notMeasured: z.array(result) })
export type GoldenReport = z.infer<typeof runSchema>
export const runsSchema = z.object({ runs: z.array(run), cursor: z.string().nullable() })

const standing = z.object({ rank: z.number().nullable(), score: z.number().nullable() })
const moved = z.object({
  total: z.number(),
  first: z.array(z.object({ id: z.string(), question: z.string(), before: standing, after: standing })),
})
const listed = z.object({
  total: z.number(),
  first: z.array(z.object({ id: z.string(), question: z.string() })),
})
export const comparisonSchema = z.object({
  before: run,
  after: run,
  common: z.number(),
  sameQuestions: z.boolean(),
  metrics: z.object({ before: metricsSchema.nullable(), after: metricsSchema.nullable() }),
  worse: moved,
  better: moved,
  added: listed,
  removed: listed,
  changed: listed,
  unmeasured: listed,
  lost: listed,
})
export type GoldenComparison = z.infer<typeof comparisonSchema>

const latency = z.object({ p50: z.number().nullable(), p95: z.number().nullable() })
export const recallSchema = z.object({
  domain: z.string(),
  from: z.string(),
  sampled: z.number(),
  vectors: z.number(),
  index: z.object({ m: z.number(), efConstruction: z.number(), efSearch: z.number() }).nullable(),
  recall: z.array(z.object({ k: z.number(), recall: z.number().nullable(), latencyMs: latency.nullable() })),
  latencyMs: z.object({ exact: latency }),
  notes: z.array(z.string()),
})
export type RecallReport = z.infer<typeof recallSchema>
