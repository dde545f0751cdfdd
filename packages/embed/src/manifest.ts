import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CodedError, messageOf } from '@millrace/errors'
import { z } from 'zod'
import { levelsSchema } from './levels.js'
import { filledIn, type RemoteSettings, remoteSchema } from './remote/settings.js'

const relativePath = z
  .string()
  .regex(/^[\w.-]+(\/[\w.-]+)*$/)
  .refine((path) => !path.split('/').includes('..'), 'must stay inside the folder')

const fileSchema = z.strictObject({
  path: relativePath,
  bytes: z.int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
})

/** What a model gives for a text: one vector, a weight a token id, a vector a token. */
export const OUTPUTS = ['dense', 'sparse', 'colbert'] as const
/** What a model is for: `embed` gives vectors of a text, `rerank` one score (a logit) of a query and a text. */
export const TASKS = ['embed', 'rerank'] as const
/** `int8-dynamic` takes one scale a batch, so that a text's vector moves with its neighbours; never the default. */
export const PRECISIONS = ['float32', 'int8-row', 'int8-dynamic'] as const

const onnxSchema = z.strictObject({
  file: relativePath,
  /** Names of the graph's inputs; types is null where it has none. */
  inputs: z.strictObject({ ids: z.string(), mask: z.string(), types: z.string().nullable() }),
  /** Float32 [batch, tokens, dims]; with pooling `graph` [batch, dims]. */
  output: z.string(),
})

/** The same model in one precision: a graph, and the files that only it needs. */
const variantSchema = z.strictObject({
  precision: z.enum(PRECISIONS),
  /** Changes whenever the vectors do. */
  revision: z.string().min(1),
  /** Whether a text's vector is the same whatever shares its batch: cosine ≥ 0.99999. */
  batchInvariant: z.boolean(),
  onnx: onnxSchema,
  /** Padded tokens of a forward pass: the measured default. */
  batchTokens: z.int().min(1),
  files: z.array(fileSchema).min(1),
})

const shapeSchema = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/),
    name: z.string().min(1),
    task: z.enum(TASKS).default('embed'),
    architecture: z.enum(['bert', 'xlm-roberta', 'other']),
    dims: z.int().min(1).max(4_000),
    /** Per text, special tokens included; what is longer is encoded in windows. */
    tokensMax: z.int().min(8),
    /** `graph`: the graph's output is one vector a text already. */
    pooling: z.enum(['cls', 'mean', 'max', 'graph']),
    /** Whether vectors are scaled to unit length. The engine promises unit length, so it must be. */
    normalize: z.literal(true),
    /** Put before a text of the kind; null: nothing is. */
    instructions: z.strictObject({ query: z.string().nullable(), document: z.string().nullable() }),
    /** None of a model that reranks. */
    outputs: z.array(z.enum(OUTPUTS)),
    /** Files of the linear layers behind outputs other than dense, as PyTorch wrote them. */
    heads: z.strictObject({ sparse: relativePath.optional(), colbert: relativePath.optional() }),
    languages: z.array(z.string().min(2)).min(1),
    licence: z.string().min(1),
    source: z.string().min(1),
    /** Where its files can be had: a repository of a hub, and the commit; null: nowhere. */
    hub: z.strictObject({ repo: z.string().min(1), revision: z.string().min(1) }).nullable(),
    padId: z.int().nonnegative(),
    /** Of similarities; of a model that reranks, of its scores. */
    levels: levelsSchema,
    /** What the levels rest on. */
    levelsMeasurement: z.string().min(1),
    /** The first one is the default: what the bare id means. None where the vectors are computed elsewhere. */
    variants: z.array(variantSchema),
    /** The server that computes the vectors, instead of variants. */
    remote: remoteSchema.optional(),
    /** Files that every variant needs. */
    files: z.array(fileSchema).min(1),
  })
  .superRefine((folder, context) => {
    const refuse = (path: (string | number)[], message: string) =>
      context.addIssue({ code: 'custom', path, message })
    const shared = new Set(folder.files.map(({ path }) => path))
    if (!shared.has('tokenizer.json')) refuse(['files'], 'tokenizer.json is not among the files')
    if (folder.remote === undefined && folder.variants.length === 0) {
      refuse(['variants'], 'there must be one at least, or `remote`')
    }
    if (folder.remote !== undefined && folder.variants.length > 0) {
      refuse(['variants'], 'a model whose vectors are computed elsewhere (`remote`) has none')
    }
    if (folder.remote !== undefined && folder.outputs.some((output) => output !== 'dense')) {
      refuse(['outputs'], 'a server gives dense vectors only')
    }
    if (folder.task === 'embed' && folder.outputs.length === 0) {
      refuse(['outputs'], 'there must be one at least')
    }
    if (folder.task === 'rerank') {
      if (folder.remote !== undefined) refuse(['remote'], 'no server is asked to rerank')
      if (folder.outputs.length > 0) refuse(['outputs'], 'a model that reranks gives a score, and no vectors')
      if (folder.dims !== 1 || folder.pooling !== 'graph') {
        refuse(['dims'], 'a model that reranks gives one number a pair: dims 1, pooling graph')
      }
    }
    if (folder.variants[0]?.precision === 'int8-dynamic') {
      refuse(['variants', 0], 'int8-dynamic cannot be the default: vectors would move with their neighbours')
    }
    folder.variants.forEach(({ onnx, files, precision }, i) => {
      if (!files.some(({ path }) => path === onnx.file)) {
        refuse(['variants', i, 'onnx'], 'onnx.file is not among the files')
      }
      if (folder.variants.findIndex((other) => other.precision === precision) < i) {
        refuse(['variants', i, 'precision'], `${precision} is there twice`)
      }
    })
    for (const output of ['sparse', 'colbert'] as const) {
      const file = folder.heads[output]
      const isGiven = folder.outputs.includes(output)
      if (isGiven !== (file !== undefined)) refuse(['heads', output], 'heads and outputs must name the same')
      if (file !== undefined && !shared.has(file)) refuse(['heads', output], `${file} is not among the files`)
    }
    if (folder.pooling === 'graph' && folder.outputs.some((output) => output !== 'dense')) {
      refuse(['pooling'], 'sparse and colbert need the vectors of the tokens, which this graph does not give')
    }
  })

/** What the manifest of a model that reranks need not say, since it is about vectors. */
function withoutVectors(manifest: unknown): unknown {
  if (typeof manifest !== 'object' || manifest === null) return manifest
  if (!('task' in manifest) || manifest.task !== 'rerank') return manifest
  const instructions = { query: null, document: null }
  return { dims: 1, pooling: 'graph', normalize: true, instructions, outputs: [], heads: {}, ...manifest }
}

const folderSchema = z.preprocess((manifest) => withoutVectors(filledIn(manifest)), shapeSchema)

/** A model's folder: `manifest.json` in it, all its variants, or the server that stands in for them. */
export type ModelFolder = z.infer<typeof folderSchema>
export type ModelVariant = ModelFolder['variants'][number]
export type ModelFile = ModelFolder['files'][number]
export type Output = (typeof OUTPUTS)[number]
export type Task = (typeof TASKS)[number]
export type Precision = (typeof PRECISIONS)[number]

type Shared = Omit<ModelFolder, 'variants' | 'remote'>

/** A variant whose vectors are computed in this process. */
export type LocalManifest = Shared & ModelVariant & { readonly remote?: undefined }

/** A model whose vectors a server computes: there is no graph. */
export type RemoteManifest = Shared &
  Omit<ModelVariant, 'precision' | 'onnx'> & {
    readonly precision: 'remote'
    readonly onnx?: undefined
    readonly remote: RemoteSettings
  }

/**
 * All that is known of one variant of a model without loading it. `id` is what callers ask for: `bge-m3` for the
 * default variant, `bge-m3@int8-row` for another. Most callers need not know where the vectors come from; who
 * needs the graph asks `remote === undefined` first.
 */
export type ModelManifest = LocalManifest | RemoteManifest

export const MANIFEST_FILE = 'manifest.json'

/**
 * Reads and checks the manifest in a model's folder; fields that it does not know are refused.
 * @throws CodedError INVALID_MANIFEST, with the file and the field
 */
export function readFolder(dir: string): ModelFolder {
  const file = join(dir, MANIFEST_FILE)
  let parsed: unknown
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new CodedError('INVALID_MANIFEST', `Cannot read ${file}: ${messageOf(error)}`, { cause: error })
  }
  return parseFolder(parsed, file)
}

/**
 * A manifest that was read already.
 * @param from where it is from, for the error
 * @throws CodedError INVALID_MANIFEST, with the field
 */
export function parseFolder(parsed: unknown, from: string): ModelFolder {
  const checked = folderSchema.safeParse(parsed)
  if (checked.success) return checked.data
  throw new CodedError(
    'INVALID_MANIFEST',
    `${from} does not describe a model:\n${z.prettifyError(checked.error)}`,
    {
      hint: 'Compare it with models/all-minilm-l6-v2/manifest.json',
    },
  )
}

/** The variants of a folder as models of their own, the default one first; a server is the only one. */
export function variantsOf({ variants, remote, ...shared }: ModelFolder): ModelManifest[] {
  if (remote !== undefined) {
    const { revision, batchInvariant, batchTokens } = remote
    return [{ ...shared, precision: 'remote', revision, batchInvariant, batchTokens, remote }]
  }
  return variants.map((variant, i) => ({
    ...shared,
    ...variant,
    id: i === 0 ? shared.id : `${shared.id}@${variant.precision}`,
    files: [...variant.files, ...shared.files],
  }))
}

/**
 * The default variant of the model in a folder.
 * @throws CodedError INVALID_MANIFEST, with the file and the field
 */
export function readManifest(dir: string): ModelManifest {
  const [manifest] = variantsOf(readFolder(dir))
  if (manifest === undefined) throw new CodedError('INVALID_MANIFEST', `The model in ${dir} has no variant`)
  return manifest
}
