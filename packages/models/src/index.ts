export { knownModels } from './known.js'
export { type ModelPlaces, modelPlaces } from './place.js'
