import { z } from 'zod'

const sentence = z.object({ en: z.string(), zh: z.string() })

export const generationSchema = z.object({
  id: z.string(),
  domain: z.string(),
  state: z.string(),
  phase: z.string().nullable(),
  model: z.string(),
  dims: z.number(),
  recipe: z.record(z.string(), z.unknown()),
  recipeHash: z.string(),
  storage: z.string(),
  outputs: z.array(z.string()),
  lexical: z.string().nullable(),
  index: z.object({ m: z.number(), efConstruction: z.number(), ready: z.boolean() }),
  documents: z
    .object({
      total: z.number(),
      waiting: z.number(),
      preparing: z.number(),
      embedding: z.number(),
      ready: z.number(),
      failed: z.number(),
    })
    .nullable(),
  chunks: z.number().nullable(),
  tokens: z.number().nullable(),
  copied: z.number().nullable(),
  embedded: z.number().nullable(),
  tokensEmbedded: z.number().nullable(),
  tokensPerSecond: z.number().nullable(),
  etaSeconds: z.number().nullable(),
  errors: z.array(
    z.object({
      code: z.string(),
      count: z.number(),
      example: z.object({ document: z.string(), message: z.string() }),
    }),
  ),
  paused: z.boolean(),
  weight: z.number(),
  switch: z.string(),
  switchAgainAt: z.string().nullable(),
  soakSeconds: z.number(),
  keepUpToDate: z.boolean(),
  thresholds: z.string(),
  copiesFrom: z.string().nullable(),
  copiedFrom: z.string().nullable(),
  copySince: z.string().nullable(),
  gate: z.record(z.string(), z.unknown()),
  gated: z
    .looseObject({
      state: z.string(),
      passed: z.boolean(),
      isWeak: z.boolean(),
      evidence: z.string(),
      sentence,
    })
    .partial()
    .nullable(),
  forced: z
    .looseObject({
      at: z.string(),
      reason: z.string(),
      gated: z.looseObject({ sentence: sentence.optional() }).nullable(),
    })
    .nullable(),
  createdAt: z.string(),
  startedAt: z.string().nullable(),
  builtAt: z.string().nullable(),
  liveSince: z.string().nullable(),
  retiredAt: z.string().nullable(),
  dropAt: z.string().nullable(),
  endedAt: z.string().nullable(),
  endedBy: z.string().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
})
export type Generation = z.infer<typeof generationSchema>

export const generationsSchema = z.object({ generations: z.array(generationSchema) })

export const generationPlanSchema = z.object({
  documents: z.number(),
  chunks: z.object({ total: z.number(), copied: z.number(), embedded: z.number() }),
  tokens: z.object({ total: z.number(), embedded: z.number() }),
  hours: z.number().nullable(),
  speed: z.object({ tokensPerSecond: z.number(), of: z.string() }).nullable(),
  bytes: z.number(),
  changes: z.array(z.string()),
  exact: z.boolean(),
  copiedFrom: z.string().nullable(),
  sampled: z.number().nullable(),
  adapted: z.array(z.object({ field: z.string(), from: z.number(), to: z.number() })),
})
export type GenerationPlan = z.infer<typeof generationPlanSchema>

export const switchedSchema = z.object({
  domain: z.string(),
  live: z.string(),
  retired: z.string().nullable(),
  replaced: z.string().nullable(),
  again: z.number(),
  behind: z.number(),
  ingestion: z.string().nullable(),
})
export type Switched = z.infer<typeof switchedSchema>

export const cancelledSchema = z.object({ domain: z.string(), id: z.string(), state: z.string() })

const figures = z.record(z.string(), z.number()).nullable()
const standing = z.object({ rank: z.number().nullable() })
const changed = z.object({
  total: z.number(),
  first: z.array(z.object({ id: z.string(), question: z.string(), live: standing, other: standing })),
})
export const gateSchema = z.looseObject({
  settings: z.looseObject({ margin: z.number(), metrics: z.array(z.string()), overlap: z.number() }),
  report: z
    .looseObject({
      state: z.string(),
      passed: z.boolean(),
      evidence: z.string(),
      isWeak: z.boolean(),
      sentence,
      live: z.string(),
      other: z.string(),
      golden: z
        .looseObject({
          measured: z.number(),
          live: figures,
          other: figures,
          failed: z.array(z.string()),
          worse: changed,
          better: changed,
        })
        .nullable(),
    })
    .nullable(),
})
export type Gate = z.infer<typeof gateSchema>

export const thresholdsSchema = z.object({
  generation: z.string(),
  from: z.string().nullable(),
  policy: z.string(),
  same: z.boolean(),
  items: z.array(
    z.looseObject({
      score: z.string(),
      item: z.string(),
      old: z.number(),
      new: z.number().nullable(),
      low: z.number().nullable(),
      high: z.number().nullable(),
      method: z.string(),
      pairs: z.looseObject({ from: z.array(z.string()) }),
      sureness: z.string(),
      why: z.string(),
      state: z.string(),
      decided: z.number().nullable(),
    }),
  ),
  notes: z.array(z.string()),
})
export type Thresholds = z.infer<typeof thresholdsSchema>
