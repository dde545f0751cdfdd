import { CodedError } from '@millrace/errors'
import type { Priority } from './batch.js'
import type { ModelManifest } from './manifest.js'
import { refusal } from './texts.js'

export interface RerankRequest {
  /** A model that reranks (`task` in its manifest). */
  readonly model: string
  readonly query: string
  readonly texts: readonly string[]
  /** Default: interactive. */
  readonly priority?: Priority | undefined
  /** Stops waiting; texts that are not in the model yet are dropped. */
  readonly signal?: AbortSignal | undefined
}

/** How well a text answers the query. */
export interface Reranked {
  /** 0 to 1: the sigmoid of the logit. */
  readonly score: number
  /** As the model gave it. */
  readonly logit: number
  /** Of query and text together, special tokens included; the query once. */
  readonly tokens: number
  /** More than 1: query and text are longer than the model takes, and the text's best window counts. */
  readonly windows: number
}

export type RerankResult = Reranked | { readonly error: CodedError }

export const QUERY_TOO_LONG = 'QUERY_TOO_LONG'

/**
 * How much of what a model reads the query may be, so that room for the text is left: what FlagEmbedding allows it
 * (https://github.com/FlagOpen/FlagEmbedding, inference/reranker/encoder_only/base.py, query_max_length).
 */
const QUERY_PART = 0.75

/** Tokens of a query at most, special ones not counted. */
export const queryTokensMax = (tokensMax: number, specials: number): number =>
  Math.min(Math.floor(tokensMax * QUERY_PART), tokensMax - specials - 1)

export const queryTooLong = (tokens: number, most: number): CodedError =>
  new CodedError(QUERY_TOO_LONG, `The query has ${tokens} tokens, at most ${most} leave room for a text`, {
    hint: 'Shorten the query, or search without reranking',
  })

/**
 * For callers without types, too.
 * @throws CodedError BAD_REQUEST, EMPTY_TEXT, INVALID_TEXT
 */
export function checkRerank({ query, texts, priority }: RerankRequest): void {
  const isText = (value: unknown) => typeof value === 'string'
  if (!isText(query) || !Array.isArray(texts) || !texts.every(isText)) {
    throw new CodedError('BAD_REQUEST', 'query is not a string, or texts not a list of strings')
  }
  if (![undefined, 'interactive', 'bulk'].includes(priority)) {
    throw new CodedError('BAD_REQUEST', `priority is ${JSON.stringify(priority)}`, {
      hint: 'it must be one of interactive, bulk',
    })
  }
  const wrong = refusal(query.trim())
  if (wrong !== undefined) throw wrong
}

export const sigmoid = (logit: number): number => 1 / (1 + Math.exp(-logit))

/** @throws CodedError NOT_AN_EMBEDDER */
export function requireEmbedder({ id, task }: Pick<ModelManifest, 'id' | 'task'>): void {
  if (task === 'embed') return
  throw new CodedError(
    'NOT_AN_EMBEDDER',
    `${id} reranks: it scores a query and a text, and gives no vectors`,
    {
      hint: 'Choose a model that embeds, and rerank what it finds with this one',
      details: { model: id },
    },
  )
}

/** @throws CodedError NOT_A_RERANKER */
export function requireReranker({ id, task }: Pick<ModelManifest, 'id' | 'task'>): void {
  if (task === 'rerank') return
  throw new CodedError(
    'NOT_A_RERANKER',
    `${id} embeds: it gives vectors, and no score of a query and a text`,
    {
      hint: 'Name a cross-encoder; millrace models list says which models are',
      details: { model: id },
    },
  )
}
