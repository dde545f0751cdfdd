import type { Engine, Level, ModelManifest, ModelState } from '@millrace/embed'

/** A model as whoever chooses one sees it. */
export interface ModelSummary
  extends Pick<
    ModelManifest,
    'id' | 'revision' | 'precision' | 'dims' | 'tokensMax' | 'languages' | 'outputs' | 'levels'
  > {
  /** It judges pairs of question and text, and gives no vectors. */
  readonly reranker: boolean
  readonly state: ModelState
  /** Null where it is not known: what was imported without one. */
  readonly license: string | null
  /** Where its lowest level ends: a threshold to begin with. Null where it has one level only. */
  readonly threshold: number | null
  /** By how much memory grew when it was loaded. Null where it is not loaded, or is computed elsewhere. */
  readonly memoryBytes: number | null
}

/** The models whose folders are there, each variant as one, in the order of their ids. */
export function listModels({ engine }: { readonly engine: ModelsEngine }): ModelSummary[] {
  return engine
    .models()
    .map(({ id, revision, precision, dims, tokensMax, languages, outputs, levels, task, licence }) => ({
      id,
      revision,
      precision,
      dims,
      tokensMax,
      languages,
      outputs,
      levels,
      reranker: task === 'rerank',
      state: engine.state(id),
      license: licence === 'unknown' ? null : licence,
      threshold: lowestOf(levels),
      memoryBytes: engine.memory(id),
    }))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
}

type ModelsEngine = Pick<Engine, 'models' | 'state' | 'memory'>

const lowestOf = (levels: readonly Level[]): number | null => levels.at(-2)?.above ?? null
