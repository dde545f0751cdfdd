import type { Priority } from './batch.js'
import type { LocalManifest } from './manifest.js'
import type { Encoding } from './outputs.js'
import type { SessionSetting } from './session.js'

/** What a text is embedded as; some models put another instruction before each, and none before `plain`. */
export type TextKind = 'query' | 'document' | 'plain'

/** What the host says to the inference thread. Ids are the host's; the thread only repeats them. */
export type ToThread =
  | { readonly type: 'load'; readonly dir: string; readonly manifest: LocalManifest }
  | TextsMessage
  | PairsMessage
  | { readonly type: 'drop'; readonly request: number }
  | { readonly type: 'close' }

/** Some of the texts of a request; their indices in it run from `first`. The model is loaded already. */
export interface TextsMessage {
  readonly type: 'texts'
  readonly request: number
  readonly first: number
  readonly model: string
  readonly kind: TextKind
  readonly priority: Priority
  readonly encoding: Encoding
  readonly texts: readonly string[]
}

/**
 * Some of the texts of a request to rerank, each to be scored together with the query. They come back as results with
 * one number in `dense`, the logit.
 */
export interface PairsMessage extends Omit<TextsMessage, 'type' | 'kind' | 'encoding'> {
  readonly type: 'pairs'
  readonly query: string
}

/** Handed to the thread when it starts. */
export interface ThreadData extends Omit<SessionSetting, 'saturates'> {
  /** Padded tokens of a pass; undefined: the model's own. */
  readonly batchTokens: number | undefined
  readonly attentionBudget: number
}

/** What the thread answers. */
export type FromThread =
  | {
      readonly type: 'loaded'
      readonly model: string
      readonly ms: number
      /** By how much the memory of the process grew. */
      readonly bytes: number
      /** Weights of 7 bits are used, since this processor's products of 8 bits overflow. */
      readonly sevenBits: boolean
    }
  | { readonly type: 'notLoaded'; readonly model: string; readonly error: PlainError }
  | ResultsMessage

export interface ResultsMessage {
  readonly type: 'results'
  readonly results: readonly TextResult[]
  /** Of each result that has vectors, in order: dense, weights of sparse, colbert, counts of terms. Handed over, not copied. */
  readonly floats: Float32Array<ArrayBuffer>
  /** Token ids of the sparse vectors and the terms, in order. */
  readonly ids: Int32Array<ArrayBuffer>
  readonly pass: PassFigures
}

export interface TextResult {
  readonly request: number
  readonly index: number
  /** Special tokens included, once. */
  readonly tokens: number
  readonly windows: number
  readonly truncated: boolean
  /** Why there are no vectors. */
  readonly error?: PlainError | undefined
  /** How many numbers it has of each. */
  readonly dense?: number
  readonly sparse?: number
  readonly terms?: number
  readonly colbert?: { readonly count: number; readonly dims: number }
}

/** What a forward pass cost; zeros where results came without one. */
export interface PassFigures {
  readonly rows: number
  readonly paddedTokens: number
  readonly ms: number
}

/** A CodedError in a form that crosses threads: structured clone keeps only name and message. */
export interface PlainError {
  readonly code: string
  readonly message: string
  readonly hint?: string
  readonly retryable: boolean
}
