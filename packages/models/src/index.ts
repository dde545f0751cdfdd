export { type BadModelFile, checkFolder } from './check.js'
export { type Imported, type ImportOptions, importModel } from './import/import.js'
export { knownModels } from './known.js'
export {
  type ListedModel,
  type ListedVariant,
  listModels,
  type NamedModel,
  namedModel,
  pullable,
} from './list.js'
export { type ModelPlaces, modelPlaces } from './place.js'
export type { PullOptions, PullProgress } from './pull/gather.js'
export { type Hub, readHub } from './pull/hub.js'
export { type Pulled, pullModel } from './pull/pull.js'
export { pullRepo, type RepoWishes } from './pull/repo.js'
export { type Quantized, type QuantizeOptions, type QuantizeProgress, quantize } from './quantize/quantize.js'
export { type Agreement, LIMITS, type Limits } from './quantize/verify.js'
export { type Made, type QuantizeModelOptions, quantizeModel } from './variant.js'
