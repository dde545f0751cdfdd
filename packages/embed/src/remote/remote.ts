import { CodedError, messageOf } from '@millrace/errors'
import type { EmbedRequest } from '../contract.js'
import { encodingOf } from '../encoding.js'
import type { RemoteManifest } from '../manifest.js'
import type { Encoding } from '../outputs.js'
import { checked, type RowOutcome } from '../pass.js'
import { normalize, poolWindows } from '../pool.js'
import type { TextKind } from '../protocol.js'
import { type EmbedResult, SLICE_CHARS, SLICE_TEXTS } from '../requests.js'
import { emptyText, instructed, refusal, tooLong } from '../texts.js'
import { openTokenizer, type Tokenizer } from '../tokenizer.js'
import { checkFiles } from '../verify.js'
import { openClient, type RemoteDeps } from './client.js'
import { closed } from './errors.js'
import { type Caller, createLine } from './line.js'
import { textWindows } from './windows.js'

/** As for the engine; `signal` drops the texts that were not sent yet. */
export type RemoteRequest = Omit<EmbedRequest, 'model'>

/** Sums since it was opened, but for `waiting`. */
export interface RemoteStats {
  readonly waiting: number
  readonly texts: number
  readonly tokens: number
  readonly failures: number
  /** Requests that were answered. */
  readonly batches: number
  /** Tokens in them; what the server pads is not known. */
  readonly paddedTokens: number
  /** Waiting for the server, retries included, in milliseconds; of several requests at once each counts. */
  readonly busyMs: number
}

/** A model whose vectors a server computes. */
export interface Remote {
  /**
   * A result a text, in order: its unit vector, or why it alone has none (EMPTY_TEXT, INVALID_TEXT, TEXT_TOO_LONG,
   * EMBED_FAILED, NAN_VECTOR).
   * @throws CodedError MISSING_OUTPUT, BAD_WINDOW, REMOTE_UNAVAILABLE and ENGINE_CLOSED (retryable), REMOTE_UNAUTHORIZED, REMOTE_REFUSED,
   * REMOTE_BAD_ANSWER, REMOTE_DIMS, ABORTED: no text is at fault
   */
  embed(request: RemoteRequest): Promise<EmbedResult[]>
  stats(): RemoteStats
  /** Refuses what is waiting, and hangs up. */
  close(): void
}

/**
 * Opens a model whose vectors a server computes: checks its tokenizer's file, asks the server for a vector and
 * compares its dims with the manifest; text-embeddings-inference is also asked for its limits.
 * @param dir the model's folder
 * @param signal gives up
 * @throws CodedError MODEL_FILE_MISSING, MODEL_FILE_ALTERED, INVALID_TOKENIZER, REMOTE_UNAVAILABLE (retryable),
 * REMOTE_UNAUTHORIZED, REMOTE_REFUSED, REMOTE_BAD_ANSWER, REMOTE_DIMS, REMOTE_TOKENS_MAX, ABORTED
 */
export async function openRemote(
  manifest: RemoteManifest,
  dir: string,
  deps: RemoteDeps,
  signal: AbortSignal = new AbortController().signal,
): Promise<Remote> {
  await checkFiles(dir, manifest.files)
  const tokenizer = await openTokenizer(dir)
  const client = await openClient(manifest, deps, signal)
  const sums = { waiting: 0, texts: 0, tokens: 0, failures: 0, batches: 0, paddedTokens: 0, busyMs: 0 }
  const { batchTexts, batchTokens, concurrency } = { ...manifest.remote, ...client }
  const line = createLine({ batchTexts, batchTokens, concurrency }, async (texts, tokens, batchSignal) => {
    const started = performance.now()
    const outcomes = await client.embed(texts, batchSignal)
    sums.batches++
    sums.paddedTokens += tokens
    sums.busyMs += performance.now() - started
    return outcomes
  })
  let isClosed = false
  return {
    embed: async (request) => {
      if (isClosed) throw closed()
      const { texts, kind, priority, signal: callSignal } = request
      const encoding = encodingOf(manifest, request)
      const caller = line.call(priority ?? (kind === 'query' ? 'interactive' : 'bulk'), callSignal)
      let left = texts.length
      sums.waiting += left
      const note = (result: EmbedResult) => {
        if (left === 0) return // the caller is gone already
        left--
        sums.waiting--
        sums.texts++
        sums.tokens += 'error' in result ? 0 : result.tokens
        sums.failures += 'error' in result ? 1 : 0
      }
      try {
        const work = embedAll(texts, { caller, tokenizer, manifest, kind, encoding, note })
        return await Promise.race([caller.failed, work])
      } finally {
        sums.waiting -= left
        left = 0
        caller.end()
      }
    },
    stats: () => ({ ...sums }),
    close: () => {
      isClosed = true
      line.close(closed())
    },
  }
}

interface Call {
  readonly caller: Caller
  readonly tokenizer: Tokenizer
  readonly manifest: RemoteManifest
  readonly kind: TextKind
  readonly encoding: Encoding
  readonly note: (result: EmbedResult) => void
}

/** Slice by slice: what is tokenized and not sent yet is bounded. */
async function embedAll(texts: readonly string[], call: Call): Promise<EmbedResult[]> {
  const { caller, tokenizer, manifest, kind, note } = call
  const results: Promise<EmbedResult>[] = []
  for (const slice of slices(texts)) {
    await caller.room(slice.length)
    const given = slice.map((text) => instructed(text, kind, manifest))
    const counts = await tokenizer.count(given).catch(untokenized)
    for (const [i, text] of slice.entries()) {
      const tokens = counts instanceof CodedError ? counts : (counts[i] ?? 0)
      const result = embedText(text, given[i] ?? '', tokens, call)
      results.push(
        result.then((one) => {
          note(one)
          caller.leave()
          return one
        }),
      )
    }
  }
  return Promise.all(results)
}

/** @param tokens special ones included, or why they could not be counted */
async function embedText(
  text: string,
  given: string,
  tokens: number | CodedError,
  { caller, tokenizer, encoding }: Call,
): Promise<EmbedResult> {
  const error = refusal(text) ?? (tokens instanceof CodedError ? tokens : undefined)
  if (error !== undefined || tokens instanceof CodedError) return { error: error ?? emptyText() }
  const special = tokenizer.special.before.length + tokenizer.special.after.length
  if (tokens <= special) return { error: emptyText() }
  const { window: tokensMax, longTexts, windowPooling } = encoding
  if (longTexts === 'refuse' && tokens > tokensMax) return { error: tooLong(tokens, tokensMax) }
  const all =
    tokens <= tokensMax
      ? [{ text: given, tokens }]
      : await textWindows(given, tokenizer, tokensMax).catch(untokenized)
  if (all instanceof CodedError) return { error: all }
  const windows = longTexts === 'truncate' ? all.slice(0, 1) : all
  if (windows.length === 0) return { error: emptyText() } // no part of it has a token of its own
  const outcomes = await Promise.all(windows.map((window) => caller.submit(window.text, window.tokens)))
  const weights = windows.map((window) => window.tokens - special)
  const outcome = pooled(outcomes, weights, windowPooling)
  if (outcome instanceof CodedError) return { error: outcome }
  return {
    vector: outcome.dense,
    tokens,
    windows: windows.length,
    truncated: windows.length < all.length,
  }
}

/** The windows as one vector of unit length; the first error where one has one. */
function pooled(
  outcomes: readonly RowOutcome[],
  tokens: readonly number[],
  pooling: Encoding['windowPooling'],
): RowOutcome {
  const windows: { vector: Float32Array; tokens: number }[] = []
  for (const [i, outcome] of outcomes.entries()) {
    if (outcome instanceof CodedError) return outcome
    windows.push({ vector: outcome.dense, tokens: tokens[i] ?? 0 })
  }
  const vector = poolWindows(windows, pooling)
  return windows.length === 1 ? { dense: vector } : checked({ dense: normalize(vector) })
}

const untokenized = (error: unknown): CodedError =>
  new CodedError('EMBED_FAILED', `The tokenizer failed: ${messageOf(error)}`, { cause: error })

/** Parts of a call: a bounded number of texts and characters, at least one text. */
function* slices(texts: readonly string[]): Generator<readonly string[]> {
  let from = 0
  while (from < texts.length) {
    let to = from
    let chars = 0
    do chars += texts[to++]?.length ?? 0
    while (to < texts.length && to - from < SLICE_TEXTS && chars + (texts[to]?.length ?? 0) <= SLICE_CHARS)
    yield texts.slice(from, to)
    from = to
  }
}
