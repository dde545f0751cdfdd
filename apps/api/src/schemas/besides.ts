import { z } from 'zod'

const beside = {
  id: z.string(),
  model: z.string(),
  storage: z.string(),
  paused: z.boolean(),
}

/** A domain's generations that are not live, in few words. */
export const besidesOut = {
  building: z
    .object({
      ...beside,
      documents: z.object({ total: z.int(), ready: z.int(), failed: z.int() }).describe('Known so far'),
    })
    .nullable()
    .describe('The generation that is being built; null: none'),
  retired: z
    .object({ ...beside, dropAt: z.string().nullable().describe('Until then it can be rolled back to') })
    .nullable()
    .describe('The one that was live before; null: none'),
}
