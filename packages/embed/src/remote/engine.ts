import { CodedError, messageOf } from '@millrace/errors'
import { type FoundModel, modelOf, remoteOf } from '../catalog.js'
import type { Engine, EngineLog } from '../contract.js'
import { encodingOf } from '../encoding.js'
import { createLoads } from '../loads.js'
import type { RemoteManifest } from '../manifest.js'
import { isCounted } from '../outputs.js'
import type { EmbedResult } from '../requests.js'
import { addStats } from '../stats.js'
import { isTermsOnly } from '../terms-only.js'
import { REMOTE_DEPS, type RemoteDeps } from './client.js'
import { aborted, closed, shown } from './errors.js'
import { openRemote, type Remote } from './remote.js'

/** After how long a server that was away when its model was loaded is asked again, in milliseconds. */
const RELOAD_MS = 10_000

export interface RemotesOptions {
  readonly log?: EngineLog | undefined
  readonly deps?: RemoteDeps | undefined
  /** Default: 10,000. */
  readonly reloadMs?: number | undefined
}

/**
 * An engine that also has the models whose vectors are computed elsewhere: their calls go to the server, all others
 * to the engine that is given.
 */
export function withRemotes(
  models: ReadonlyMap<string, FoundModel>,
  options: RemotesOptions,
  local: Engine,
): Engine {
  const { log } = options
  const deps = { ...(options.deps ?? REMOTE_DEPS), log }
  const remotes = new Map<string, Remote>()
  const closing = new AbortController()
  const loads = createLoads((id) => void open(id))

  async function open(id: string): Promise<void> {
    const started = performance.now()
    try {
      const found = remoteOf(models, id)
      if (found === undefined) throw new CodedError('INTERNAL', `The model ${id} is not computed elsewhere`)
      const remote = await openRemote(found.manifest, found.dir, deps, closing.signal)
      remotes.set(id, remote)
      const url = shown(found.manifest.remote.url)
      log?.info({ model: id, ms: Math.round(performance.now() - started), url }, 'the model is loaded')
      loads.succeeded(id)
    } catch (error) {
      const coded = error instanceof CodedError ? error : internal(error)
      if (!closing.signal.aborted) {
        log?.error({ model: id, code: coded.code, err: coded }, 'the model did not load')
        // At once would be too soon, at the next call too late: whoever waits for readiness sends none.
        if (coded.retryable) setTimeout(reload, options.reloadMs ?? RELOAD_MS, id).unref()
      }
      loads.failed(id, coded)
    }
  }

  function reload(id: string): void {
    if (!closing.signal.aborted) loads.load(id).catch(() => undefined)
  }

  async function load({ manifest }: FoundModel<RemoteManifest>, signal?: AbortSignal): Promise<Remote> {
    if (closing.signal.aborted) throw closed()
    if (signal?.aborted) throw aborted(signal)
    await unlessAborted(loads.load(manifest.id), signal)
    const remote = remotes.get(manifest.id)
    if (remote === undefined || closing.signal.aborted) throw closed()
    return remote
  }

  return {
    ...local,
    load: async (id) => {
      const found = remoteOf(models, id)
      if (found === undefined) return local.load(id)
      await load(found)
      return found.manifest
    },
    state: (id) => {
      const { manifest } = modelOf(models, id)
      return manifest.remote === undefined ? local.state(id) : loads.state(manifest.id)
    },
    failure: (id) => {
      const { manifest } = modelOf(models, id)
      return manifest.remote === undefined ? local.failure(id) : loads.failure(manifest.id)
    },
    memory: (id) => (modelOf(models, id).manifest.remote === undefined ? local.memory(id) : null),
    embed: async (given) => {
      const found = remoteOf(models, given.model)
      if (found === undefined) return local.embed(given)
      const encoding = encodingOf(found.manifest, given)
      if (given.texts.length === 0) return []
      if (isTermsOnly(encoding)) return local.embed(given)
      // What the caller does with its list meanwhile is its own affair.
      const request = { ...given, texts: [...given.texts] }
      const remote = await load(found, request.signal)
      const counts = encoding.outputs.filter(isCounted)
      if (counts.length === 0) return remote.embed(request)
      const outputs = encoding.outputs.filter((output) => !isCounted(output))
      const [results, counted] = await Promise.all([
        remote.embed({ ...request, outputs }),
        local.embed({ ...request, outputs: counts }),
      ])
      return results.map((result, i) => withTerms(result, counted[i]))
    },
    stats: () =>
      [...remotes.values()].reduce((sums, remote) => addStats(sums, remote.stats()), local.stats()),
    close: async () => {
      closing.abort()
      loads.lost(closed())
      for (const remote of remotes.values()) remote.close()
      await local.close()
    },
  }
}

/** The server computes the vector, the tokenizer beside the manifest the terms. */
function withTerms(result: EmbedResult, counted: EmbedResult | undefined): EmbedResult {
  if ('error' in result || counted === undefined) return result
  if ('error' in counted) return counted
  return counted.terms === undefined ? result : { ...result, terms: counted.terms }
}

/** Does not wait longer than the caller; what is awaited goes on for others. */
function unlessAborted(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const abort = () => reject(aborted(signal))
    signal.addEventListener('abort', abort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

const internal = (error: unknown): CodedError =>
  new CodedError('INTERNAL', messageOf(error), { cause: error })
