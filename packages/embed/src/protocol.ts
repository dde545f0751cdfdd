import type { Priority } from './batch.js'
import type { LocalManifest } from './manifest.js'

/** What a text is embedded as; some models put another instruction before each. */
export type TextKind = 'query' | 'document'

/** What the host says to the inference thread. Ids are the host's; the thread only repeats them. */
export type ToThread =
  | { readonly type: 'load'; readonly dir: string; readonly manifest: LocalManifest }
  | TextsMessage
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
  readonly texts: readonly string[]
}

/** Handed to the thread when it starts. */
export interface ThreadData {
  /** Cores of one forward pass. */
  readonly threads: number
  /** Padded tokens of a pass; undefined: the model's own. */
  readonly batchTokens: number | undefined
  readonly attentionBudget: number
}

/** What the thread answers. */
export type FromThread =
  | { readonly type: 'loaded'; readonly model: string; readonly ms: number }
  | { readonly type: 'notLoaded'; readonly model: string; readonly error: PlainError }
  | ResultsMessage

export interface ResultsMessage {
  readonly type: 'results'
  readonly results: readonly TextResult[]
  /** The vectors of the results that have one, in order; its memory is handed over, not copied. */
  readonly vectors: Float32Array<ArrayBuffer>
  readonly pass: PassFigures
}

export interface TextResult {
  readonly request: number
  readonly index: number
  /** Special tokens included, once. */
  readonly tokens: number
  readonly windows: number
  /** Why there is no vector. */
  readonly error?: PlainError | undefined
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
