import { z } from 'zod'
import { ingestionOut } from './ingestions.js'
import { counts, indexState } from './shared.js'

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
