import { FAILED_LOOKED_AT } from '@millrace/flow'
import { z } from 'zod'
import { besidesOut } from './besides.js'
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
  backlog: z.object({
    documents: z.int().describe('Open: received, being prepared, being embedded'),
    texts: z.int().describe('Without a vector'),
    leases: z.int(),
    tokens: z.int().describe('Of the texts without a vector; documents that are not prepared have none yet'),
    minutes: z
      .number()
      .nullable()
      .describe(
        'Until all of it is embedded, documents that are not prepared included, at the rate of the workers of late; ' +
          'null when it cannot be told: nothing is embedded, or nothing of an ingestion is prepared yet',
      ),
    oldestSeconds: z
      .number()
      .nullable()
      .describe(
        'Since the first open document of an ingestion was submitted or resumed; the longest of them',
      ),
  }),
  queues: z
    .array(
      z.object({
        name: z.string().describe('prepare: ranges of documents; embed: leases of texts'),
        waiting: z.int().describe('Jobs'),
        active: z.int(),
        delayed: z.int().describe('To be tried again after a while'),
        failed: z.int().describe('Kept after they were given up; what failed stands in failed below'),
        oldestSeconds: z
          .number()
          .nullable()
          .describe(
            'Since the oldest waiting job was added, of the first one and some spread over those behind it; null: none waits',
          ),
      }),
    )
    .describe('Empty when the queue does not answer'),
  models: z
    .array(
      z.object({
        id: z.string(),
        state: z.enum(['absent', 'loading', 'ready', 'failed']),
        memoryBytes: z
          .int()
          .nullable()
          .describe(
            'By how much the process that runs it grew when it was loaded; null: not loaded, or computed elsewhere',
          ),
      }),
    )
    .describe('Of the process that answers; workers apart load their own'),
  memory: z
    .object({
      rssBytes: z
        .int()
        .describe('Resident, of the process that answers; models and the embedded database run in others'),
    })
    .describe('Of the process that answers'),
  failed: z
    .array(
      z.object({
        domain: z.string(),
        code: z.string(),
        count: z.int(),
        example: z.object({ document: z.string(), message: z.string() }).describe('The one that failed last'),
      }),
    )
    .describe(
      `Documents that are failed now, by domain and code, the most frequent first; of a domain with more than ${FAILED_LOOKED_AT} of them the first so many by id`,
    ),
  alarms: z
    .array(
      z.object({
        schedule: z.string(),
        domain: z.string().nullable().describe('null: it is of every domain'),
        alarm: z.string(),
        at: z.string(),
      }),
    )
    .describe('Schedules whose last run found something wrong, or failed'),
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
      ...besidesOut,
    }),
  ),
})
