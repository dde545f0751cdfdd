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
export {
  type AlignedRow,
  alignHits,
  type PlacedHit,
  type Reason as MoveReason,
  reasonsOf,
} from './generations/align.js'
export { type Besides, besidesOf, NO_BESIDES } from './generations/besides.js'
export { type BuildDeps, buildGenerations } from './generations/build.js'
export {
  CARRY_METHODS,
  type Carried,
  type CarryMethod,
  carryOver,
  type Evidence,
  PAIR_SOURCES,
  type PairSource,
  type SharesAbove,
  SURENESSES,
  type Sureness,
} from './generations/carry.js'
export { type Copies, copiesOf, type MadeOf } from './generations/copies.js'
export {
  checkGate,
  GATE_METRICS,
  type GateMetric,
  type GateSettings,
  type GateWishes,
  gateSettings,
  isStill,
  judgeGolden,
  judgeOverlap,
} from './generations/gate.js'
export { type GateReport, gateFailed } from './generations/gate-report.js'
export { matchGolden, scaleOf } from './generations/match.js'
export { randomOf, type Sample, type Scored } from './generations/place.js'
export { type GenerationPlan, type Planned, planGeneration } from './generations/plan.js'
export { openRates, type Rates } from './generations/rate.js'
export { nextRecipe } from './generations/recipe.js'
export {
  describeGeneration,
  type Generation,
  type GenerationDocuments,
  type GenerationPhase,
  phaseOf,
} from './generations/report.js'
export { isFar } from './generations/switch.js'
export { switchGate } from './generations/switch-gate.js'
export { type Change, changesOf, type MakingWishes, type Wanted, wantedOf } from './generations/wanted.js'
export { EXPECTED_MAX, type GivenQuestion, type SubmittedQuestion, sortQuestions } from './golden/accept.js'
export { type Comparison, compareRuns, type Moved, type Named } from './golden/compare.js'
export { FOUND, gradeOf, MISS, type RankedHit } from './golden/grade.js'
export {
  DEPTH,
  hitAt,
  METRICS,
  type Metrics,
  metricsOf,
  ndcg,
  type Ranking,
  reciprocalRank,
} from './golden/metrics.js'
export { percentile, recallAt, withoutSelf } from './golden/recall.js'
export { type RunReport, reportOf } from './golden/report.js'
export { QUESTIONS_AT_ONCE, RUN_PURPOSES, type Run, type RunPurpose, type RunSettings } from './golden/run.js'
export { withinMs } from './limit.js'
export { type Log, openLog } from './log.js'
export { chooseModel, requireSameModel, startEngine } from './models.js'
export { exportDomain } from './move/export.js'
export { type Imported, importDomain } from './move/import.js'
export { placeOf } from './place.js'
export { type Preparation, prepareDocument } from './preparation.js'
export { openPreparer, type Preparer } from './preparer.js'
export { runProgram } from './program.js'
export {
  type Consumers,
  type Handlers,
  openQueues,
  type QueueDepth,
  type Queues,
  type QueueTarget,
} from './queue.js'
export { openReading, type Reading } from './reading.js'
export {
  canonicalJson,
  changedRecipe,
  type Recipe,
  type RecipeWishes,
  recipeHash,
  recipeOf,
} from './recipe.js'
export { ACTIONS, type Action, readAction } from './schedules/action.js'
export { workSchedules } from './schedules/run.js'
export type { BeginGeneration, ScheduleDeps } from './schedules/step.js'
export { KEEP_SECONDS, keepInStep, openKeeper, type TickDeps, tick, tickDue } from './schedules/tick.js'
export { bandOf, type MadeWith, madeWith, type StaleThreshold, staleBands } from './search/bands.js'
export { type CacheLimits, type CacheStats, openQueryCache, type QueryCache } from './search/cache.js'
export { type Details, type Explanation, VERDICTS, type Verdict } from './search/explain.js'
export { checkFilter } from './search/filter.js'
export { DEFAULT_FUSIONS, FUSIONS, type Fusion, type FusionName, fusionOf } from './search/fusion.js'
export { type Bin, binsOf, countsOf } from './search/histogram.js'
export { type KnownDomains, openKnownDomains } from './search/known.js'
export {
  type AskedQuery,
  hashQuery,
  openQueryLog,
  QUERY_LOG_MODES,
  type QueryLog,
  type QueryLogMode,
  type QueryLogStats,
} from './search/log.js'
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
export {
  checkColbert,
  type FusionWeights,
  fuseHits,
  fuseScores,
  modelsOf,
  type Rankable,
  RERANK_TOP_DEFAULT,
  RERANK_TOP_MAX,
  type Rerank,
  type RerankDomain,
  type RerankQuery,
  rerankHits,
} from './search/rerank.js'
export {
  identityOf,
  SCORE_KINDS,
  SCORE_RANGES,
  type ScoreKind,
  type ScoreRange,
  type Scores,
} from './search/scores.js'
export { type Env, type Limits, readSettings, type Settings } from './settings.js'
export type { Ticking, Ticks } from './ticks.js'
export { cancelIngestion, finishHalfway, resumeIngestion } from './verbs/cancel.js'
export { type CarriedItem, type CarriedThresholds, carryBandsOf, carryThresholds } from './verbs/carry.js'
export {
  type ComparedOutcome,
  type ComparedPair,
  type ComparedSet,
  comparedPair,
  compareQueries,
  compareSets,
} from './verbs/compare.js'
export { type CarryDecision, decideThresholds } from './verbs/decide-thresholds.js'
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
  type BandWishes,
  changeDomain,
  createDomain,
  type Domain,
  type DomainChange,
  type DomainWishes,
  deleteDomain,
  EF_SEARCH_DEFAULT,
  findDomain,
  findDomainAt,
  listDomains,
  nameAt,
  unknownGeneration,
} from './verbs/domains.js'
export { embedLease } from './verbs/embed.js'
export {
  COLBERT_CHARS_MAX,
  type EmbeddedTexts,
  type EmbedWishes,
  embedTexts,
  sqlLiterals,
} from './verbs/embed-texts.js'
export { type Cancelled, cancelGeneration, endGenerations } from './verbs/end-generations.js'
export { type ExplainOptions, explain, explainSearch, type SearchExplanation } from './verbs/explain.js'
export { domainFields, FIELD_TYPES, type Fields } from './verbs/fields.js'
export { type GateOptions, gateOf, lastGate, runGate } from './verbs/gate.js'
export {
  changeGeneration,
  type GenerationPatch,
  type GenerationWishes,
  getGeneration,
  listGenerations,
  planNext,
  type RunWishes,
  requireChangeable,
  startGeneration,
} from './verbs/generations.js'
export {
  addGolden,
  clearGolden,
  compareGolden,
  continueRuns,
  deleteGolden,
  type GoldenPage,
  type GoldenSubmission,
  getRun,
  listGolden,
  listResults,
  listRuns,
  QUESTIONS_MAX,
  type RunPage,
  startRun,
} from './verbs/golden.js'
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
export { listModels, type ModelSummary } from './verbs/models.js'
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
export { deleteQueries, listQueries, type QueryPage, queryStats } from './verbs/queries.js'
export type { FileReader, PageFetcher } from './verbs/read.js'
export { type Latency, measureRecall, RECALL_K_MAX, RECALL_SAMPLE_MAX, type Recall } from './verbs/recall.js'
export {
  changeSchedule,
  createSchedule,
  deleteSchedule,
  findSchedule,
  listScheduleRuns,
  listSchedules,
  pauseSchedule,
  runSchedule,
  type Schedule,
  type ScheduleChange,
  type ScheduleRunPage,
  type SchedulesDeps,
  type ScheduleWishes,
} from './verbs/schedules.js'
export {
  type Searched,
  type SearchHit,
  type SearchOptions,
  type SearchOutcome,
  type SearchRequest,
  type SearchResult,
  type Sought,
  search,
  searchGeneration,
  searchMany,
  searchNamed,
  type Warning,
} from './verbs/search.js'
export { findDomains, type SeveralHit, type SeveralResult, searchSeveral } from './verbs/search-several.js'
export {
  compareSimilarities,
  SIMILARITY_BINS_MAX,
  SIMILARITY_PAIRS_MAX,
  SIMILARITY_QUESTIONS_MAX,
  type Similarities,
} from './verbs/similarities.js'
export {
  type ExplainedText,
  missingText,
  type Similarity,
  type SimilarityExplanation,
  similarity,
} from './verbs/similarity.js'
export {
  FAILED_LOOKED_AT,
  getStatus,
  type ModelStatus,
  minutesLeft,
  type Status,
  type WorkerStatus,
} from './verbs/status.js'
export { reportStorage, STORAGE_SAMPLE_MAX, type StoragePart, type StorageReport } from './verbs/storage.js'
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
export {
  type CarryBands,
  type Gate,
  type GateVerdict,
  rollbackGeneration,
  type Switch,
  type SwitchDeps,
  type SwitchWishes,
  switchGeneration,
} from './verbs/switch.js'
export { switchDue } from './verbs/switch-due.js'
export { type Waiting, waitingOf } from './waiting.js'
