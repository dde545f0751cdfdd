import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CodedError, messageOf } from '@millrace/errors'
import { z } from 'zod'
import { levelsSchema } from './levels.js'

const relativePath = z
  .string()
  .regex(/^[\w.-]+(\/[\w.-]+)*$/)
  .refine((path) => !path.split('/').includes('..'), 'must stay inside the folder')

const fileSchema = z.strictObject({
  path: relativePath,
  bytes: z.int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
})

const manifestSchema = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/),
    name: z.string().min(1),
    /** Changes whenever the vectors do. */
    revision: z.string().min(1),
    architecture: z.enum(['bert', 'xlm-roberta']),
    dims: z.int().min(1).max(4_000),
    /** Per text, special tokens included; what is longer is encoded in windows. */
    tokensMax: z.int().min(8),
    pooling: z.enum(['cls', 'mean', 'max']),
    /** Whether vectors are scaled to unit length. The engine promises unit length, so it must be. */
    normalize: z.literal(true),
    /** Put before a text of the kind; null: nothing is. */
    instructions: z.strictObject({ query: z.string().nullable(), document: z.string().nullable() }),
    outputs: z.array(z.enum(['dense'])).min(1),
    precision: z.enum(['float32', 'int8-row']),
    /** Whether a text's vector is the same whatever shares its batch: cosine ≥ 0.99999. */
    batchInvariant: z.boolean(),
    languages: z.array(z.string().min(2)).min(1),
    licence: z.string().min(1),
    source: z.string().min(1),
    onnx: z.strictObject({
      file: relativePath,
      /** Names of the graph's inputs; types is null where it has none. */
      inputs: z.strictObject({ ids: z.string(), mask: z.string(), types: z.string().nullable() }),
      /** Float32 [batch, tokens, dims]. */
      output: z.string(),
    }),
    padId: z.int().nonnegative(),
    /** Padded tokens of a forward pass: the measured default. */
    batchTokens: z.int().min(1),
    levels: levelsSchema,
    /** What the levels rest on. */
    levelsMeasurement: z.string().min(1),
    files: z.array(fileSchema).min(1),
  })
  .refine(
    ({ files, onnx }) => files.some(({ path }) => path === onnx.file),
    'onnx.file is not among the files',
  )
  .refine(
    ({ files }) => files.some(({ path }) => path === 'tokenizer.json'),
    'tokenizer.json is not among the files',
  )

/** All that is known of a model without loading it: `manifest.json` in its folder. */
export type ModelManifest = z.infer<typeof manifestSchema>
export type ModelFile = ModelManifest['files'][number]

export const MANIFEST_FILE = 'manifest.json'

/**
 * Reads and checks the manifest in a model's folder; fields that it does not know are refused.
 * @throws CodedError INVALID_MANIFEST, with the file and the field
 */
export function readManifest(dir: string): ModelManifest {
  const file = join(dir, MANIFEST_FILE)
  let parsed: unknown
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new CodedError('INVALID_MANIFEST', `Cannot read ${file}: ${messageOf(error)}`, { cause: error })
  }
  const checked = manifestSchema.safeParse(parsed)
  if (checked.success) return checked.data
  throw new CodedError(
    'INVALID_MANIFEST',
    `${file} does not describe a model:\n${z.prettifyError(checked.error)}`,
    {
      hint: 'Compare it with models/all-minilm-l6-v2/manifest.json',
    },
  )
}
