import type { EmbedRequest, Engine } from './contract.js'
import type { Embedded } from './requests.js'
import type { Reranked, RerankRequest } from './reranked.js'

/**
 * `embed` for callers who want all vectors or an error.
 * @throws the first text's error, and what `embed` throws
 */
export async function embedAll(engine: Pick<Engine, 'embed'>, request: EmbedRequest): Promise<Embedded[]> {
  const results = await engine.embed(request)
  return results.map((result) => {
    if ('error' in result) throw result.error
    return result
  })
}

/**
 * `rerank` for callers who want all scores or an error.
 * @throws the first text's error, and what `rerank` throws
 */
export async function rerankAll(engine: Pick<Engine, 'rerank'>, request: RerankRequest): Promise<Reranked[]> {
  const results = await engine.rerank(request)
  return results.map((result) => {
    if ('error' in result) throw result.error
    return result
  })
}
