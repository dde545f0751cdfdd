export {
  cancelDocuments,
  isRunning,
  listHalfway,
  type Marked,
  markCancelled,
  markResumed,
  type Resumed,
  resumeDocuments,
} from './cancel.js'
export {
  type ColbertRow,
  colbertTable,
  createColbert,
  dropColbert,
  insertColbert,
  readColbert,
} from './colbert.js'
export {
  type Db,
  type DbKind,
  type DbOptions,
  openDb,
  type Session,
  type TransactOptions,
  type Tx,
} from './connect.js'
export {
  type ChunkRow,
  compareDocuments,
  countDocuments,
  type DocumentCounts,
  type DocumentRow,
  type FileFacts,
  getDocument,
  listChunks,
  listDocuments,
  type NewDocument,
  NO_DOCUMENTS,
  type Upserted,
  type UpsertTarget,
  upsertDocuments,
} from './documents.js'
export {
  type BandChange,
  type BandRow,
  type DomainRow,
  deleteDomain,
  type GenerationModel,
  generationModel,
  getDomain,
  getDomainAt,
  type IndexSettings,
  insertDomain,
  listDomains,
  type NewDomain,
  updateDomain,
} from './domains.js'
export { type EmbeddedDatabase, openEmbedded } from './embedded/index.js'
export {
  type ChunkScores,
  type ComparedQuery,
  documentScores,
  type ExactPlace,
  exactPlace,
  isTimeout,
  judgeFilters,
  nearIds,
  type PublishedDocument,
  publishedDocument,
  within,
} from './explain.js'
export { type ExternalChunk, type ExternalDocument, externalChunks, storeExternal } from './external.js'
export {
  FIELD_TYPES,
  type FieldRow,
  type FieldsRow,
  type FieldType,
  metadataFields,
  type Scalar,
} from './fields.js'
export {
  type Fetched,
  noteFetched,
  PART_BYTES,
  type ReadFile,
  readFileParts,
  storeFile,
  storeRead,
} from './files.js'
export {
  type AskedText,
  askedTexts,
  type CarriedDecision,
  type CarriedRow,
  type DocumentPair,
  decideCarried,
  firstTexts,
  keepCarried,
  listCarried,
  type NewCarried,
  passagePairs,
  type QuestionPair,
  questionPairs,
  type SharedDocument,
  sharedDocuments,
  titlesOf,
} from './generations/carried.js'
export { type BesideTarget, copyBeside, type StoredBeside, storeBeside } from './generations/chunks.js'
export {
  type ClaimedBeside,
  type ClaimOptions,
  claimBeside,
  failBeside,
  releaseBeside,
  renewBeside,
} from './generations/claim.js'
export type { CopyOptions, Kept } from './generations/copy.js'
export {
  type DueSwitch,
  leaveSwitch,
  listDueSwitches,
  listRefusals,
  lookAgain,
  refuseSwitch,
  takeSwitch,
} from './generations/due.js'
export {
  type CancelOutcome,
  cancelBuilding,
  dropIdle,
  endSlice,
  endSoaked,
  finishEnding,
  listEnding,
} from './generations/end.js'
export {
  countSlice,
  type DocumentSlice,
  type MeasuredSpeed,
  measuredSpeed,
  type RowBytes,
  rowBytes,
  type SampledDocument,
  sampleDocuments,
} from './generations/estimate.js'
export { countPublished, type GenerationFact, generationFacts, readyVolume } from './generations/facts.js'
export { fillGeneration } from './generations/fill.js'
export { finishGeneration, noteTrouble, recheckBeside } from './generations/finish.js'
export {
  beginGate,
  type DocumentStanding,
  type Gated,
  type GateFacts,
  gateFacts,
  keepGated,
  type Published,
  sampleTexts,
  standingIn,
  topsOf,
} from './generations/gate.js'
export { holdBack, isDomainHeldBack, keepLive, letGo, modelsInUse } from './generations/hold.js'
export { formsBehind } from './generations/lineage.js'
export {
  allowTokens,
  isLeased,
  type LeftPaused,
  pauseBuilding,
  resumeBuilding,
  takeBackLeases,
} from './generations/pause.js'
export {
  type Completeness,
  completeness,
  type GenerationError,
  type GenerationProgress,
  generationErrors,
  NO_PROGRESS,
  progressOf,
  retryDocuments,
} from './generations/progress.js'
export {
  type EndedBy,
  type GenerationRow,
  getGeneration,
  listGenerations,
  listInState,
  type ThresholdPolicy,
} from './generations/rows.js'
export { listUnsettled, settleSlice } from './generations/settle.js'
export {
  type GenerationChange,
  insertGeneration,
  type NewGeneration,
  patchGeneration,
  SOAK_SECONDS_MIN,
} from './generations/start.js'
export {
  isEnough,
  reconcile,
  type Switched,
  type SwitchOutcome,
  type SwitchTo,
  switchTo,
  viewHolders,
} from './generations/switch.js'
export {
  clearGolden,
  countGolden,
  deleteGolden,
  filterProblems,
  type GoldenQuestion,
  type GoldenWritten,
  goldenByHash,
  listGolden,
  lockSet,
  type MissingDocument,
  missingDocuments,
  type NewQuestion,
  putGolden,
} from './golden.js'
export {
  type AbsentDocument,
  type Comparable,
  claimRun,
  comparableOf,
  endRun,
  getRun,
  type Instead,
  insertRun,
  listResults,
  listRuns,
  type Measured,
  measuredOf,
  type NewResult,
  type NewRun,
  nextQuestions,
  type OwnedRun,
  type ResultKind,
  type ResultRow,
  RUNS_KEPT,
  type RunRow,
  type RunState,
  releaseRun,
  storeResults,
  type WaitingQuestion,
} from './golden-runs.js'
export { buildIndex, type IndexPolicy } from './indexes.js'
export {
  getIngestion,
  type IndexState,
  type IngestionError,
  type IngestionRejection,
  type IngestionRow,
  listIngestionErrors,
  listIngestionRejections,
  listIngestions,
  listRunning,
} from './ingestions.js'
export {
  countAttempt,
  type DispatchPolicy,
  dispatch,
  isWanted,
  type Lease,
  type LeasedText,
  listLeases,
  noteBreak,
  openLease,
  renewLease,
  uncountAttempt,
} from './leases.js'
export { MIGRATIONS_DIR, migrate } from './migrate.js'
export {
  type Arrived,
  beginImport,
  dropImport,
  dropLostImports,
  finishImport,
  IMPORT_SECONDS,
  type ImportedDomain,
  isImporting,
  type StartedImport,
} from './moves/lease.js'
export { bitBytes } from './moves/raw.js'
export {
  fitting,
  type MovedChunk,
  type MovedDocument,
  type MovedParent,
  type MoveSource,
  readSlice,
  type Slice,
} from './moves/read.js'
export {
  addChunks,
  addColbertRows,
  addDocuments,
  addFilePiece,
  addGoldenRows,
  addStored,
  addTermRows,
  batchesOf,
} from './moves/write.js'
export {
  type ClaimedDocument,
  claimDocuments,
  type DocumentRange,
  type FlatChunk,
  type FlatParent,
  failDocuments,
  type PreparedChunk,
  type PreparedDocument,
  type PreparedParent,
  renewDocuments,
  storeChunks,
} from './prepare.js'
export {
  deleteQueries,
  forgetQueries,
  insertQueries,
  type LoggedHit,
  type LoggedQuery,
  listQueries,
  loggedTexts,
  type Percentiles,
  type QueryRow,
  type QueryStats,
  queryStats,
  secretOf,
  type UsualQuery,
} from './queries.js'
export { type Standing, standings } from './reasons.js'
export {
  type IndexFacts,
  indexFacts,
  type Probe,
  probeSearch,
  sampleQueries,
  sampleVectors,
} from './recall.js'
export { deleteDocument } from './remove-documents.js'
export { listPages, noteValidators, type PageRow, type Validators } from './schedules/pages.js'
export {
  countUndated,
  deleteOld,
  deleteOldOf,
  type OldDocuments,
  type OldThing,
} from './schedules/retention.js'
export { type BuildLeft, buildLeft, countOlder, type Retried, retryFailed } from './schedules/retry.js'
export {
  countSchedules,
  deleteSchedule,
  getSchedule,
  getScheduleRun,
  insertSchedule,
  listDue,
  listScheduleRuns,
  listSchedules,
  type NewSchedule,
  type OpenHours,
  type Outcome,
  pauseSchedule,
  type Refused,
  type RunCause,
  runNow,
  SCHEDULE_RUNS_KEPT,
  SCHEDULES_MAX,
  type ScheduleRow,
  type ScheduleRunRow,
  takeSchedules,
  takeTick,
  updateSchedule,
} from './schedules/rows.js'
export {
  type IndexWear,
  rebuildIndex,
  type TableWear,
  vacuumTable,
  wornIndex,
  wornTables,
} from './schedules/upkeep.js'
export {
  claimScheduleRun,
  countScheduleRuns,
  domainsOf,
  endScheduleRun,
  holdScheduleRun,
  ingestionEnd,
  listAlarms,
  type OwnedScheduleRun,
  type RunCounts,
  type RunEnd,
  renewScheduleRun,
  SCHEDULE_ATTEMPTS_MAX,
  type ScheduleAlarm,
  type Step,
  storeStep,
} from './schedules/work.js'
export type {
  CountedWords,
  DocumentState,
  FusionRow,
  GenerationState,
  IngestionState,
  LayoutPart,
  LevelRow,
  Lexical,
  Metadata,
  Origin,
  Place,
  ScoreKind,
  SearchMode,
  SearchSettings,
  StorageForm,
  TextOutput,
} from './schema.js'
export { type FoundHit, findHits, type HitQuery, type Nothing, readFilter, whyNothing } from './search.js'
export {
  type Expectation,
  firstHashes,
  nearestPassages,
  pairsAt,
  sampleGolden,
  type VectorPair,
} from './similarities.js'
export { countRunning, type FailedGroup, indexStates, listFailed, type Outlook, outlook } from './status.js'
export { bitsOf, OUTLIERS, type Outliers } from './storage/codes.js'
export { embeddingSql, type Form, indexOf as indexForm, vectorBytes } from './storage/form.js'
export { halfBits, halfValue } from './storage/half.js'
export { type StoredText, sampleStored, type TableSize, tableSizes } from './storage/report.js'
export { type FailedText, type StoredLease, storeLease } from './stored.js'
export {
  abandonIngestion,
  addRejections,
  BODY_INCOMPLETE,
  countRejections,
  forgetSeen,
  type IngestionWishes,
  insertIngestion,
  type RejectedDocument,
  type RejectionCount,
  renewIngestion,
  sealIngestion,
  sealLost,
} from './streams.js'
export {
  type Backlog,
  backlog,
  rangesOf,
  recheckDocuments,
  reclaimDocuments,
  releaseOwners,
  sweepOrphans,
  takeSweep,
} from './sweep.js'
export { countSource, syncSources } from './sync.js'
export {
  createTerms,
  dropTerms,
  insertTerms,
  refreshTermCounts,
  TERMS_OF_A_TEXT_MAX,
  type Terms,
  type TermsRow,
  termsTable,
  toSparsevec,
  type WeighedQuery,
  weighQuery,
} from './terms.js'
export { timed } from './timed.js'
export { countVectors, missingTexts, type StoredRow, type VectorRow } from './vectors.js'
export {
  type LivingWorker,
  listWorkers,
  removeWorker,
  reportWorker,
  type WorkerRow,
  type Workforce,
  workforce,
} from './workers.js'
