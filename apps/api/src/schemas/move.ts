import { z } from 'zod'

const count = z.int().min(0)

export const importedOut = z.object({
  domain: z.string(),
  model: z.string(),
  ingestion: z.string().describe('What its documents belong to, as to a submission'),
  documents: count,
  ready: count.describe(
    'Documents that are found at once; others are prepared and embedded in the background',
  ),
  chunks: count,
  vectors: count.describe('Taken over; none of them was computed here'),
  files: count,
  golden: count.describe('Questions of the golden set'),
  bytes: count,
})
