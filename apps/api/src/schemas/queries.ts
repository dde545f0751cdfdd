import { OUTPUTS } from '@millrace/embed'
import { SCORE_KINDS, VERDICTS } from '@millrace/flow'
import { z } from 'zod'
import { hitOut, queryText, queryVector, resultOut, searchOptions, tookMs } from './search.js'
import { domainName } from './shared.js'

/** Of calls about queries: their vectors, their log, and why a document is not among the hits. */
export const embedIn = z
  .strictObject({
    texts: z.array(z.string()).min(1).max(100),
    model: z.string().optional().describe('Left out, with domain too: the default model'),
    domain: domainName.optional().describe('Its model, and texts are cleaned as its documents are'),
    kind: z
      .enum(['query', 'document'])
      .default('query')
      .describe('Some models read a query with an instruction before it'),
    outputs: z.array(z.enum(OUTPUTS)).min(1).default(['dense']),
    sql: z.boolean().default(false).describe('Also as literals for SQL'),
  })
  .refine(({ model, domain }) => model === undefined || domain === undefined, {
    error: 'send either model or domain',
  })

const failure = z.object({
  error: z.object({ code: z.string(), message: z.string(), hint: z.string().optional() }),
})
export const embedOut = z.object({
  model: z.string(),
  revision: z.string(),
  dims: z.int(),
  texts: z
    .array(
      z.union([
        failure,
        z.object({
          tokens: z.int().describe('Special tokens included'),
          windows: z.int().describe('More than 1: longer than the model takes, and pooled over that many'),
          dense: z.array(z.number()).optional().describe('Unit length'),
          sparse: z.record(z.string(), z.number()).optional().describe('A weight a token id'),
          colbert: z.array(z.array(z.number())).optional().describe('A vector a token'),
          sql: z
            .object({
              vector: z.string().optional().describe('For a parameter of type vector'),
              terms: z.string().optional().describe('For a parameter of type sparsevec'),
            })
            .optional(),
        }),
      ]),
    )
    .describe('In the order of texts; a wrong one has an error in its place'),
})

const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits')
export const loggedQuery = z.object({
  at: z.string(),
  query: z.string().nullable().describe('null: it was a vector, or QUERY_LOG is hash'),
  hash: z.string().describe('The same for the same query'),
  k: z.int(),
  threshold: z.number().nullable(),
  mode: z.string(),
  filterFields: z.array(z.string()),
  hits: z.int(),
  rankedBy: z.string(),
  topScore: z.number().nullable().describe('null: no hits'),
  topLevel: z.string().nullable(),
  top: z
    .array(z.object({ score: z.number(), documentId: z.string().optional(), chunk: z.int().optional() }))
    .describe('The first ten hits; with QUERY_LOG=hash their scores alone'),
  tookMs: z.object({
    embed: z.number(),
    search: z.number(),
    rerank: z.number().nullable().describe('null: nothing was reranked'),
    total: z.number(),
  }),
})
export const queriesPage = z.object({ queries: z.array(loggedQuery), cursor: z.string().nullable() })
export const queriesQuery = z.strictObject({
  cursor: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
})
export const queriesDelete = z.strictObject({ hash: hash.optional().describe('Left out: all of them') })
export const queriesDeleted = z.object({ deleted: z.int() })

const usual = z.array(
  z.object({
    query: z.string().nullable().describe('Its first 200 characters'),
    hash: z.string(),
    count: z.int(),
    withoutHits: z.int(),
    topScore: z.number().nullable().describe('Of the last time'),
    rankedBy: z.string().describe('The kind of that score'),
    lastAt: z.string(),
  }),
)
const percentiles = z.object({ p50: z.number(), p95: z.number(), p99: z.number() })
export const statsQuery = z.strictObject({ days: z.coerce.number().int().min(1).max(3_650).default(7) })
export const statsOut = z.object({
  days: z.int(),
  log: z.enum(['off', 'hash', 'text']).describe('What is kept of queries now: the setting QUERY_LOG'),
  count: z.int(),
  distinct: z.int().describe('Different queries'),
  withoutHits: z.int(),
  latency: z
    .object({
      embed: percentiles,
      search: percentiles,
      rerank: percentiles.nullable().describe('Of those that were reranked; null: none was'),
      total: percentiles,
    })
    .nullable()
    .describe('Milliseconds; null: nothing was asked'),
  usual: usual.describe('The most frequent 20'),
  withoutAnswer: usual.describe('Those that most often had no hit, 20 at most'),
  topScores: z
    .record(z.string(), z.array(z.object({ from: z.number(), to: z.number(), count: z.int() })))
    .describe('How many best hits had a score from `from` on and below `to`, by kind of score'),
})

const isOneOf = (values: readonly unknown[]) => values.filter((value) => value !== undefined).length === 1
const sought = { query: queryText.optional(), vector: queryVector.optional() }

/** Domains that one call may search. */
const DOMAINS_MAX = 20
export const severalIn = searchOptions
  .omit({ explain: true })
  .extend({
    domains: z
      .array(domainName)
      .min(1)
      .max(DOMAINS_MAX)
      .refine((names) => new Set(names).size === names.length, { error: 'a domain is named twice' }),
    ...sought,
  })
  .refine(({ query, vector }) => isOneOf([query, vector]), { error: 'send either query or vector' })
export const severalOut = z.object({
  hits: z.array(hitOut.extend({ domain: z.string() })).describe('The best of all domains'),
  domains: z.array(
    z.object({
      name: z.string(),
      threshold: resultOut.shape.threshold,
      staleThreshold: resultOut.shape.staleThreshold,
      warnings: resultOut.shape.warnings,
    }),
  ),
  model: z.string(),
  mode: z.string(),
  rankedBy: resultOut.shape.rankedBy,
  query: resultOut.shape.query,
  tookMs,
})

export const explainIn = searchOptions
  .omit({ explain: true })
  .extend({ documentId: z.string().min(1).describe('Of the document that is asked about'), ...sought })
  .refine(({ query, vector }) => isOneOf([query, vector]), { error: 'send either query or vector' })
const score = z.enum(SCORE_KINDS)
const rival = z.object({ documentId: z.string(), chunk: z.int(), score: z.number() })
const standing = z.object({
  score: z.number(),
  place: z
    .int()
    .nullable()
    .describe('Among all of the domain that pass the filter; null: not worked out in time'),
  chunks: z.int().nullable().describe('Among how many'),
  before: rival.nullable().describe('Who is just before it'),
})
export const explainOut = z.object({
  verdict: z.enum(VERDICTS),
  sentence: z.object({ en: z.string(), zh: z.string() }),
  details: z
    .object({
      nearest: z.array(z.string()).optional().describe('UNKNOWN_DOCUMENT: ids that look like it'),
      state: z.string().optional().describe('NOT_INGESTED, FAILED, CANCELLED'),
      waiting: z
        .looseObject({ code: z.string(), message: z.string() })
        .nullable()
        .optional()
        .describe('NOT_INGESTED: as GET of the document has it'),
      error: z.object({ code: z.string(), message: z.string() }).optional().describe('FAILED'),
      outdated: z
        .object({ shown: z.int(), submitted: z.int() })
        .optional()
        .describe('Searches see an older revision than the last one submitted'),
      failed: z
        .array(z.object({ filter: z.record(z.string(), z.unknown()), value: z.unknown().optional() }))
        .optional()
        .describe('FILTERED_OUT: the conditions that it does not pass, and what it has there'),
      rankedBy: score.optional(),
      k: z.int().optional(),
      rank: z.int().nullable().optional().describe('From 1; null: not known'),
      below: z
        .object({ kind: score, threshold: z.number(), score: z.number().nullable() })
        .optional()
        .describe('BELOW_THRESHOLD; a score of null: it has none of that kind, which reaches no threshold'),
      last: rival.nullable().optional().describe('The last hit'),
      exact: z
        .object({ dense: standing.optional(), sparse: standing.optional() })
        .optional()
        .describe('Where its best chunk is when all are compared'),
      candidates: z.int().optional().describe('Of how many of each kind the fusion was made'),
      rerankedBy: z
        .string()
        .optional()
        .describe('BEATEN, BELOW_THRESHOLD: what reranked the hits that it was among: a model, or colbert'),
    })
    .describe('What the verdict rests on'),
  chunks: z
    .array(z.object({ chunk: z.int(), text: z.string(), scores: z.partialRecord(score, z.number()) }))
    .describe('The best three of the document'),
})
