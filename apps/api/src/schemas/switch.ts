import { z } from 'zod'

export const switchIn = z
  .strictObject({
    force: z
      .strictObject({ reason: z.string().trim().min(1).max(1_000).describe('Kept with the generation') })
      .optional()
      .describe('Although documents failed in it, or its gate refuses'),
  })
  .nullish()

/** Of calls that take nothing: what is in it is a mistake. */
export const nothingIn = z.strictObject({}).nullish()

export const switchOut = z.object({
  domain: z.string(),
  live: z.string().describe('The generation that readers see now'),
  retired: z
    .string()
    .nullable()
    .describe('The one that they saw before, which stays for its soak time; null: nothing changed'),
  replaced: z
    .string()
    .nullable()
    .describe('The one that was retired until now and is removed because of it; null: there was none'),
  again: z.int().describe('Documents that were on their way and are prepared again'),
  behind: z.int().describe('Documents that came or changed while it was not live, and are received again'),
  ingestion: z.string().nullable().describe('The ingestion of those; null: there are none'),
})

export const cancelOut = z.object({
  domain: z.string(),
  id: z.string(),
  state: z.enum(['ending', 'ended']).describe('ending: its rows are being removed'),
})
