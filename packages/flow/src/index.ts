export {
  type Given,
  type Reason,
  type Rejection,
  refuseEscapes,
  type SubmittedDocument,
  type SubmittedFile,
  sortDocuments,
} from './accept.js'
export { type Backends, openBackends } from './backends.js'
export {
  DIMS_MAX,
  EXTERNAL,
  type GivenChunk,
  isExternal,
  needsVectors,
  readVector,
  readVectors,
  VECTOR_CHUNKS_MAX,
} from './external.js'
export { type Log, openLog } from './log.js'
export { chooseModel, requireSameModel, startEngine } from './models.js'
export { placeOf } from './place.js'
export { type Preparation, prepareDocument } from './preparation.js'
export { openPreparer, type Preparer } from './preparer.js'
export { runProgram } from './program.js'
export { type Consumers, type Handlers, openQueues, type Queues, type QueueTarget } from './queue.js'
export { openReading, type Reading } from './reading.js'
export {
  canonicalJson,
  changedRecipe,
  type Recipe,
  type RecipeWishes,
  recipeHash,
  recipeOf,
} from './recipe.js'
export { type CacheLimits, type CacheStats, openQueryCache, type QueryCache } from './search/cache.js'
export {
  DEFAULT_FUSIONS,
  FUSIONS,
  type Fusion,
  type FusionName,
  fusionOf,
  type Lexical,
} from './search/fusion.js'
export {
  type EmbedDeps,
  type EmbeddedQuery,
  type Encoder,
  embedQueries,
  encoderOf,
  encodeTexts,
  type QueryFailure,
  type QueryResult,
} from './search/query.js'
export { type Env, type Limits, readSettings, type Settings } from './settings.js'
export { cancelIngestion, finishHalfway, resumeIngestion } from './verbs/cancel.js'
export {
  type DocumentDetail,
  type DocumentPage,
  type DocumentSummary,
  deleteDocument,
  getDocument,
  getFile,
  listDocuments,
} from './verbs/documents.js'
export {
  changeDomain,
  createDomain,
  type Domain,
  type DomainChange,
  type DomainWishes,
  deleteDomain,
  findDomain,
  listDomains,
} from './verbs/domains.js'
export { embedLease } from './verbs/embed.js'
export {
  describe as describeIngestion,
  getIngestion,
  type Ingestion,
  type IngestionPage,
  listIngestions,
  type Report,
  type Sync,
  watchIngestion,
} from './verbs/ingestions.js'
export { type OpenPlan, openPlan, type Plan } from './verbs/plan.js'
export { prepareRange } from './verbs/prepare.js'
export {
  type Preview,
  type PreviewBy,
  type PreviewChunk,
  type PreviewWishes,
  previewChunks,
  previewFile,
} from './verbs/preview.js'
export type { FileReader, PageFetcher } from './verbs/read.js'
export {
  missingText,
  type SearchRequest,
  type SearchResult,
  type Similarity,
  search,
  similarity,
} from './verbs/search.js'
export { getStatus, type Status, type WorkerStatus } from './verbs/status.js'
export { type LineReader, takeLines } from './verbs/stream.js'
export {
  type FileBytes,
  type OpenSubmission,
  openSubmission,
  REJECTED_SHOWN,
  type Submission,
  type SubmitOptions,
  submitDocuments,
} from './verbs/submit.js'
export { type Swept, sweepOnce } from './verbs/sweep.js'
export { type Waiting, waitingOf } from './waiting.js'
