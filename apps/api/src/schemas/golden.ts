import { RECALL_K_MAX, RECALL_SAMPLE_MAX, RUN_PURPOSES } from '@millrace/flow'
import { z } from 'zod'
import { searchOptions } from './search.js'
import { domainName } from './shared.js'

export const named = z.strictObject({ name: domainName })
export const questionNamed = z.strictObject({ name: domainName, id: z.string() })
export const compareNamed = z.strictObject({ name: domainName, a: z.string(), b: z.string() })

const filter = z.record(z.string(), z.unknown())
export const questionIn = z.strictObject({
  id: z.string().optional().describe('Left out: made of the question, or that of the same question before'),
  question: z.string(),
  documentId: z.string().optional().describe('The document that answers it'),
  documentIds: z.array(z.string()).optional().describe('Several: each answers it'),
  note: z.string().nullable().optional(),
  filter: filter.optional().describe('As of a search; with another filter it is another question'),
})
export const goldenIn = z
  .strictObject({
    questions: z
      .array(z.union([questionIn, z.unknown()]))
      .optional()
      .describe('One that is wrong is rejected alone'),
    csv: z
      .string()
      .optional()
      .describe('Instead of questions: a header question,documentId[,id,note] and a row a question'),
  })
  .refine(({ questions, csv }) => (questions === undefined) !== (csv === undefined), {
    error: 'send either questions or csv',
  })
export const goldenQuery = z.strictObject({
  replace: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional()
    .describe('true: what is not in it goes'),
  merge: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional()
    .describe('true: documents join those that the same question has'),
})
export const goldenOut = z.object({
  accepted: z.int(),
  added: z.int(),
  replaced: z.int().describe('Expected something else before, or had another note or id'),
  unchanged: z.int(),
  removed: z.int(),
  total: z.int().describe('Questions of the set now'),
  rejected: z
    .array(z.object({ index: z.int(), id: z.string().optional(), code: z.string(), message: z.string() }))
    .describe(
      'The first 1,000 questions that were not taken; index: from 0, of CSV the row after the header',
    ),
  rejectedTotal: z.int(),
  missing: z
    .array(z.object({ id: z.string(), question: z.string(), documentId: z.string() }))
    .describe('The first 1,000 expected documents that are not there; their questions were taken'),
  missingTotal: z.int(),
})
const question = z.object({
  id: z.string(),
  question: z.string(),
  documentIds: z.array(z.string()),
  filter,
  note: z.string().nullable(),
})
export const goldenPage = z.object({
  questions: z.array(question),
  total: z.int(),
  cursor: z.string().nullable(),
})
export const goldenPageQuery = z.strictObject({
  cursor: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
})
export const clearedOut = z.object({ removed: z.int() })

export const runIn = searchOptions
  .pick({
    mode: true,
    fusion: true,
    rerank: true,
    threshold: true,
    candidates: true,
    efSearch: true,
    exact: true,
  })
  .extend({
    k: z.int().min(1).max(1_000).default(3).describe('Hits that count; the measures look at 10 in any case'),
    threshold: searchOptions.shape.threshold.describe(
      "Nothing is cut; what it would cut is counted. Left out: the domain's; null: none",
    ),
    note: z.string().max(2_000).nullable().optional(),
  })

const share = z.number().describe('0 to 1')
const metrics = z
  .object({
    hitAt1: share,
    hitAt3: share,
    hitAt10: share,
    mrrAt10: share,
    ndcgAt10: share,
    passed: share.describe('Has its document among the first K, on a level above the last'),
  })
  .nullable()
  .describe('Means over the measured questions; null when there are none')
const absent = z.array(
  z.object({
    documentId: z.string(),
    reason: z.enum(['missing', 'not_ready', 'empty']),
    state: z.string().optional().describe('Of one that is not ready'),
  }),
)
export const resultOut = z.object({
  id: z.string(),
  question: z.string(),
  documentIds: z.array(z.string()),
  filter,
  state: z.enum(['waiting', 'ranked', 'unmeasured', 'failed']),
  grade: z.string().nullable().describe('Key of a level, found (a score without levels), or miss'),
  rank: z.int().nullable().describe('Of the first expected document; null: not among the first 100'),
  score: z.number().nullable(),
  scored: z.string().nullable().describe('The kind of that score'),
  ranks: z.array(z.int()).describe('Of each expected document that was found'),
  absent: absent.describe('Expected, and not to be found by any search'),
  instead: z
    .array(
      z.object({
        documentId: z.string(),
        title: z.string().nullable(),
        score: z.number(),
        level: z.string().nullable(),
      }),
    )
    .nullable()
    .describe('Of one whose document is not the first hit, or is a miss: the first three hits'),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
})
export const runOut = z.object({
  id: z.string(),
  domain: z.string(),
  state: z.enum(['running', 'finished', 'failed']),
  questions: z.int(),
  done: z.int(),
  k: z.int(),
  mode: z.string(),
  rankedBy: z.string().describe('The score that ranked'),
  fusion: z.union([z.string(), z.record(z.string(), z.unknown())]).nullable(),
  rerank: z.object({ by: z.string(), top: z.int() }).nullable(),
  threshold: z.number().nullable(),
  candidates: z.int().nullable(),
  efSearch: z.int().nullable(),
  exact: z.boolean(),
  model: z.string(),
  recipe: z.string().describe('Hash of all that decides the vectors'),
  note: z.string().nullable(),
  generation: z.string().describe('That it was asked of'),
  purpose: z
    .enum(RUN_PURPOSES)
    .nullable()
    .describe(
      'gate, compare: it was made to hold two generations beside each other; null: asked for as a run',
    ),
  measured: z.int().nullable().describe('null until it has finished, as the rest is'),
  unmeasured: z
    .object({
      missing: z.int().describe('Its document does not exist'),
      notReady: z.int().describe('Its document is not ingested yet, or failed'),
      empty: z.int().describe('Nothing is left of its document after cleaning'),
      failed: z.int().describe('It could not be asked'),
    })
    .nullable(),
  metrics,
  grades: z.record(z.string(), z.int()).nullable().describe('Questions by grade'),
  misses: z.int().nullable(),
  belowThreshold: z.int().nullable().describe('Passed, and the threshold would cut it'),
  tookMs: z.object({ embed: z.number(), search: z.number() }),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  startedAt: z.string(),
  finishedAt: z.string().nullable(),
})
export const runDetail = runOut.extend({
  missed: z.array(resultOut).describe('The first 100 misses; …/results?only=misses has all'),
  notMeasured: z.array(resultOut).describe('The first 100; …/results?only=unmeasured has all'),
})
export const runsPage = z.object({ runs: z.array(runOut), cursor: z.string().nullable() })
export const resultsQuery = goldenPageQuery.extend({
  only: z.enum(['all', 'misses', 'unmeasured']).default('all'),
})
export const resultsPage = z.object({ results: z.array(resultOut), cursor: z.string().nullable() })

const standing = z.object({
  rank: z.int().nullable(),
  score: z.number().nullable(),
  grade: z.string().nullable(),
})
const moved = z.array(z.object({ id: z.string(), question: z.string(), before: standing, after: standing }))
const listed = z.object({
  total: z.int(),
  first: z.array(z.object({ id: z.string(), question: z.string() })).describe('100 at most'),
})
export const comparisonOut = z.object({
  before: runOut,
  after: runOut,
  common: z.int().describe('Asked in both, expecting the same, measured in both: only these are compared'),
  sameQuestions: z.boolean().describe('Whether those are all questions of both'),
  metrics: z.object({ before: metrics, after: metrics }).describe('Over the common questions'),
  worse: z.object({ total: z.int(), first: moved.describe('100 at most, the largest fall first') }),
  better: z.object({ total: z.int(), first: moved }),
  added: listed.describe('Only in the second'),
  removed: listed.describe('Only in the first'),
  changed: listed.describe('In both, with other documents expected'),
  unmeasured: listed.describe('In both, not measured in one of them'),
  lost: listed.describe('Of those, measured in the first and not in the second'),
})

export const recallQuery = z.strictObject({
  sample: z.coerce.number().int().min(1).max(RECALL_SAMPLE_MAX).default(100),
  k: z
    .string()
    .default('1,10,100')
    .transform((list) => list.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part))))
    .pipe(z.array(z.int().min(1).max(RECALL_K_MAX)).min(1).max(10))
    .describe('Whole numbers with commas between them'),
  from: z
    .enum(['vectors', 'queries'])
    .default('vectors')
    .describe('What is searched with: vectors that are stored, or the last queries that QUERY_LOG=text kept'),
  efSearch: z.coerce
    .number()
    .int()
    .min(1)
    .max(1_000)
    .optional()
    .describe('Instead of what a search of the domain has'),
  candidates: z.coerce
    .number()
    .int()
    .min(1)
    .max(10_000)
    .optional()
    .describe('How many are looked at closely, instead of what a search of the domain has'),
})
const latency = z.object({ p50: z.number().nullable(), p95: z.number().nullable() })
export const recallOut = z.object({
  domain: z.string(),
  from: z.string(),
  sampled: z.int(),
  vectors: z.int().describe('As Postgres estimates it'),
  index: z
    .object({ m: z.int(), efConstruction: z.int(), efSearch: z.int() })
    .nullable()
    .describe('null: there is none, and search is exact'),
  recall: z
    .array(
      z.object({
        k: z.int(),
        recall: z.number().nullable(),
        latencyMs: latency.nullable().describe('Of a search for k; null where search is exact'),
      }),
    )
    .describe('Mean share of the true nearest k that a search for k finds'),
  latencyMs: z
    .object({ exact: latency })
    .describe(
      'Of exact search for the largest k; in the database, without the embedding of a query and the way',
    ),
  notes: z.array(z.string()),
})
