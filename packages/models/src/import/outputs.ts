import { dot, normalize, type Pooling } from '@millrace/embed'
import { pool } from '@millrace/embed/pool'
import { CodedError } from '@millrace/errors'
import type { TokenPooling } from './decide.js'
import type { Given } from './graph.js'

/** What a graph gave for some rows: the outputs that could be vectors. */
export interface Shapes {
  /** The output with a vector a token; undefined where there is none. */
  readonly tokens: string | undefined
  /** The output with a vector a text. */
  readonly text: string | undefined
  /** The output with one number a text: of a pair, how well they go together. */
  readonly score: string | undefined
}

/** Names that exporters give the vectors of the tokens, the likeliest first. */
const TOKEN_NAMES = ['last_hidden_state', 'token_embeddings', 'hidden_states']
const TEXT_NAME = 'sentence_embedding'

/** Which outputs are vectors, by what came and not by what the graph says of itself. */
export function shapesOf(outputs: ReadonlyMap<string, Given>, rows: number, longest: number): Shapes {
  const floats = [...outputs].filter(([, { type }]) => type === 'float32')
  const tokens = floats
    .filter(([, { dims }]) => dims.length === 3 && dims[0] === rows && dims[1] === longest)
    .map(([name]) => name)
  const text = floats.find(([name, { dims }]) => name === TEXT_NAME && dims.length === 2 && dims[0] === rows)
  const named = TOKEN_NAMES.find((name) => tokens.includes(name))
  const score = floats.find(([, { dims }]) => dims.length === 2 && dims[0] === rows && dims[1] === 1)
  return {
    tokens: named ?? (tokens.length === 1 ? tokens[0] : undefined),
    text: text?.[0],
    score: score?.[0],
  }
}

export interface Output {
  readonly name: string
  readonly pooling: Pooling
  readonly why: string
}

export interface Wishes {
  /** `--pooling`. */
  readonly asked: TokenPooling | undefined
  /** 1_Pooling. */
  readonly said: TokenPooling | undefined
  /** Whether heads need the vectors of the tokens. */
  readonly hasHeads: boolean
}

/**
 * Which output becomes the vector of a text, and how. What was asked for counts first, then 1_Pooling, then the
 * graph's own `sentence_embedding`.
 * @param poolingSeen which pooling of the tokens gives what `sentence_embedding` does, when one does
 * @throws CodedError NO_POOLING, INVALID_GRAPH
 */
export function outputOf(
  { tokens, text }: Pick<Shapes, 'tokens' | 'text'>,
  { asked, said, hasHeads }: Wishes,
  poolingSeen: () => TokenPooling | undefined,
  gave: string,
): Output {
  if (tokens === undefined && text === undefined) {
    throw new CodedError(
      'INVALID_GRAPH',
      `The graph gives ${gave}: none of them is a vector a token or a text`,
      {
        hint: 'It must give float32 [batch, tokens, dims], or sentence_embedding, float32 [batch, dims]; to rerank, [batch, 1]',
      },
    )
  }
  const wanted = asked ?? said
  if (tokens !== undefined && wanted !== undefined) {
    return { name: tokens, pooling: wanted, why: asked === undefined ? '1_Pooling' : '--pooling' }
  }
  if (tokens === undefined && asked !== undefined) {
    throw new CodedError('INVALID_GRAPH', `The graph gives ${gave}, and no vectors of tokens to pool`, {
      hint: 'Leave --pooling out: sentence_embedding is taken as it is',
    })
  }
  if (text !== undefined && !hasHeads) {
    return { name: text, pooling: 'graph', why: "the graph's sentence_embedding" }
  }
  const seen = tokens !== undefined && text !== undefined ? poolingSeen() : undefined
  if (tokens !== undefined && seen !== undefined) {
    return { name: tokens, pooling: seen, why: "what the graph's sentence_embedding does, by trial" }
  }
  const why = hasHeads && text !== undefined ? 'its heads need the vectors of the tokens, and' : 'it has'
  throw new CodedError(
    'NO_POOLING',
    `Nothing says how the tokens become one vector: ${why} no 1_Pooling/config.json`,
    {
      hint: 'Add --pooling cls, mean or max: the model card says which',
    },
  )
}

/** Least cosine at which two ways are the same one. */
const SAME = 0.9999

/** The pooling of token vectors that gives the vectors of the texts; undefined when none does. */
export function poolingThatGives(
  tokens: Given,
  texts: Given,
  lengths: readonly number[],
): TokenPooling | undefined {
  const [, longest = 0, dims = 0] = tokens.dims
  const { values: all } = tokens
  const { values: wanted } = texts
  if (all === undefined || wanted === undefined || texts.dims[1] !== dims) return undefined
  return (['cls', 'mean', 'max'] as const).find((pooling) =>
    lengths.every((length, i) => {
      const rows = all.subarray(i * longest * dims, (i + 1) * longest * dims)
      const one = normalize(pool(rows, length, dims, pooling))
      return dot(one, normalize(wanted.slice(i * dims, (i + 1) * dims))) >= SAME
    }),
  )
}

/** The unit vector of a row. */
export function vectorOf(
  given: Given,
  row: number,
  length: number,
  dims: number,
  pooling: Pooling,
): Float32Array {
  const values = given.values ?? new Float32Array()
  const size = values.length / (given.dims[0] ?? 1)
  return normalize(pool(values.subarray(row * size, (row + 1) * size), length, dims, pooling))
}

/** `logits float32 [2, 1]`, of all outputs, for an error. */
export const inWords = (outputs: ReadonlyMap<string, Given>): string =>
  [...outputs].map(([name, { type, dims }]) => `${name} ${type} [${dims.join(', ')}]`).join(' and ')
