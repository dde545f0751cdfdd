import type {
  ColbertRow,
  GoldenQuestion,
  MovedChunk,
  MovedDocument,
  MovedParent,
  TermsRow,
} from '@millrace/store'
import { TERMS_OF_A_TEXT_MAX } from '@millrace/store'
import { z } from 'zod'

/** What archives are written as and read; docs/move.md has it in words. Another reader needs another number. */
export const FORMAT = 'millrace-domain'
export const FORMAT_VERSION = 1

/** Bytes of an entry, but where one row alone is longer; of files there is no limit, they are never whole in memory. */
export const ENTRY_BYTES = 16 * 1024 * 1024

const hex = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform((text) => Buffer.from(text, 'hex'))
const whole = z.int().min(0).max(2_147_483_647)
const large = z.int().min(0)
const moment = z.iso.datetime().transform((text) => new Date(text))
const words = z.record(z.string(), z.unknown())
const level = z.object({
  key: z.string(),
  above: z.number().nullable(),
  name: z.object({ zh: z.string(), en: z.string() }),
})
const SCORES = ['dense', 'sparse', 'hybrid', 'colbert', 'rerank'] as const
const fusion = z.union([
  z.string(),
  z.object({ method: z.literal('rrf'), k: z.number() }),
  z.object({
    method: z.literal('weighted'),
    dense: z.number(),
    sparse: z.number(),
    colbert: z.number().optional(),
  }),
])

/** The first entry: what the domain is and how its vectors were made. */
export const manifestSchema = z.object({
  format: z.literal(FORMAT),
  formatVersion: z.int(),
  millrace: z.string(),
  exportedAt: z.string(),
  domain: z.object({
    name: z.string(),
    search: z.object({
      mode: z.enum(['dense', 'sparse', 'hybrid']).optional(),
      fusion: fusion.optional(),
      rerank: z.object({ by: z.string(), top: z.int() }).nullable().optional(),
      efSearch: z.int().optional(),
      candidates: z.int().nullable().optional(),
    }),
    thresholds: z.array(
      z.object({
        score: z.enum(SCORES),
        recipe: z.string(),
        threshold: z.number().nullable(),
        levels: z.array(level).nullable(),
        chosen: z.boolean(),
      }),
    ),
  }),
  generation: z.object({
    model: z.string().min(1),
    dims: z.int().min(1).max(16_000),
    recipe: words,
    recipeHash: z.string(),
    storage: z.enum(['full', 'half', 'sq8', 'sq4', 'binary']),
    outputs: z.array(z.enum(['dense', 'sparse', 'colbert'])),
    lexical: z.enum(['learned', 'bm25']).nullable(),
    counted: z.enum(['tokens', 'terms']),
    index: z.object({ m: z.int(), efConstruction: z.int() }),
  }),
  /** When the export began: what comes or goes meanwhile is counted in checksums.json alone. */
  documents: large,
})
export type Manifest = z.infer<typeof manifestSchema>

const layoutPart = z.object({
  kind: z.enum(['page', 'sheet', 'slide']),
  number: z.int(),
  name: z.string().exactOptional(),
  start: whole,
})
const place = z.union([
  z.object({ page: z.int(), pageTo: z.int().exactOptional() }),
  z.object({ sheet: z.string() }),
  z.object({ slide: z.int() }),
])
const documentId = z.string().min(1)

export const documentLine = z.object({
  id: documentId,
  title: z.string().nullable(),
  text: z.string(),
  metadata: words,
  contentHash: hex,
  revision: whole.min(1),
  state: z.enum(['received', 'preparing', 'embedding', 'ready', 'failed', 'cancelled']),
  source: z.string().nullable(),
  origin: z.enum(['text', 'file', 'url', 'vectors']),
  url: z.string().nullable(),
  file: z
    .object({
      name: z.string().nullable(),
      type: z.string().nullable(),
      sha256: hex.nullable(),
      /** Its bytes, as submitted or fetched; null: they are not kept. */
      entry: z.string().nullable(),
    })
    .nullable(),
  format: z.string().nullable(),
  layout: z.array(layoutPart).nullable(),
  warnings: z.array(z.string()),
  chunks: whole.nullable(),
  tokens: large.nullable(),
  createdAt: moment,
  updatedAt: moment,
  publishedAt: moment.nullable(),
})
export type DocumentLine = z.infer<typeof documentLine>

const span = {
  document: documentId,
  ordinal: whole,
  start: whole,
  end: whole,
  text: z.string(),
  headings: z.array(z.string()),
  place: place.nullable(),
}
export const parentLine = z.object(span)
export const chunkLine = z.object({
  ...span,
  tokens: whole,
  hash: hex,
  context: z.string(),
  parent: whole.nullable(),
})

export const termsLine = z.object({
  hash: hex,
  ids: z.array(whole.max(999_999_999)).max(TERMS_OF_A_TEXT_MAX),
  weights: z.array(z.number().positive()).max(TERMS_OF_A_TEXT_MAX),
})
export const colbertLine = z.object({ hash: hex, tokens: whole, dims: whole, bits: z.base64() })

export const goldenLine = z.object({
  id: z.string().min(1),
  question: z.string().min(1),
  filter: words,
  documents: z.array(documentId).min(1),
  note: z.string().nullable(),
})
export type GoldenLine = z.infer<typeof goldenLine>

/** The last entry. Files are not in it: their SHA-256 stands with their document. */
export const checksumsSchema = z.object({
  entries: z.record(z.string(), z.object({ bytes: large, sha256: z.string().regex(/^[0-9a-f]{64}$/) })),
  counts: z.object({ documents: large, chunks: large, vectors: large, files: large, golden: large }),
})
export type Checksums = z.infer<typeof checksumsSchema>
export type Counts = Checksums['counts']

export const NO_COUNTS: Counts = { documents: 0, chunks: 0, vectors: 0, files: 0, golden: 0 }

const isoOf = (date: Date | null): string | null => date?.toISOString() ?? null

/** `entry`: of its file; null: its bytes are not kept. */
export function documentJson(row: MovedDocument, entry: string | null): object {
  const { externalId, contentHash, fileName, fileType, fileHash, ...rest } = row
  const file =
    fileName === null && fileHash === null && entry === null
      ? null
      : { name: fileName, type: fileType, sha256: fileHash?.toString('hex') ?? null, entry }
  return {
    id: externalId,
    ...rest,
    contentHash: contentHash.toString('hex'),
    file,
    createdAt: isoOf(row.createdAt),
    updatedAt: isoOf(row.updatedAt),
    publishedAt: isoOf(row.publishedAt),
  }
}

export const parentJson = ({ startAt, endAt, ...rest }: MovedParent): object => ({
  ...rest,
  start: startAt,
  end: endAt,
})

export const chunkJson = ({ startAt, endAt, hash, ...rest }: MovedChunk): object => ({
  ...rest,
  start: startAt,
  end: endAt,
  hash: hash.toString('hex'),
})

export const termsJson = ({ hash, terms: { ids, weights } }: TermsRow): object => ({
  hash: hash.toString('hex'),
  ids: [...ids],
  weights: [...weights],
})

export const colbertJson = ({ hash, tokens, dims, bits }: ColbertRow): object => ({
  hash: hash.toString('hex'),
  tokens,
  dims,
  bits: Buffer.from(bits).toString('base64'),
})

export const goldenJson = ({ externalId, ...rest }: GoldenQuestion): object => ({ id: externalId, ...rest })

export function movedDocument(line: DocumentLine): MovedDocument {
  const { id, file, ...rest } = line
  return {
    ...rest,
    externalId: id,
    fileName: file?.name ?? null,
    fileType: file?.type ?? null,
    fileHash: file?.sha256 ?? null,
  }
}
