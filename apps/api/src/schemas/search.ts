import { SCORE_KINDS } from '@millrace/flow'
import { z } from 'zod'
import { fusion, mode, rerank } from './modes.js'
import { domainName, efSearch, isOneOf, leastScore, levels, metadata, place, vector } from './shared.js'

const filter = z
  .record(z.string(), z.unknown())
  .describe('{"field": value}, or operators, and, or, not: docs/filters.md')
export const k = z.int().min(1).max(1_000)
export const queryText = z.string().describe('In your own words')
export const queryVector = vector.describe("Instead of query: the domain's dims, of any length")
const QUERIES_MAX = 100
/** What a search may say beside what it looks for. */
export const searchOptions = z.strictObject({
  k: k.default(10),
  threshold: leastScore.optional().describe("Of the score that ranks; left out: the domain's"),
  thresholds: z.partialRecord(z.enum(SCORE_KINDS), leastScore).optional().describe('Of any kind of score'),
  filter: filter.optional(),
  mode: mode.optional().describe("Left out: the domain's, else dense"),
  fusion: fusion.optional(),
  rerank: rerank.optional(),
  candidates: z
    .int()
    .min(1)
    .max(10_000)
    .optional()
    .describe('How many are looked at closely; of each list in hybrid at least 100'),
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
    generation: z
      .string()
      .max(20)
      .optional()
      .describe('The id of a generation that is built or retired, to try it; left out: the live one'),
    queries: z
      .array(
        z.union([
          queryText,
          z
            .strictObject({
              query: queryText.optional(),
              vector: queryVector.optional(),
              k: z
                .number()
                .meta({ type: 'integer', minimum: 1, maximum: 1_000 })
                .optional()
                .describe('What it must not be is refused with its query alone'),
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
      .describe('Several at once, answered in order, each with its own k, filter or error'),
  })
  .refine(({ query, vector, queries }) => isOneOf([query, vector, queries]), {
    error: 'send either query, vector or queries',
  })
  .refine(({ explain, queries }) => explain !== true || queries === undefined, {
    error: 'explain is about one query',
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
  generation: z.string().describe('The one that was searched'),
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
  explain: z.boolean().optional().describe('Every score, the tokens, and the words that both texts have'),
})
const spanOut = z.object({ start: z.int().describe('UTF-16 code units in its text'), end: z.int() })
const explainedText = z.object({
  text: z.string().describe('As the model read it: cleaned'),
  tokens: z.array(spanOut).describe('Special ones left out; white space alone has an empty span'),
})
const similarityExplained = z.object({
  scores: z
    .object({ dense: z.number(), sparse: z.number().nullable(), colbert: z.number().nullable() })
    .describe(
      'Of text_a as the query and text_b as the passage; null: the model has none of it, or nothing to measure it by',
    ),
  lexical: z
    .enum(['learned', 'bm25'])
    .nullable()
    .describe('What words weigh: by the model, by how rare they are in the domain; null: all alike'),
  a: explainedText,
  b: explainedText,
  matches: z
    .array(
      z.object({
        token: z.string().describe('As text_a has it'),
        weight: z.number().describe('Its share of the sparse score, 0 to 1'),
        a: z.array(spanOut),
        b: z.array(spanOut),
      }),
    )
    .describe('What both texts have, the 200 that count most, best first'),
})
export const similarityOut = z.object({
  similarity: z.number(),
  level: z.string(),
  levelKey: z.string(),
  levels,
  model: z.string(),
  tokens: z.object({ a: z.int(), b: z.int() }),
  pooled: z.object({ a: z.boolean(), b: z.boolean() }),
  explain: similarityExplained.optional(),
})
