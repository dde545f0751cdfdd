import { z } from 'zod'
import { chunkingIn, cleaningIn } from './domains.js'
import { isOneOf, metadata, place, span, vector } from './shared.js'

export const documentIn = z
  .strictObject({
    id: z.string().optional().describe('Left out: the hash of title and text; of a url, the url'),
    title: z.string().nullable().optional(),
    text: z.string().optional(),
    url: z.string().optional().describe('Fetched by a worker; instead of a text'),
    chunks: z
      .array(z.strictObject({ text: z.string().optional(), vector }))
      .optional()
      .describe('In an external domain: passages with their vectors; instead of a text'),
    metadata: metadata.optional(),
  })
  .refine(({ text, url, chunks }) => isOneOf([text, url, chunks]), {
    error: 'a document has either a text, a url or chunks',
  })
const source = z
  .string()
  .min(1)
  .max(500)
  .describe('What the documents are a part of: a site, a folder, a system')
const sync = z
  .enum(['full'])
  .describe('full: once all is ready, documents of the source that were not in it are deleted; needs source')
export const documentsIn = z.strictObject({
  documents: z.array(documentIn),
  source: source.optional(),
  sync: sync.optional(),
  dryRun: z.boolean().optional().describe('Say what would be done, and do nothing'),
})
export const submitQuery = z.strictObject({
  source: source.optional(),
  sync: sync.optional(),
  dryRun: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional(),
})
const rejected = z
  .array(z.object({ index: z.int(), id: z.string().optional(), code: z.string(), message: z.string() }))
  .describe('The first 1,000 documents that were not taken')
export const submissionOut = z.object({
  ingestion: z.string(),
  accepted: z.int(),
  rejected,
  rejectedTotal: z.int(),
})
const cost = z.object({
  total: z.int(),
  embed: z.int().describe('what the model would have to compute'),
})
export const planOut = z.object({
  dryRun: z.literal(true),
  documents: z.object({
    added: z.int(),
    changed: z.int(),
    unchanged: z.int(),
    deleted: z.int(),
    rejected: z.int(),
    unknown: z.int().describe('behind a URL: not known before it is fetched'),
  }),
  chunks: cost,
  tokens: cost,
  rejected,
})

/** Values that belong to a code; each says of which in flow's `Waiting`. */
const waiting = z
  .object({
    code: z.enum([
      'CANCELLING',
      'NO_WORKER',
      'SENDING',
      'QUEUED',
      'PREPARING',
      'RETRYING',
      'WAITS_FOR_TEXTS',
    ]),
    message: z.string(),
    lastSeenSeconds: z.int().nullable().optional().describe('NO_WORKER: since the last sign of life of any'),
    ahead: z.int().optional().describe('QUEUED, SENDING: documents that may be prepared before it, at most'),
    attempts: z.int().optional().describe('RETRYING: how often it, or one of its texts, was begun'),
    error: z.object({ code: z.string(), message: z.string() }).optional(),
    missing: z.int().optional().describe('Its texts without a vector'),
    leased: z.int().optional().describe('Of those, the ones that a worker has'),
  })
  .nullable()
  .describe('What an open document waits for; null for one that has come to its end')

const documentState = z.enum(['received', 'preparing', 'embedding', 'ready', 'failed', 'cancelled'])
export const documentOut = z.object({
  id: z.string(),
  title: z.string().nullable(),
  state: documentState,
  ageSeconds: z
    .number()
    .describe('While it is open, since it was submitted or resumed; then since it came to its end'),
  waiting,
  revision: z.int(),
  ingestion: z.string(),
  source: z.string().nullable(),
  origin: z.enum(['text', 'file', 'url', 'vectors']),
  url: z.string().nullable(),
  file: z
    .object({ name: z.string(), type: z.string().nullable(), format: z.string().nullable() })
    .nullable()
    .describe('of a file or what was fetched; format: what it was read as, null until then'),
  metadata,
  chunkCount: z.int().nullable().describe('null until it is prepared'),
  tokens: z.int().nullable(),
  warnings: z.array(z.string()),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  createdAt: z.string(),
  updatedAt: z.string(),
})
export const documentDetail = documentOut.extend({
  text: z.string(),
  chunks: z.array(
    z.object({
      chunk: z.int(),
      start: z.int().describe('UTF-16 code units in text'),
      end: z.int(),
      tokens: z.int(),
      text: z.string().describe('Cleaned, as it was embedded'),
      headings: z.array(z.string()).describe('The heading path, outermost first'),
      place: place.nullable(),
      parent: z.int().nullable().describe('Ordinal of the longer span that is shown for it'),
    }),
  ),
})
export const documentsPage = z.object({ documents: z.array(documentOut), cursor: z.string().nullable() })
export const documentsQuery = z.strictObject({
  state: documentState.optional(),
  ingestion: z.coerce
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Only those whose newest revision came with this ingestion'),
  cursor: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
})

/** What a preview is told beside the text. */
export const previewRest = z.strictObject({
  title: z.string().nullable().optional(),
  chunking: chunkingIn.optional().describe("Instead of the domain's"),
  cleaning: cleaningIn.optional(),
})
export const previewIn = previewRest.extend({ text: z.string() })
export const previewOut = z.object({
  model: z.string(),
  text: z.string().optional().describe('Of a file: what was read from it, in which start and end are'),
  chunks: z.array(
    z.object({
      text: z.string(),
      context: z.string().describe('What the model reads before it'),
      headings: z.array(z.string()),
      ...span,
      tokens: z.int().describe('Context and special tokens included'),
      overlap: z.int().describe('Characters that it shares with the chunk before it'),
      place: place.nullable(),
      parent: z.int().nullable().describe('Index in parents'),
    }),
  ),
  parents: z.array(z.object({ text: z.string(), headings: z.array(z.string()), ...span })),
  tokens: z.int(),
  cut: z.int().describe('Characters but white space that are in no chunk'),
  warnings: z.array(z.string()),
})
