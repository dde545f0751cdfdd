import { levelsSchema } from '@millrace/embed'
import { DIMS_MAX, SCORE_KINDS } from '@millrace/flow'
import { CHUNK_SIZE_MIN, CHUNKING_KINDS, CLEANING_STEPS } from '@millrace/text'
import { z } from 'zod'

/** Whether one is given, and only one. */
const isOneOf = (values: readonly unknown[]) => values.filter((value) => value !== undefined).length === 1

/** The HTTP contract: what comes in is strict, what goes out is described. */
export const domainName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,54}$/, 'must match ^[a-z0-9][a-z0-9_-]{0,54}$')
  .describe('Name of a domain')

const threshold = z
  .number()
  .min(-1)
  .max(1)
  .nullable()
  .describe('Least similarity of a hit, -1 to 1; null: no cut')

const chunkingIn = z.strictObject({
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
const cleaningIn = z
  .partialRecord(z.enum(CLEANING_STEPS), z.boolean())
  .describe('Steps of cleaning to switch on or off')
const storage = z
  .enum(['full', 'half', 'sq8', 'sq4', 'binary'])
  .describe('How vectors are kept: float32, float16, codes of 8 or 4 bits, or float16 found by their signs')
const outputs = z
  .array(z.enum(['dense', 'sparse', 'colbert']))
  .min(1)
  .describe('What is kept of a text; default dense and sparse')
const mode = z
  .enum(['dense', 'sparse', 'hybrid'])
  .describe('By meaning (dense), by words (sparse) or by both')
const efSearch = z
  .int()
  .min(1)
  .max(1_000)
  .describe('Vectors that the index looks at; more: slower, and misses less')
const weight = z.number().min(0).max(1_000)
const fusion = z
  .union([
    z.string().describe('Name of a preset'),
    z.strictObject({ method: z.literal('rrf'), k: z.number().min(1).max(10_000).default(60) }),
    z.strictObject({
      method: z.literal('weighted'),
      dense: weight,
      sparse: weight,
      colbert: weight.optional(),
    }),
  ])
  .describe('How the results by meaning and by words become one')
const rerank = z
  .strictObject({
    by: z.string().describe('colbert, or the id of a model that reranks'),
    top: z.int().min(1).max(200).optional().describe('Hits that are reranked; default 50'),
  })
  .nullable()
  .describe('null: none')
const leastScore = z.number().nullable().describe('Least score of a hit; null: no cut')
const band = z.strictObject({ threshold: leastScore.optional(), levels: levelsSchema.nullable().optional() })
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
  index: z
    .strictObject({
      m: z.int().min(2).max(100).optional().describe('Neighbours of a vector in the index; default 16'),
      efConstruction: z
        .int()
        .min(4)
        .max(1_000)
        .optional()
        .describe('Candidates looked at for each while it is built, at least 2 m; default 64'),
      efSearch: efSearch.optional(),
    })
    .optional(),
  search: z
    .strictObject({ mode: mode.optional(), fusion: z.string().optional(), rerank: rerank.optional() })
    .optional()
    .describe('What searches do unless they say otherwise'),
  scores: otherScores.optional(),
})
export const domainChange = domainIn.omit({ name: true, dims: true })

const levels = z.array(
  z.object({
    key: z.string(),
    above: z.number().nullable(),
    name: z.object({ zh: z.string(), en: z.string() }),
  }),
)
export const domainOut = z.object({
  name: z.string(),
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
  lexical: z.string().nullable().describe('What sparse is: learned by the model, or bm25 over its tokens'),
  index: z.object({ m: z.int(), efConstruction: z.int(), efSearch: z.int() }),
  search: z.object({
    mode: z.string(),
    fusion: z.string().nullable().describe('null: the default of the domain'),
    rerank: z.object({ by: z.string(), top: z.int() }).nullable(),
  }),
  scores: z.record(z.string(), z.object({ threshold: z.number().nullable(), levels: levels.nullable() })),
  staleThresholds: z
    .array(z.object({ score: z.string(), threshold: z.number(), recipe: z.string() }))
    .describe('Set for another recipe: not applied'),
  createdAt: z.string(),
  updatedAt: z.string(),
})
const counts = z.object({
  total: z.int(),
  received: z.int(),
  preparing: z.int(),
  embedding: z.int(),
  ready: z.int(),
  failed: z.int(),
  cancelled: z.int(),
})
export const domainDetail = domainOut.extend({ documents: counts })

const metadata = z.record(z.string(), z.unknown())
/** What is no number is refused with the document it is in, not with the whole submission. */
const vector = z.array(z.unknown()).meta({ items: { type: 'number' } })
export const documentIn = z
  .strictObject({
    id: z.string().optional().describe('Left out: the hash of title and text; of a url, the url'),
    title: z.string().nullable().optional(),
    text: z.string().optional(),
    url: z.string().optional().describe('Fetched by a worker; instead of a text'),
    chunks: z
      .array(z.strictObject({ text: z.string().optional(), vector }))
      .optional()
      .describe('In an external domain: passages with their vectors; instead of a text'),
    metadata: metadata.optional(),
  })
  .refine(({ text, url, chunks }) => isOneOf([text, url, chunks]), {
    error: 'a document has either a text, a url or chunks',
  })
const source = z
  .string()
  .min(1)
  .max(500)
  .describe('What the documents are a part of: a site, a folder, a system')
const sync = z
  .enum(['full'])
  .describe('full: once all is ready, documents of the source that were not in it are deleted; needs source')
export const documentsIn = z.strictObject({
  documents: z.array(documentIn),
  source: source.optional(),
  sync: sync.optional(),
  dryRun: z.boolean().optional().describe('Say what would be done, and do nothing'),
})
export const submitQuery = z.strictObject({
  source: source.optional(),
  sync: sync.optional(),
  dryRun: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional(),
})
const rejected = z
  .array(z.object({ index: z.int(), id: z.string().optional(), code: z.string(), message: z.string() }))
  .describe('The first 1,000 documents that were not taken')
export const submissionOut = z.object({
  ingestion: z.string(),
  accepted: z.int(),
  rejected,
  rejectedTotal: z.int(),
})
const cost = z.object({ total: z.int(), embed: z.int().describe('what the model would have to compute') })
export const planOut = z.object({
  dryRun: z.literal(true),
  documents: z.object({
    added: z.int(),
    changed: z.int(),
    unchanged: z.int(),
    deleted: z.int(),
    rejected: z.int(),
    unknown: z.int().describe('behind a URL: not known before it is fetched'),
  }),
  chunks: cost,
  tokens: cost,
  rejected,
})

/** Values that belong to a code; each says of which in flow's `Waiting`. */
const waiting = z
  .object({
    code: z.enum([
      'CANCELLING',
      'NO_WORKER',
      'SENDING',
      'QUEUED',
      'PREPARING',
      'RETRYING',
      'WAITS_FOR_TEXTS',
    ]),
    message: z.string(),
    lastSeenSeconds: z.int().nullable().optional().describe('NO_WORKER: since the last sign of life of any'),
    ahead: z.int().optional().describe('QUEUED, SENDING: documents that may be prepared before it, at most'),
    attempts: z.int().optional().describe('RETRYING: how often it, or one of its texts, was begun'),
    error: z.object({ code: z.string(), message: z.string() }).optional(),
    missing: z.int().optional().describe('Its texts without a vector'),
    leased: z.int().optional().describe('Of those, the ones that a worker has'),
  })
  .nullable()
  .describe('What an open document waits for; null for one that has come to its end')

const documentState = z.enum(['received', 'preparing', 'embedding', 'ready', 'failed', 'cancelled'])
export const documentOut = z.object({
  id: z.string(),
  title: z.string().nullable(),
  state: documentState,
  ageSeconds: z
    .number()
    .describe('While it is open, since it was submitted or resumed; then since it came to its end'),
  waiting,
  revision: z.int(),
  ingestion: z.string(),
  source: z.string().nullable(),
  origin: z.enum(['text', 'file', 'url', 'vectors']),
  url: z.string().nullable(),
  file: z
    .object({ name: z.string(), type: z.string().nullable(), format: z.string().nullable() })
    .nullable()
    .describe('of a file or what was fetched; format: what it was read as, null until then'),
  metadata,
  chunkCount: z.int().nullable().describe('null until it is prepared'),
  tokens: z.int().nullable(),
  warnings: z.array(z.string()),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  createdAt: z.string(),
  updatedAt: z.string(),
})
const place = z
  .union([
    z.object({ page: z.int(), pageTo: z.int().optional() }),
    z.object({ sheet: z.string() }),
    z.object({ slide: z.int() }),
  ])
  .describe('Where in its file it is')
export const documentDetail = documentOut.extend({
  text: z.string(),
  chunks: z.array(
    z.object({
      chunk: z.int(),
      start: z.int().describe('UTF-16 code units in text'),
      end: z.int(),
      tokens: z.int(),
      text: z.string().describe('Cleaned, as it was embedded'),
      headings: z.array(z.string()).describe('The heading path, outermost first'),
      place: place.nullable(),
      parent: z.int().nullable().describe('Ordinal of the longer span that is shown for it'),
    }),
  ),
})
export const documentsPage = z.object({ documents: z.array(documentOut), cursor: z.string().nullable() })
export const documentsQuery = z.strictObject({
  state: documentState.optional(),
  cursor: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
})

const grouped = z.array(
  z.object({
    code: z.string(),
    count: z.int(),
    example: z.object({ document: z.string(), message: z.string() }),
  }),
)
const refused = z.array(
  z.object({
    code: z.string(),
    count: z.int(),
    example: z.record(z.string(), z.unknown()).describe('{index, id?, message} of the first'),
  }),
)
const indexState = z
  .object({
    state: z.enum(['none', 'building', 'ready']).describe('none: search is exact'),
    phase: z.string().optional(),
    percent: z.number().optional().describe('Of this phase'),
  })
  .describe("The index of the domain's vectors")
const chunkCounts = z.object({ total: z.int(), embedded: z.int(), reused: z.int() })
const tokenCounts = z.object({ total: z.int(), embedded: z.int() })

export const ingestionOut = z.object({
  id: z.string(),
  domain: z.string(),
  state: z.enum(['running', 'cancelled', 'finished']),
  receiving: z.boolean().describe('Documents are still being sent'),
  documents: counts.extend({ unchanged: z.int().describe('part of ready') }),
  chunks: chunkCounts,
  tokens: tokenCounts,
  tokensPerSecond: z
    .number()
    .nullable()
    .describe('Of the last one or two minutes; once it has ended, of all the time it worked'),
  etaSeconds: z.number().nullable().describe('null until it can be told, and while receiving'),
  errors: grouped.describe('Of documents that failed'),
  rejected: z.object({ total: z.int(), codes: refused }).describe('Documents that were not taken'),
  index: indexState,
  sync: z
    .object({
      source: z.string(),
      state: z.enum(['waiting', 'done', 'skipped']),
      deleted: z.int(),
      reason: z.string().nullable(),
    })
    .nullable(),
  report: z
    .object({
      seconds: z.number(),
      documents: z.object({
        sent: z.int(),
        ready: z.int(),
        unchanged: z.int(),
        failed: z.int(),
        cancelled: z.int(),
        refused: z.int(),
        deleted: z.int(),
      }),
      chunks: chunkCounts,
      tokens: tokenCounts,
      refused,
      failed: grouped,
      textCut: z.object({
        characters: z.int().describe('Of cleaned text, white space aside, that are in no chunk'),
      }),
      empty: z.int().describe('Documents of which cleaning left nothing'),
    })
    .nullable()
    .describe('null until it has ended'),
  startedAt: z.string(),
  finishedAt: z.string().nullable(),
})
export const ingestionsPage = z.object({ ingestions: z.array(ingestionOut), cursor: z.string().nullable() })
export const ingestionsQuery = z.strictObject({
  cursor: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
})

export const statusOut = z.object({
  workers: z.array(
    z.object({
      id: z.string(),
      host: z.string(),
      pid: z.int(),
      slots: z.int().describe('Leases it works on at once'),
      tokens: z.int().describe('Embedded since it started'),
      tokensPerSecond: z.number().nullable(),
      lastSeenSeconds: z.number(),
      startedAt: z.string(),
    }),
  ),
  backlog: z.object({ documents: z.int(), texts: z.int(), leases: z.int() }),
  running: z.int().describe('Ingestions that run'),
  ingestions: z.array(ingestionOut).describe('The oldest 20 of them'),
  domains: z.array(
    z.object({
      name: z.string(),
      model: z.string(),
      modelState: z.enum(['absent', 'loading', 'ready', 'failed']),
      threshold: z.number().nullable(),
      documents: counts,
      index: indexState,
    }),
  ),
})

const filter = z
  .record(z.string(), z.unknown())
  .describe('{"field": value}, or operators, and, or, not: docs/filters.md')
const k = z.int().min(1).max(1_000)
export const queryText = z.string().describe('In your own words')
export const queryVector = vector.describe("Instead of query: the domain's dims, of any length")
export const QUERIES_MAX = 100
/** What a search may say beside what it looks for. */
export const searchOptions = z.strictObject({
  k: k.default(10),
  threshold: leastScore.optional().describe("Of the score that ranks; left out: the domain's"),
  thresholds: z.partialRecord(z.enum(SCORE_KINDS), leastScore).optional().describe('Of any kind of score'),
  filter: filter.optional(),
  mode: mode.optional().describe("Left out: the domain's, else dense"),
  fusion: fusion.optional(),
  rerank: rerank.optional(),
  candidates: z.int().min(1).max(10_000).optional().describe('How many are looked at closely'),
  efSearch: efSearch.optional(),
  exact: z.boolean().optional().describe('Without the index'),
  explain: z
    .boolean()
    .optional()
    .describe('Search again without the index, and say what was missed; not with queries'),
})
export const searchIn = searchOptions
  .extend({
    query: queryText.optional(),
    vector: queryVector.optional(),
    queries: z
      .array(
        z.union([
          queryText,
          z
            .strictObject({
              query: queryText.optional(),
              vector: queryVector.optional(),
              k: k.optional(),
              filter: filter.optional(),
            })
            .refine(({ query, vector }) => isOneOf([query, vector]), {
              error: 'send either query or vector',
            }),
        ]),
      )
      .min(1)
      .max(QUERIES_MAX)
      .optional()
      .describe('Several at once, answered in order'),
  })
  .refine(({ query, vector, queries }) => isOneOf([query, vector, queries]), {
    error: 'send either query, vector or queries',
  })
  .refine(({ explain, queries }) => explain !== true || queries === undefined, {
    error: 'explain is about one query',
  })
const span = { start: z.int().describe('UTF-16 code units in the text as submitted'), end: z.int() }
/** What a preview is told beside the text. */
export const previewRest = z.strictObject({
  title: z.string().nullable().optional(),
  chunking: chunkingIn.optional().describe("Instead of the domain's"),
  cleaning: cleaningIn.optional(),
})
export const previewIn = previewRest.extend({ text: z.string() })
export const previewOut = z.object({
  model: z.string(),
  chunks: z.array(
    z.object({
      text: z.string(),
      context: z.string().describe('What the model reads before it'),
      headings: z.array(z.string()),
      ...span,
      tokens: z.int().describe('Context and special tokens included'),
      overlap: z.int().describe('Characters that it shares with the chunk before it'),
      place: place.nullable(),
      parent: z.int().nullable().describe('Index in parents'),
    }),
  ),
  parents: z.array(z.object({ text: z.string(), headings: z.array(z.string()), ...span })),
  tokens: z.int(),
  cut: z.int().describe('Characters but white space that are in no chunk'),
  warnings: z.array(z.string()),
})

export const hitOut = z.object({
  documentId: z.string(),
  title: z.string().nullable(),
  chunk: z.int(),
  start: z.int(),
  end: z.int(),
  text: z.string(),
  similarity: z.number().nullable().describe('The cosine; null where the mode does not compute it'),
  score: z.number().describe('What it was ranked by'),
  rankedBy: z.enum(SCORE_KINDS),
  scores: z.partialRecord(z.enum(SCORE_KINDS), z.number()).describe('Every score that was computed'),
  level: z.string().nullable().describe('null where its scores have no levels'),
  levelKey: z.string().nullable(),
  metadata,
  headings: z.array(z.string()).describe('The headings above it, outermost first'),
  place: place.nullable(),
  parent: z
    .object({ chunk: z.int(), start: z.int(), end: z.int() })
    .nullable()
    .describe("What the hit shows instead of the chunk: then text, start and end are the parent's"),
})
export const tookMs = z.object({
  embed: z.number(),
  search: z.number(),
  rerank: z.number().nullable(),
})
export const resultOut = z.object({
  hits: z.array(hitOut),
  model: z.string(),
  mode: z.string(),
  rankedBy: z.enum(SCORE_KINDS),
  threshold: z.number().nullable().describe('As it was applied'),
  staleThreshold: z
    .object({ score: z.string(), threshold: z.number(), recipe: z.string() })
    .nullable()
    .describe('Set for another recipe, and not applied'),
  query: z
    .object({
      tokens: z.int(),
      windows: z.int().describe('More than 1: longer than the model takes, and pooled'),
    })
    .nullable()
    .describe('null: of a vector'),
  warnings: z.array(z.object({ code: z.string(), message: z.string() })),
  tookMs,
  explain: z
    .object({
      isCompared: z.boolean().describe('false: searching without the index took too long'),
      exactRanks: z
        .array(z.int().nullable())
        .describe('Of each hit, its place without the index; null: beyond k'),
      missed: z
        .array(z.object({ documentId: z.string(), chunk: z.int(), score: z.number(), rank: z.int() }))
        .describe('What would be a hit without the index'),
    })
    .optional(),
})
export const searchOut = z.union([
  resultOut,
  z.object({
    results: z.array(
      z.union([
        resultOut,
        z.object({ error: z.object({ code: z.string(), message: z.string(), hint: z.string().optional() }) }),
      ]),
    ),
  }),
])

export const similarityIn = z.strictObject({
  text_a: z.string().nullish(),
  text_b: z.string().nullish(),
  domain: domainName.optional(),
})
export const similarityOut = z.object({
  similarity: z.number(),
  level: z.string(),
  levelKey: z.string(),
  levels,
  model: z.string(),
  tokens: z.object({ a: z.int(), b: z.int() }),
  pooled: z.object({ a: z.boolean(), b: z.boolean() }),
})

export const errorOut = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    hint: z.string().optional(),
    details: z.unknown().optional(),
  }),
})
/** The answers that any call may give instead of its own. */
export const problems = { '4xx': errorOut, '5xx': errorOut } as const
