export { knownModels } from './known.js'
export { type ModelPlaces, modelPlaces } from './place.js'
export { type Quantized, type QuantizeOptions, type QuantizeProgress, quantize } from './quantize/quantize.js'
export { type Agreement, LIMITS, type Limits } from './quantize/verify.js'
