import { z } from 'zod'

/** Whether one is given, and only one. */
export const isOneOf = (values: readonly unknown[]) =>
  values.filter((value) => value !== undefined).length === 1

/** The first thing that is wrong, and where: of a part that is refused alone. */
export function firstIssue({ issues: [issue] }: z.ZodError): string {
  const path = issue?.path.map(String).join('.').slice(0, 100) ?? ''
  const what = issue?.message ?? 'is not valid'
  return path === '' ? what : `${path}: ${what}`
}

/** The HTTP contract: what comes in is strict, what goes out is described. */
export const domainName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,54}$/, 'must match ^[a-z0-9][a-z0-9_-]{0,54}$')
  .describe('Name of a domain')

export const efSearch = z
  .int()
  .min(1)
  .max(1_000)
  .describe('Vectors that the index looks at; more: slower, and misses less')
export const candidates = z
  .int()
  .min(1)
  .max(10_000)
  .describe('By meaning, how many are looked at closely: of sq8, sq4 and binary those that their bits find')
export const leastScore = z.number().nullable().describe('Least score of a hit; null: no cut')
export const levels = z.array(
  z.object({
    key: z.string(),
    above: z.number().nullable(),
    name: z.object({ zh: z.string(), en: z.string() }),
  }),
)
export const counts = z.object({
  total: z.int(),
  received: z.int(),
  preparing: z.int(),
  embedding: z.int(),
  ready: z.int(),
  failed: z.int(),
  cancelled: z.int(),
})
export const metadata = z.record(z.string(), z.unknown())
/** What is no number is refused with the document it is in, not with the whole submission. */
export const vector = z.array(z.unknown()).meta({ items: { type: 'number' } })
export const place = z
  .union([
    z.object({ page: z.int(), pageTo: z.int().optional() }),
    z.object({ sheet: z.string() }),
    z.object({ slide: z.int() }),
  ])
  .describe('Where in its file it is')
export const indexState = z
  .object({
    state: z.enum(['none', 'building', 'ready']).describe('none: search is exact'),
    phase: z.string().optional(),
    percent: z.number().optional().describe('Of this phase'),
  })
  .describe("The index of the domain's vectors")
const errorOut = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    hint: z.string().optional(),
    details: z.unknown().optional(),
  }),
})
/** The answers that any call may give instead of its own. */
export const problems = { '4xx': errorOut, '5xx': errorOut } as const
export const span = { start: z.int().describe('UTF-16 code units in the text as submitted'), end: z.int() }
