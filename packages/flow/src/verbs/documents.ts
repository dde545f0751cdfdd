import { CodedError } from '@millrace/errors'
import {
  type ChunkRow,
  type Db,
  type DocumentRow,
  type DocumentState,
  deleteDocument as deleteRow,
  getDocument as getRow,
  listChunks,
  listDocuments as listRows,
  readFileParts,
  type Standing,
  standings,
} from '@millrace/store'
import { readText, writeText } from '../cursor.js'
import { type Waiting, waitingOf } from '../waiting.js'
import type { Domain } from './domains.js'

interface Deps {
  readonly db: Db
}

export interface DocumentSummary extends DocumentRow {
  /** Since it was submitted or resumed while it is open; since it came to its end after that. */
  readonly ageSeconds: number
  /** Null when it waits for nothing: it has come to its end. */
  readonly waiting: Waiting | null
}

export interface DocumentDetail extends DocumentSummary {
  readonly text: string
  /** Of the newest revision; none until it is prepared. */
  readonly chunkRows: readonly ChunkRow[]
}

export interface DocumentPage {
  readonly documents: readonly DocumentSummary[]
  /** Hand it in to get the next page; null at the end. */
  readonly cursor: string | null
}

/** @throws CodedError INVALID_CURSOR */
export async function listDocuments(
  { db }: Deps,
  domain: Domain,
  page: {
    readonly state?: DocumentState | undefined
    /** Only those whose newest revision came with it. */
    readonly ingestion?: number | undefined
    readonly cursor?: string | undefined
    readonly limit: number
  },
): Promise<DocumentPage> {
  const after = page.cursor === undefined ? undefined : readText(page.cursor)
  const { state, ingestion, limit } = page
  const rows = await listRows(db, domain.id, { state, ingestion, after, limit: limit + 1 })
  const shown = rows.slice(0, limit)
  const stand = await standings(
    db,
    shown.map((row) => row.id),
  )
  const documents = shown.map((row) => ({ ...row, ...standing(stand.get(row.id)) }))
  const last = documents.at(-1)
  const more = rows.length > limit && last !== undefined
  return { documents, cursor: more ? writeText(last.externalId) : null }
}

/** Undefined for one that was deleted between two statements. */
const standing = (found: Standing | undefined): Pick<DocumentSummary, 'ageSeconds' | 'waiting'> =>
  found === undefined
    ? { ageSeconds: 0, waiting: null }
    : { ageSeconds: Math.round(found.ageSeconds * 10) / 10, waiting: waitingOf(found) }

/** @throws CodedError UNKNOWN_DOCUMENT */
export async function getDocument({ db }: Deps, domain: Domain, id: string): Promise<DocumentDetail> {
  const row = storable(id) ? await getRow(db, domain.id, id) : undefined
  if (row === undefined) throw unknownDocument(domain, id)
  const chunkRows = await listChunks(db, {
    documentId: row.id,
    generationId: domain.generationId,
    revision: row.revision,
  })
  const stand = await standings(db, [row.id])
  return { ...row, ...standing(stand.get(row.id)), chunkRows }
}

/**
 * The bytes of a document that came as a file, or was fetched.
 * @throws CodedError UNKNOWN_DOCUMENT, NO_FILE for one that came as text
 */
export async function getFile(
  { db }: Deps,
  domain: Domain,
  id: string,
): Promise<{ readonly name: string; readonly pieces: AsyncIterable<Buffer> }> {
  const row = storable(id) ? await getRow(db, domain.id, id) : undefined
  if (row === undefined) throw unknownDocument(domain, id)
  if (row.fileName === null) {
    throw new CodedError('NO_FILE', 'This document has no file: it came as text, or was not fetched', {
      hint: 'Its text is in GET of the document',
      details: { domain: domain.name, id },
    })
  }
  return { name: row.fileName, pieces: readFileParts(db, row.id) }
}

/** From then on no answer names it. @throws CodedError UNKNOWN_DOCUMENT */
export async function deleteDocument({ db }: Deps, domain: Domain, id: string): Promise<void> {
  if (!storable(id) || !(await deleteRow(db, domain.id, id))) throw unknownDocument(domain, id)
}

/** An id that cannot have been accepted is not asked for: Postgres would refuse the statement. */
const storable = (id: string) => !id.includes('\0') && id.isWellFormed()

const unknownDocument = (domain: Domain, id: string) =>
  new CodedError('UNKNOWN_DOCUMENT', `Domain "${domain.name}" has no document with this id`, {
    details: { domain: domain.name, id: id.toWellFormed() },
  })
