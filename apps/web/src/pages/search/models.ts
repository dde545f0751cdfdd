import { useLoad } from '../../lib/load.ts'

/** What a search must know of a model: whether it reranks, or gives a vector a token. */
export interface Model {
  readonly id: string
  readonly outputs: readonly string[]
  readonly reranker: boolean
}

/** The models that rerank. */
export const useModels = () => useLoad(async (): Promise<readonly Model[]> => [])
