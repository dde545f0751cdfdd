import { z } from 'zod'
import { chunkingIn, cleaningIn, indexIn, outputs, storage } from './domains.js'
import { gateIn } from './gate.js'
import { domainName } from './shared.js'

/** A search that began before the switch ends within it. */
const SOAK_SECONDS_MIN = 60
/** A year. */
const SOAK_SECONDS_MAX = 31_536_000

const weight = z
  .number()
  .gt(0)
  .max(10)
  .describe('Its share of embedding beside a generation of weight 1: what is submitted goes on meanwhile')
const soakSeconds = z
  .int()
  .min(SOAK_SECONDS_MIN, { error: 'Too short: it is in seconds, and a minute, 60, at least' })
  .max(SOAK_SECONDS_MAX)
  .describe('How long the generation that it replaces stays, to roll back to; a minute at least')
const run = {
  weight: weight.optional(),
  switch: z
    .enum(['manual', 'built'])
    .optional()
    .describe('Whether it takes over by itself once it is built; default manual'),
  soakSeconds: soakSeconds.optional(),
  keepUpToDate: z
    .boolean()
    .optional()
    .describe('Whether the one that it replaces goes on getting what comes; default false'),
  thresholds: z
    .enum(['confirm', 'carry', 'defaults'])
    .optional()
    .describe(
      'What becomes of thresholds at the switch: a person confirms them, they are carried over, or are none',
    ),
  gate: gateIn.optional(),
}

export const generationIn = z.strictObject({
  model: z.string().optional().describe("Left out: the domain's"),
  cleaning: cleaningIn.optional(),
  chunking: chunkingIn.optional(),
  storage: storage.optional(),
  outputs: outputs.optional(),
  index: indexIn.optional(),
  copy: z
    .boolean()
    .optional()
    .describe('Whether vectors of the same text are taken over; default true. false: all are computed anew'),
  copySince: z.iso
    .datetime({ offset: true })
    .transform((text) => new Date(text))
    .optional()
    .describe('Only vectors of documents that were published since are taken over'),
  ...run,
  dryRun: z.boolean().optional().describe('Only say what it would take'),
})
export const generationChange = z.strictObject({ ...run, paused: z.boolean().optional() })

export const oneGeneration = z.strictObject({
  name: domainName,
  id: z.string().max(20).describe('Of a generation'),
})

const moment = z.string().nullable()
const record = z.record(z.string(), z.unknown())

export const generationOut = z.object({
  id: z.string(),
  domain: z.string(),
  state: z
    .enum(['importing', 'live', 'building', 'retired', 'ending', 'ended'])
    .describe('ended: nothing is left of it but this'),
  phase: z
    .enum(['filling', 'embedding', 'indexing', 'complete', 'incomplete'])
    .nullable()
    .describe('Of its build; incomplete: documents failed that the live one has. null: it is not built'),
  model: z.string(),
  dims: z.int(),
  recipe: record.describe('All that decides a vector besides its text'),
  recipeHash: z.string().describe('Thresholds belong to it'),
  storage: z.string(),
  outputs: z.array(z.string()),
  lexical: z.string().nullable(),
  index: z.object({ m: z.int(), efConstruction: z.int(), ready: z.boolean() }),
  documents: z
    .object({
      total: z.int(),
      waiting: z.int(),
      preparing: z.int(),
      embedding: z.int(),
      ready: z.int(),
      failed: z.int(),
    })
    .nullable()
    .describe('null: it has ended'),
  chunks: z.int().nullable().describe('Of the documents that are prepared; null: not counted any more'),
  tokens: z.int().nullable(),
  copied: z
    .int()
    .nullable()
    .describe('Texts whose vectors were taken over; null: it was never built beside another'),
  embedded: z
    .int()
    .nullable()
    .describe('Texts that the model computed for it; null: those of a first one count in its ingestions'),
  tokensEmbedded: z.int().nullable(),
  tokensPerSecond: z.number().nullable().describe('Of late, while it is built'),
  etaSeconds: z.number().nullable().describe('null until it can be told, and while it is paused'),
  errors: z.array(
    z.object({
      code: z.string(),
      count: z.int(),
      example: z.object({ document: z.string(), message: z.string() }),
    }),
  ),
  paused: z.boolean(),
  weight: z.number(),
  switch: z.enum(['manual', 'built']),
  switchAgainAt: moment.describe(
    'When its gate is asked again that refused a switch by itself; null: it did not',
  ),
  soakSeconds: z.int(),
  keepUpToDate: z.boolean(),
  thresholds: z.enum(['confirm', 'carry', 'defaults']),
  copiesFrom: z.string().nullable().describe('The generation whose vectors are taken over'),
  copiedFrom: z
    .string()
    .nullable()
    .describe(
      'The coarsest form of storage that its vectors came through: they have its precision. null: none coarser than its own',
    ),
  copySince: moment,
  gate: record,
  gated: record.nullable().describe('What came of its gate last'),
  forced: record.nullable().describe('When and why it took over although'),
  createdAt: z.string(),
  startedAt: moment.describe('When its build began; null: it came with the domain'),
  builtAt: moment.describe('When it was complete for the first time'),
  liveSince: moment,
  retiredAt: moment,
  dropAt: moment.describe('Until then it can be rolled back to'),
  endedAt: moment,
  endedBy: z.enum(['cancelled', 'soaked', 'replaced']).nullable(),
  error: z
    .object({ code: z.string(), message: z.string() })
    .nullable()
    .describe('Why its build cannot go on'),
})

export const planOut = z.object({
  documents: z.int(),
  chunks: z.object({
    total: z.int(),
    copied: z.int().describe('Texts, as many chunks as have them'),
    embedded: z.int().describe('What is neither is a text that came before'),
  }),
  tokens: z.object({ total: z.int(), embedded: z.int() }),
  hours: z.number().nullable().describe('null: nothing was embedded here yet to go by'),
  speed: z
    .object({ tokensPerSecond: z.number(), of: z.enum(['this model', 'other model']) })
    .nullable()
    .describe('What hours go by, as measured'),
  bytes: z.number().describe('That it takes on disk beside the live one, about'),
  changes: z.array(z.string()),
  exact: z
    .boolean()
    .describe('false: what is taken over are codes of a coarser form, no better than they were'),
  copiedFrom: z
    .string()
    .nullable()
    .describe("That coarser form: the live one's, or one that its vectors came through; null: exact"),
  sampled: z.int().nullable().describe('Documents that the figures rest on; null: all were counted'),
  adapted: z
    .array(z.object({ field: z.string(), from: z.number(), to: z.number() }))
    .describe('What would not fit the model and is made to'),
})
