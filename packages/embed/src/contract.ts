import type { CodedError } from '@millrace/errors'
import type { Priority } from './batch.js'
import type { TermSpans } from './counter.js'
import type { Isolation } from './host.js'
import type { ModelState } from './loads.js'
import type { ModelManifest } from './manifest.js'
import type { EmbedOutput, LongTexts, WindowPooling } from './outputs.js'
import type { TextKind } from './protocol.js'
import type { Provider } from './provider.js'
import type { EmbedResult } from './requests.js'
import type { RerankRequest, RerankResult } from './reranked.js'

/** What the engine reports to; a pino logger fits. */
export interface EngineLog {
  info(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface EngineOptions {
  /** Folders that hold model folders; of two models with one id the first folder's counts. */
  readonly modelDirs: readonly string[]
  /** Cores of one forward pass. Default: those this process may use. */
  readonly threads?: number | undefined
  /**
   * Sessions of every model, each in a process or thread of its own with its share of `threads`. More of them embed
   * more in bulk (two of one thread against one of two: 1.1 to 1.2 x, docs/engine-layouts.md), and each holds the
   * whole model in memory; a single text still uses one. Default 1.
   */
  readonly sessions?: number | undefined
  /** Whether models run in a process of their own or a thread of this one. Default: process. */
  readonly isolation?: Isolation | undefined
  /** Where graphs run. Default: cpu. */
  readonly provider?: Provider | undefined
  /** Padded tokens of a forward pass. Default: what was measured for the model, in its manifest. */
  readonly batchTokens?: number | undefined
  /**
   * Padded tokens × longest row of a pass, which bounds the memory of attention. Default 2^20: with 12 heads
   * in float32 50 MB. A text that is alone is never refused.
   */
  readonly attentionBudget?: number | undefined
  /** Default: silence. */
  readonly log?: EngineLog | undefined
}

export interface EmbedRequest {
  readonly model: string
  readonly texts: readonly string[]
  readonly kind: TextKind
  /** Default: dense. Each is computed only when it is asked for; `terms` alone need no pass and no loaded model. */
  readonly outputs?: readonly EmbedOutput[] | undefined
  /** Tokens of a window, special ones included, at most the model's limit. Default: that limit. */
  readonly window?: number | undefined
  /**
   * Of a text with more tokens than a window: `pool` all of it over windows (the default), `refuse` it
   * (TEXT_TOO_LONG), or `truncate` it, which its result says.
   */
  readonly longTexts?: LongTexts | undefined
  /** How the dense vectors of windows become one. Default: their mean, weighted by their tokens. */
  readonly windowPooling?: WindowPooling | undefined
  /** Default: interactive for queries, bulk for documents. */
  readonly priority?: Priority | undefined
  /** Stops waiting; texts that are not in the model yet are dropped. */
  readonly signal?: AbortSignal | undefined
}

/** Sums since the engine was opened, but for `waiting`. */
export interface EngineStats {
  /** Texts submitted and not answered. */
  readonly waiting: number
  readonly texts: number
  /** Special tokens included. */
  readonly tokens: number
  /** Texts that got an error. */
  readonly failures: number
  readonly batches: number
  readonly paddedTokens: number
  /** Time in the model, in milliseconds. */
  readonly busyMs: number
  /** Deaths of the inference thread. */
  readonly crashes: number
}

export interface Engine {
  models(): ModelManifest[]
  /** @throws CodedError UNKNOWN_MODEL, naming those that are there */
  manifest(id: string): ModelManifest
  /** The model's folder. @throws CodedError UNKNOWN_MODEL */
  dir(id: string): string
  /**
   * Brings a model into memory; one that is there or on its way is not loaded again, one that failed is tried
   * again.
   * @throws CodedError UNKNOWN_MODEL, MODEL_FILE_ALTERED, MODEL_FILE_MISSING, INVALID_TOKENIZER, INVALID_GRAPH,
   * ENGINE_CRASHED; those of `openRemote` for a model whose vectors are computed elsewhere
   */
  load(id: string): Promise<ModelManifest>
  /** @throws CodedError UNKNOWN_MODEL */
  state(id: string): ModelState
  /** Why the state is `failed`. */
  failure(id: string): CodedError | undefined
  /**
   * Bytes by which the memory of the process that runs the model grew when it was loaded, over all its sessions; null
   * while it is not loaded, and of one that is computed elsewhere.
   * @throws CodedError UNKNOWN_MODEL
   */
  memory(id: string): number | null
  /**
   * A result a text, in order: its vectors, or why it alone has none (EMPTY_TEXT, INVALID_TEXT, TEXT_TOO_LONG,
   * EMBED_FAILED, NAN_VECTOR). Loads the model where needed.
   * @throws CodedError UNKNOWN_MODEL, NOT_AN_EMBEDDER, MISSING_OUTPUT, BAD_WINDOW, ENGINE_CRASHED and ENGINE_CLOSED (retryable), ABORTED,
   * and those of `load`; those of `Remote.embed` for a model whose vectors are computed elsewhere
   */
  embed(request: EmbedRequest): Promise<EmbedResult[]>
  /**
   * A result a text, in order: how well it answers the query, as a model judges that reads both together, or why it
   * alone has none (EMPTY_TEXT, INVALID_TEXT, EMBED_FAILED, NAN_VECTOR). Loads the model where needed.
   * @throws CodedError UNKNOWN_MODEL, NOT_A_RERANKER, EMPTY_TEXT and INVALID_TEXT of the query, QUERY_TOO_LONG,
   * ENGINE_CRASHED and ENGINE_CLOSED (retryable), ABORTED, and those of `load`
   */
  rerank(request: RerankRequest): Promise<RerankResult[]>
  /**
   * Tokens of each text, special ones included, exactly as in `embed`; does not wait for the model.
   * @throws CodedError UNKNOWN_MODEL, INVALID_TOKENIZER
   */
  count(model: string, texts: readonly string[]): Promise<number[]>
  /**
   * Where the tokens of each text are in it, special ones and the model's instruction left out; does not wait for the
   * model. Nothing is refused: see `embed` for what is no text.
   * @throws CodedError UNKNOWN_MODEL, INVALID_TOKENIZER
   */
  spans(model: string, texts: readonly string[]): Promise<readonly TermSpans[]>
  stats(): EngineStats
  /** Refuses what is waiting, lets the pass that is running end, and frees the models. */
  close(): Promise<void>
}
