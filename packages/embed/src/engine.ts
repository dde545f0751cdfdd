import { CodedError, messageOf } from '@millrace/errors'
import { findModels, localOf, modelOf } from './catalog.js'
import type { Engine, EngineOptions } from './contract.js'
import { coresAvailable } from './cores.js'
import { createCounter } from './counter.js'
import { encodingOf } from './encoding.js'
import { type InferenceHost, type Isolation, type StartInference, startThread } from './host.js'
import { startProcess } from './host-process.js'
import { createLoads } from './loads.js'
import { checkOptions } from './options.js'
import type { Vectors } from './outputs.js'
import { fromPlain } from './plain.js'
import type { FromThread, ResultsMessage } from './protocol.js'
import { withRemotes } from './remote/engine.js'
import { type EmbedResult, keepResult, type Request, takeSlices } from './requests.js'
import { checkRerank, QUERY_TOO_LONG, type RerankResult, requireReranker, sigmoid } from './reranked.js'
import { unpackResults } from './results.js'
import { openSpread } from './spread.js'
import { embedTerms, isTermsOnly } from './terms-only.js'

const ATTENTION_BUDGET = 1 << 20
/** How long closing waits for the pass that is running before the thread is ended by force, in milliseconds. */
const CLOSE_GRACE_MS = 10_000

const STARTS: Readonly<Record<Isolation, StartInference>> = { process: startProcess, thread: startThread }

/** Texts for a model by its full id, and who waits for them. */
type Submission = Pick<Request, 'model' | 'wanted' | 'priority' | 'texts'> & {
  readonly signal: AbortSignal | undefined
}

/**
 * Opens an engine over the models in these folders. No model is loaded yet and nothing runs; a thread or
 * process that dies is replaced, and what it had loaded is loaded again.
 * @param start starts the thread or process that runs models; tests hand in one that they can kill
 * @throws CodedError BAD_OPTION, MODELS_DIR_MISSING, INVALID_MANIFEST
 */
export function openEngine(
  options: EngineOptions,
  start: StartInference = STARTS[options.isolation ?? 'process'],
): Engine {
  checkOptions(options)
  const { log, sessions = 1 } = options
  if (sessions > 1) return openSpread(options, sessions, (one) => openEngine(one, start))
  const models = findModels(options.modelDirs)
  const data = {
    threads: options.threads ?? coresAvailable(),
    provider: options.provider ?? 'cpu',
    batchTokens: options.batchTokens,
    attentionBudget: options.attentionBudget ?? ATTENTION_BUDGET,
  }
  const requests = new Map<number, Request>()
  const counter = createCounter()
  const sums = { texts: 0, tokens: 0, failures: 0, batches: 0, paddedTokens: 0, busyMs: 0, crashes: 0 }
  const loads = createLoads((id) => {
    const { dir, manifest } = localOf(models, id)
    running().post({ type: 'load', dir, manifest })
    hold()
  })
  let lastId = 0
  let isClosed = false
  let thread: InferenceHost | undefined

  function running(): InferenceHost {
    thread ??= start(data, { message: receive, exit: threadDied })
    return thread
  }

  /** The process stays as long as somebody waits for the thread. */
  const hold = () => thread?.hold(requests.size > 0 || loads.isLoading())

  function receive(message: FromThread): void {
    if (message.type === 'loaded') {
      const { model, ms, bytes, sevenBits } = message
      log?.info(
        { model, ms, bytes, threads: data.threads, ...(sevenBits ? { sevenBits } : {}) },
        'the model is loaded',
      )
      loads.succeeded(model, bytes)
    } else if (message.type === 'notLoaded') {
      log?.error({ model: message.model, ...message.error }, 'the model did not load')
      loads.failed(message.model, fromPlain(message.error))
    } else {
      receiveResults(message)
    }
    hold()
  }

  function receiveResults(message: ResultsMessage): void {
    sums.batches += message.pass.rows > 0 ? 1 : 0
    sums.paddedTokens += message.pass.paddedTokens
    sums.busyMs += message.pass.ms
    for (const { request: id, index, tokens, windows, truncated, outcome } of unpackResults(message)) {
      const isFailure = outcome instanceof CodedError
      sums.texts++
      sums.tokens += tokens
      sums.failures += isFailure ? 1 : 0
      const request = requests.get(id) // gone: its caller has given up
      const result = isFailure ? { error: outcome } : embedded(outcome, { tokens, windows, truncated })
      if (request !== undefined && keepResult(request, index, result))
        settle(request)?.resolve(request.results)
    }
    feed()
  }

  function feed(): void {
    for (const message of takeSlices(requests)) running().post(message)
  }

  /** Takes a request off the books; undefined when it was off already. */
  function settle(request: Request): Request | undefined {
    return requests.delete(request.id) ? request : undefined
  }

  function threadDied(error: unknown): void {
    thread = undefined
    if (isClosed) return
    sums.crashes++
    const crashed = new CodedError('ENGINE_CRASHED', `Inference died: ${messageOf(error)}`, {
      hint: 'Try again: a new one starts by itself',
      retryable: true,
      cause: error,
    })
    log?.error({ err: error, texts: waiting() }, 'inference died')
    const lost = loads.lost(crashed)
    rejectAll(crashed)
    // At once, not at the next call: whoever asks for readiness before sending work would wait for ever.
    for (const id of lost) loads.load(id).catch(() => undefined)
  }

  function rejectAll(error: CodedError): void {
    for (const request of requests.values()) settle(request)?.reject(error)
  }

  const waiting = () =>
    [...requests.values()].reduce((sum, { texts, answered }) => sum + texts.length - answered, 0)

  /** The model is brought into memory first. */
  async function submit(submission: Submission): Promise<EmbedResult[]> {
    if (submission.texts.length === 0) return []
    // What the caller does with its list meanwhile is its own affair.
    const taken = { ...submission, texts: [...submission.texts] }
    const { model, signal } = taken
    if (isClosed) throw closed()
    if (signal?.aborted) throw aborted(signal)
    await loads.load(model)
    // Both may have happened while it was loading.
    if (isClosed) throw closed()
    if (signal?.aborted) throw aborted(signal)
    return answered(taken)
  }

  function answered({ signal, ...submission }: Submission): Promise<EmbedResult[]> {
    return new Promise((resolve, reject) => {
      const request: Request = {
        ...submission,
        id: ++lastId,
        results: [],
        sent: 0,
        answered: 0,
        charsOut: 0,
        resolve: (results) => {
          signal?.removeEventListener('abort', abort)
          resolve(results)
        },
        reject: (error) => {
          signal?.removeEventListener('abort', abort)
          reject(error)
        },
      }
      function abort(): void {
        thread?.post({ type: 'drop', request: request.id })
        settle(request)?.reject(aborted(signal))
        feed()
        hold()
      }
      signal?.addEventListener('abort', abort)
      requests.set(request.id, request)
      feed()
      hold()
    })
  }

  return withRemotes(models, options, {
    models: () => [...new Set([...models.values()].map(({ manifest }) => manifest))],
    manifest: (id) => modelOf(models, id).manifest,
    dir: (id) => modelOf(models, id).dir,
    load: async (id) => {
      const { manifest } = modelOf(models, id)
      if (isClosed) throw closed()
      await loads.load(manifest.id)
      return manifest
    },
    state: (id) => loads.state(modelOf(models, id).manifest.id),
    failure: (id) => loads.failure(modelOf(models, id).manifest.id),
    memory: (id) => loads.bytes(modelOf(models, id).manifest.id),
    embed: async (given) => {
      const { manifest } = modelOf(models, given.model)
      const encoding = encodingOf(manifest, given)
      if (given.texts.length === 0) return []
      if (isTermsOnly(encoding)) {
        return embedTerms(counter, modelOf(models, given.model).dir, given.texts, encoding)
      }
      const { kind, texts, signal } = given
      const priority = given.priority ?? (kind === 'query' ? 'interactive' : 'bulk')
      return submit({
        model: manifest.id,
        wanted: { type: 'texts', kind, encoding },
        priority,
        texts,
        signal,
      })
    },
    rerank: async (given) => {
      const { manifest } = modelOf(models, given.model)
      requireReranker(manifest)
      checkRerank(given)
      const { query, texts, priority = 'interactive', signal } = given
      const results = await submit({
        model: manifest.id,
        wanted: { type: 'pairs', query },
        priority,
        texts,
        signal,
      })
      const [first] = results
      // Of the query, so the same for each of them.
      if (first !== undefined && 'error' in first && first.error.code === QUERY_TOO_LONG) throw first.error
      return results.map(reranked)
    },
    count: async (id, texts) => counter.count(modelOf(models, id).dir, texts),
    spans: async (id, texts) => counter.spans(modelOf(models, id).dir, texts),
    stats: () => ({ waiting: waiting(), ...sums }),
    close: async () => {
      if (isClosed) return
      isClosed = true
      loads.lost(closed())
      rejectAll(closed())
      await Promise.all([thread?.stop(CLOSE_GRACE_MS), counter.close()])
    },
  })
}

const embedded = (
  { dense, ...others }: Vectors,
  took: { readonly tokens: number; readonly windows: number; readonly truncated: boolean },
): EmbedResult => ({ vector: dense, ...others, ...took })

/** What the model gives for a pair comes as a vector of one number. */
function reranked(result: EmbedResult): RerankResult {
  if ('error' in result) return result
  const { tokens, windows } = result
  const [logit = Number.NaN] = result.vector
  return { score: sigmoid(logit), logit, tokens, windows }
}

const aborted = (signal: AbortSignal | undefined): CodedError =>
  new CodedError('ABORTED', 'The caller gave up before its texts were embedded', { cause: signal?.reason })

const closed = (): CodedError => new CodedError('ENGINE_CLOSED', 'The engine is closed', { retryable: true })
