import { type Answer, answer, api } from '../../api/client.ts'
import { useLoad } from '../../lib/load.ts'

/** What a search must know of a model: whether it reranks, or gives a vector a token. */
export type Model = Pick<Answer<'/v1/models', 'get'>['models'][number], 'id' | 'outputs' | 'reranker'>

export const useModels = () =>
  useLoad(
    async (signal): Promise<readonly Model[]> => (await answer(api.GET('/v1/models', { signal }))).models,
  )
