import { bigint, customType, integer, jsonb, pgSchema, text, timestamp } from 'drizzle-orm/pg-core'

/** The tables that simple statements read and write. migrations/ is where they are defined. */
const millrace = pgSchema('millrace')
const id = () => bigint({ mode: 'number' })
const moment = () => timestamp({ withTimezone: true, precision: 3, mode: 'date' })
const bytes = customType<{ data: Buffer }>({ dataType: () => 'bytea' })

export interface LevelRow {
  readonly key: string
  readonly above: number | null
  readonly name: { readonly zh: string; readonly en: string }
}
export type Metadata = Readonly<Record<string, unknown>>
/** Where in a document of pages, sheets or slides a chunk is. */
export type Place =
  | { readonly page: number; readonly pageTo?: number }
  | { readonly sheet: string }
  | { readonly slide: number }
/** A part of a document's text: where it starts, in UTF-16 code units; it ends where the next starts. */
export interface LayoutPart {
  readonly kind: 'page' | 'sheet' | 'slide'
  /** From 1. */
  readonly number: number
  readonly name?: string
  readonly start: number
}
/** `full`: float32; `half`: float16; `sq8`, `sq4`: codes of 8 or 4 bits; `binary`: one bit, rescored from float16. */
export type StorageForm = 'full' | 'half' | 'sq8' | 'sq4' | 'binary'
/** What is kept of a text. */
export type TextOutput = 'dense' | 'sparse' | 'colbert'
/** What sparse is: weights that the model has learned, or BM25 over its token ids. */
export type Lexical = 'learned' | 'bm25'
/** What bm25 counts: every word, or the model's own tokens alone, as generations have it that were made before. */
export type CountedWords = 'terms' | 'tokens'
export type ScoreKind = 'dense' | 'sparse' | 'hybrid' | 'colbert' | 'rerank'
export type SearchMode = 'dense' | 'sparse' | 'hybrid'

/** How the ranks or scores of several kinds become one. */
export type FusionRow =
  | { readonly method: 'rrf'; readonly k: number }
  | {
      readonly method: 'weighted'
      readonly dense: number
      readonly sparse: number
      readonly colbert?: number | undefined
    }

/** What the searches of a domain do unless they say otherwise. */
export interface SearchSettings {
  /** Default dense. */
  readonly mode?: SearchMode | undefined
  /** Name of a preset, or weights. Default: bm25, or m3-miracl where the model has weights of its own. */
  readonly fusion?: string | FusionRow | undefined
  /** Null or left out: none. */
  readonly rerank?: { readonly by: string; readonly top: number } | null | undefined
  /** Of HNSW. Default 200. */
  readonly efSearch?: number | undefined
  /** By meaning, how many are looked at closely. Null or left out: what millrace.candidates_of says. */
  readonly candidates?: number | null | undefined
}
/**
 * `live`: what readers see. `building`: beside it. `retired`: was live, stays for its soak. `ending`: its rows are being
 * removed. `ended`: nothing of it is left but its row, its history. `importing`: it comes from an archive, and not all of it
 * has arrived.
 */
export type GenerationState = 'importing' | 'live' | 'building' | 'retired' | 'ending' | 'ended'
export type Origin = 'text' | 'file' | 'url' | 'vectors'
export type DocumentState = 'received' | 'preparing' | 'embedding' | 'ready' | 'failed' | 'cancelled'
export type IngestionState = 'running' | 'cancelled' | 'finished'

export const ingestions = millrace.table('ingestions', {
  id: id().primaryKey().generatedAlwaysAsIdentity(),
  domainId: id().notNull(),
  state: text().$type<IngestionState>().notNull(),
  received: integer().notNull(),
  preparing: integer().notNull(),
  embedding: integer().notNull(),
  ready: integer().notNull(),
  failed: integer().notNull(),
  cancelled: integer().notNull(),
  unchanged: integer().notNull(),
  chunks: integer().notNull(),
  chunksEmbedded: integer().notNull(),
  chunksReused: integer().notNull(),
  tokens: id().notNull(),
  tokensEmbedded: id().notNull(),
  source: text(),
  sync: text().$type<'full'>(),
  syncedAt: moment(),
  syncSkipped: text(),
  deleted: integer().notNull(),
  rejected: integer().notNull(),
  openUntil: moment(),
  workStartedAt: moment(),
  charactersCut: id().notNull(),
  empty: integer().notNull(),
  startedAt: moment().notNull(),
  finishedAt: moment(),
})

export const ingestionErrors = millrace.table('ingestion_errors', {
  ingestionId: id().notNull(),
  code: text().notNull(),
  count: integer().notNull(),
  example: jsonb().$type<{ document: string; message: string }>().notNull(),
})

export const documents = millrace.table('documents', {
  id: id().primaryKey().generatedAlwaysAsIdentity(),
  domainId: id().notNull(),
  externalId: text().notNull(),
  title: text(),
  text: text().notNull(),
  metadata: jsonb().$type<Metadata>().notNull(),
  contentHash: bytes().notNull(),
  revision: integer().notNull(),
  ingestionId: id().notNull(),
  source: text(),
  origin: text().$type<Origin>().notNull(),
  url: text(),
  fileName: text(),
  fileType: text(),
  fileHash: bytes(),
  format: text(),
  layout: jsonb().$type<readonly LayoutPart[]>(),
  state: text().$type<DocumentState>().notNull(),
  errorCode: text(),
  errorMessage: text(),
  warnings: text().array().notNull(),
  chunks: integer(),
  tokens: id(),
  createdAt: moment().notNull(),
  updatedAt: moment().notNull(),
})

export const chunks = millrace.table('chunks', {
  documentId: id().notNull(),
  generationId: id().notNull(),
  revision: integer().notNull(),
  ordinal: integer().notNull(),
  startAt: integer().notNull(),
  endAt: integer().notNull(),
  tokens: integer().notNull(),
  textHash: bytes().notNull(),
  context: text().notNull(),
  text: text().notNull(),
  headings: text().array().notNull(),
  place: jsonb().$type<Place>(),
  parent: integer(),
})
