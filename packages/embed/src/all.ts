import type { EmbedRequest, Engine } from './contract.js'
import type { Embedded } from './requests.js'

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
