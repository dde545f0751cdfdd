import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CodedError, messageOf } from '@millrace/errors'
import { z } from 'zod'

const configSchema = z.looseObject({
  model_type: z.string().optional(),
  hidden_size: z.int().optional(),
  max_position_embeddings: z.int().optional(),
  pad_token_id: z.int().nullish(),
  vocab_size: z.int().optional(),
})
const poolingSchema = z.record(z.string(), z.unknown())
const modulesSchema = z.array(z.looseObject({ type: z.string(), path: z.string() }))
const lengthSchema = z.looseObject({ max_seq_length: z.int().nullish() })
const tokenizerConfigSchema = z.looseObject({
  model_max_length: z.number().nullish(),
  pad_token: z.union([z.string(), z.looseObject({ content: z.string() })]).nullish(),
})
const tokenizerSchema = z.looseObject({
  truncation: z.looseObject({ max_length: z.int() }).nullish(),
  padding: z.looseObject({ pad_id: z.int() }).nullish(),
  added_tokens: z.array(z.looseObject({ id: z.int(), content: z.string() })).nullish(),
  model: z.looseObject({ vocab: z.union([z.array(z.unknown()), z.record(z.string(), z.int())]) }),
})

/** What the files of a model's folder say, before its graph is opened. */
export interface Source {
  readonly dir: string
  readonly config: z.infer<typeof configSchema>
  /** Undefined where there is none. */
  readonly pooling: z.infer<typeof poolingSchema> | undefined
  readonly poolingFile: string
  readonly modules: z.infer<typeof modulesSchema>
  readonly maxSeqLength: number | undefined
  readonly modelMaxLength: number | undefined
  readonly tokenizer: TokenizerFacts
  readonly heads: { readonly sparse?: string; readonly colbert?: string }
  /** Those that belong to the model besides its graph, relative. */
  readonly files: readonly string[]
}

export interface TokenizerFacts {
  /** Ids from 0 to this one may come out of it. */
  readonly largestId: number
  readonly size: number
  readonly padId: number | undefined
  /** Tokens it would cut texts at. */
  readonly truncation: number | undefined
}

const SPARSE = 'sparse_linear.pt'
const COLBERT = 'colbert_linear.pt'
/** Files of a model besides its graph, where they are there. */
export const DESCRIBING = [
  'config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'modules.json',
  'sentence_bert_config.json',
  '1_Pooling/config.json',
  SPARSE,
  COLBERT,
]
const OPTIONAL = [
  'tokenizer_config.json',
  'special_tokens_map.json',
  'modules.json',
  'sentence_bert_config.json',
]

/**
 * Reads the files that describe a model.
 * @throws CodedError INVALID_MODEL_FOLDER, naming the file and what is wrong with it
 */
export async function readSource(dir: string): Promise<Source> {
  const config = await readJson(dir, 'config.json', configSchema)
  if (config === undefined) throw lacking(dir, 'config.json')
  const tokenizer = await readJson(dir, 'tokenizer.json', tokenizerSchema)
  if (tokenizer === undefined) throw lacking(dir, 'tokenizer.json')
  const modules = (await readJson(dir, 'modules.json', modulesSchema)) ?? []
  const poolingFolder = modules.find(({ type }) => type.endsWith('.Pooling'))?.path || '1_Pooling'
  const poolingFile = `${poolingFolder}/config.json`
  const tokenizerConfig = await readJson(dir, 'tokenizer_config.json', tokenizerConfigSchema)
  const length = await readJson(dir, 'sentence_bert_config.json', lengthSchema)
  const heads = {
    ...(existsSync(join(dir, SPARSE)) ? { sparse: SPARSE } : {}),
    ...(existsSync(join(dir, COLBERT)) ? { colbert: COLBERT } : {}),
  }
  const optional = [...OPTIONAL, poolingFile].filter((path) => existsSync(join(dir, path)))
  return {
    dir,
    config,
    pooling: await readJson(dir, poolingFile, poolingSchema),
    poolingFile,
    modules,
    maxSeqLength: length?.max_seq_length ?? undefined,
    modelMaxLength: tokenizerConfig?.model_max_length ?? undefined,
    tokenizer: factsOf(tokenizer, tokenizerConfig?.pad_token),
    heads,
    files: ['tokenizer.json', 'config.json', ...optional, ...Object.values(heads)],
  }
}

type PadToken = z.infer<typeof tokenizerConfigSchema>['pad_token']

function factsOf(
  { model, added_tokens, padding, truncation }: z.infer<typeof tokenizerSchema>,
  pad: PadToken,
) {
  const { vocab } = model
  const ids = Array.isArray(vocab) ? vocab.map((_, id) => id) : Object.values(vocab)
  const added = added_tokens ?? []
  const all = new Set([...ids, ...added.map(({ id }) => id)])
  const padToken = typeof pad === 'string' ? pad : pad?.content
  return {
    largestId: [...all].reduce((largest, id) => Math.max(largest, id), 0),
    size: all.size,
    padId: padding?.pad_id ?? added.find(({ content }) => content === padToken)?.id,
    truncation: truncation?.max_length,
  }
}

/** Undefined when the file is not there. */
async function readJson<T>(dir: string, path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  if (!existsSync(join(dir, path))) return undefined
  let parsed: unknown
  try {
    parsed = JSON.parse(await readFile(join(dir, path), 'utf8'))
  } catch (error) {
    throw invalid(`Cannot read ${join(dir, path)}: ${messageOf(error)}`)
  }
  const checked = schema.safeParse(parsed)
  if (checked.success) return checked.data
  throw invalid(`${join(dir, path)} is not as expected:\n${z.prettifyError(checked.error)}`)
}

const invalid = (message: string): CodedError =>
  new CodedError('INVALID_MODEL_FOLDER', message, {
    hint: 'A folder as it is on a hub: config.json, tokenizer.json, an ONNX graph, 1_Pooling/config.json if there is one',
  })
const lacking = (dir: string, path: string): CodedError => invalid(`${dir} has no ${path}`)

/**
 * The graph of a folder: the one that was named, else onnx/model.onnx, model.onnx, or the only one there is.
 * @throws CodedError INVALID_MODEL_FOLDER, naming those there are
 */
export async function findGraph(dir: string, named: string | undefined): Promise<string> {
  const below = ['', 'onnx/'].map(async (folder) => {
    const names = await readdir(join(dir, folder)).catch(() => [])
    return names.map((name) => `${folder}${name}`)
  })
  return graphAmong((await Promise.all(below)).flat(), named, dir)
}

/**
 * The same of a list of paths.
 * @param where what they are of, for the error
 */
export function graphAmong(paths: readonly string[], named: string | undefined, where: string): string {
  const graphs = paths.filter((path) => /^(onnx\/)?[^/]+\.onnx$/.test(path)).sort()
  const wanted = named === undefined ? ['onnx/model.onnx', 'model.onnx'] : [named]
  const found = wanted.find((path) => graphs.includes(path))
  if (found !== undefined) return found
  const [only, ...others] = graphs
  if (named === undefined && only !== undefined && others.length === 0) return only
  const there = graphs.length === 0 ? 'there is none' : `there are ${graphs.join(', ')}`
  throw new CodedError(
    'INVALID_MODEL_FOLDER',
    `${where} has no graph ${named ?? 'onnx/model.onnx or model.onnx'}: ${there}`,
    { hint: graphs.length === 0 ? 'Export the model to ONNX first' : 'Name one of them with --graph' },
  )
}
