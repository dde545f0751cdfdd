export { embedAll, rerankAll } from './all.js'
export type { Priority } from './batch.js'
export { type FoundFolder, findFolders } from './catalog.js'
export type { EmbedRequest, Engine, EngineLog, EngineOptions, EngineStats } from './contract.js'
export { coresAvailable } from './cores.js'
export type { TermSpans } from './counter.js'
export { openEngine } from './engine.js'
export type { Isolation } from './host.js'
export { type Level, levelOf, levelsSchema } from './levels.js'
export { SPARSE_DIMS, shortFloat, termsLiteral, vectorLiteral } from './literals.js'
export type { ModelState } from './loads.js'
export {
  type LocalManifest,
  MANIFEST_FILE,
  type ModelFile,
  type ModelFolder,
  type ModelManifest,
  type ModelVariant,
  OUTPUTS,
  type Output,
  parseFolder,
  type RemoteManifest,
  readFolder,
  readManifest,
  TASKS,
  type Task,
  variantsOf,
} from './manifest.js'
export type {
  ColbertVectors,
  EmbedOutput,
  LongTexts,
  SparseVector,
  Vectors,
  WindowPooling,
} from './outputs.js'
export { dot, normalize, type Pooling } from './pool.js'
export type { TextKind } from './protocol.js'
export { checkProvider, PROVIDERS, type Provider } from './provider.js'
export { REMOTE_DEPS, type RemoteDeps } from './remote/client.js'
export { isElsewhere } from './remote/errors.js'
export { openRemote, type Remote, type RemoteRequest, type RemoteStats } from './remote/remote.js'
export type { RemoteKind, RemoteSettings } from './remote/settings.js'
export type { Embedded, EmbedFailure, EmbedResult } from './requests.js'
export {
  type Reranked,
  type RerankRequest,
  type RerankResult,
  requireEmbedder,
  requireReranker,
} from './reranked.js'
export {
  colbertScore,
  computeScores,
  type Scorable,
  type Scores,
  type ScoreWeights,
  sparseScore,
} from './scores.js'
export { signScorer, signsOf, type TokenSigns } from './signs.js'
export { countTerms, PAIRS_FROM, pairTerms, TERMS_MAX, WORDS_FROM } from './terms.js'
export { openTokenizer, type Tokenizer } from './tokenizer.js'
export { folderFiles, verifyModel } from './verify.js'
export { countWords, placeWords, type TermPlaces } from './words.js'
