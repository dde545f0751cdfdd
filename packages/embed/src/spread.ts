import type { Engine, EngineOptions } from './contract.js'
import { coresAvailable } from './cores.js'
import { addStats } from './stats.js'

interface Dealt {
  readonly texts: readonly string[]
  readonly signal?: AbortSignal | undefined
}

/**
 * Several engines as one, which share the cores: threads of one pass wait for each other after every operator,
 * passes side by side do not. A bulk request is dealt out to all of them, a query goes to the least busy one.
 * @param open opens one of them
 */
export function openSpread(
  options: EngineOptions,
  sessions: number,
  open: (options: EngineOptions) => Engine,
): Engine {
  const threads = Math.max(1, Math.floor((options.threads ?? coresAvailable()) / sessions))
  const first = open({ ...options, threads, sessions: 1 })
  const all = [first]
  while (all.length < sessions) all.push(open({ ...options, threads, sessions: 1 }))
  const leastBusy = () =>
    all.reduce((least, engine) => (engine.stats().waiting < least.stats().waiting ? engine : least), first)
  /** The one to blame where they differ: what is not ready there is not ready. */
  const behind = (id: string) =>
    all.find((engine) => engine.state(id) === 'failed') ??
    all.find((engine) => engine.state(id) !== 'ready') ??
    first

  /** @param work what each of them does with its texts */
  async function dealt<Request extends Dealt, Result>(
    request: Request,
    work: (engine: Engine, part: Request) => Promise<Result[]>,
  ): Promise<Result[]> {
    const failed = new AbortController()
    const signal = AbortSignal.any([failed.signal, ...(request.signal === undefined ? [] : [request.signal])])
    const results: Result[] = []
    const parts = deal(request.texts, all.length).map(async (indices, i) => {
      const texts = indices.map((index) => request.texts[index] ?? '')
      const done = await work(all[i] ?? first, { ...request, texts, signal })
      done.forEach((result, j) => {
        results[indices[j] ?? -1] = result
      })
    })
    try {
      await Promise.all(parts)
      return results
    } catch (error) {
      failed.abort(error) // the others need not go on for nothing
      await Promise.allSettled(parts)
      throw error
    }
  }

  return {
    models: () => first.models(),
    manifest: (id) => first.manifest(id),
    dir: (id) => first.dir(id),
    load: async (id) => {
      const [manifest] = await Promise.all([first.load(id), ...all.slice(1).map((engine) => engine.load(id))])
      return manifest
    },
    state: (id) => behind(id).state(id),
    failure: (id) => behind(id).failure(id),
    memory: (id) => {
      const measured = all.flatMap((engine) => engine.memory(id) ?? [])
      return measured.length === 0 ? null : measured.reduce((sum, bytes) => sum + bytes)
    },
    embed: (request) => {
      const priority = request.priority ?? (request.kind === 'query' ? 'interactive' : 'bulk')
      const isDealt = priority === 'bulk' && request.texts.length >= all.length
      return isDealt ? dealt(request, (engine, part) => engine.embed(part)) : leastBusy().embed(request)
    },
    // Somebody waits for it, and it is as much work as a bulk request.
    rerank: (request) =>
      request.texts.length >= all.length
        ? dealt(request, (engine, part) => engine.rerank(part))
        : leastBusy().rerank(request),
    count: (id, texts) => first.count(id, texts),
    spans: (id, texts) => first.spans(id, texts),
    stats: () => all.map((engine) => engine.stats()).reduce((sums, more) => addStats(sums, more)),
    close: async () => {
      await Promise.all(all.map((engine) => engine.close()))
    },
  }
}

/** Indices of the texts for each of them: as many and as long, and in each those of like length together. */
export function deal(texts: readonly string[], hands: number): number[][] {
  const order = texts.map((_, i) => i).sort((a, b) => (texts[b]?.length ?? 0) - (texts[a]?.length ?? 0))
  const dealt: number[][] = Array.from({ length: hands }, () => [])
  order.forEach((index, i) => {
    const round = Math.floor(i / hands)
    const hand = round % 2 === 0 ? i % hands : hands - 1 - (i % hands) // there and back: the first is not always the longest
    dealt[hand]?.push(index)
  })
  return dealt
}
