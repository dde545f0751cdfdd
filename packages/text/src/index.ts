export type { Chunk, ChunkJob, Contexts, Division, Parent } from './chunk.js'
export { CHUNKING_VERSION, chunk, divideText } from './chunk.js'
export type { Count } from './chunking/count.js'
export type { ChunkingOptions } from './chunking/options.js'
export {
  CHILD_SIZE_DEFAULT,
  CHUNK_SIZE_MIN,
  CHUNKING_DEFAULTS,
  CHUNKING_KINDS,
  checkChunking,
  PARENT_SIZE_DEFAULT,
} from './chunking/options.js'
export type { Cleaned, CleaningOptions, CleaningStep } from './clean.js'
export { CLEANING_DEFAULTS, CLEANING_STEPS, CLEANING_VERSION, clean } from './clean.js'
export { fitContext } from './context.js'
export type { Span } from './edits.js'
export type { TextKind } from './hash.js'
export { textHash } from './hash.js'
export { type ContextKind, checkTemplate, fitContexts, type Template, templateOf } from './template.js'
export { titleOf } from './title.js'
