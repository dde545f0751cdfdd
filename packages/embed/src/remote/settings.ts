import { z } from 'zod'

/** `openai`: `/embeddings` as OpenAI has it, and many with it; `tei`: `/embed` of text-embeddings-inference. */
export const REMOTE_KINDS = ['openai', 'tei'] as const
export type RemoteKind = (typeof REMOTE_KINDS)[number]

/** `remote` of a manifest: the server, and how it is asked. */
export const remoteSchema = z
  .strictObject({
    kind: z.enum(REMOTE_KINDS),
    /** What stands before `/embeddings` (so `https://host/v1`), or before `/embed`. */
    url: z
      .url({ protocol: /^https?$/ })
      .refine(
        (url) => !hasCredentials(url),
        'must hold no name or password: `keyEnv` names where the key is',
      ),
    /** The server's own name of the model; text-embeddings-inference has one model and is not asked. */
    model: z.string().min(1).optional(),
    /** Changes whenever the vectors do; nobody but you can know when a server's do. */
    revision: z.string().min(1),
    /** The environment variable that holds the key, sent as a bearer token. Default: none is sent. */
    keyEnv: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
      .optional(),
    /** Whether the server promises that a text's vector is the same whatever shares its batch. */
    batchInvariant: z.boolean().default(false),
    /** Texts of a request at most. */
    batchTexts: z.int().min(1).max(2_048).default(32),
    /** Tokens of a request at most; a text that is alone is never refused. */
    batchTokens: z.int().min(1).default(16_384),
    /** Bulk requests at once; one more is kept for queries, which must not wait for them. */
    concurrency: z.int().min(1).max(64).default(2),
    /** How long one request may take, in milliseconds. */
    timeoutMs: z.int().min(1).max(300_000).default(30_000),
    /** How often a request is sent before it counts as failed, the first time included. */
    attempts: z.int().min(1).max(20).default(5),
  })
  .refine(({ kind, model }) => kind !== 'openai' || model !== undefined, {
    path: ['model'],
    message: 'an OpenAI-compatible server must be told which',
  })

export type RemoteSettings = Readonly<z.infer<typeof remoteSchema>>

function hasCredentials(url: string): boolean {
  if (!URL.canParse(url)) return false // refused as no URL
  const { username, password } = new URL(url)
  return username !== '' || password !== ''
}

/**
 * What a manifest with `remote` need not say, since it is about graphs and weights. In a manifest without, all of
 * it is required.
 */
export function filledIn(manifest: unknown): unknown {
  if (typeof manifest !== 'object' || manifest === null) return manifest
  if (!('remote' in manifest) || manifest.remote === undefined) return manifest
  // `graph`: what comes back is one vector a text, pooled already.
  const absent = { architecture: 'other', pooling: 'graph', heads: {}, hub: null, padId: 0, variants: [] }
  return { ...absent, ...manifest }
}
