import { createHash } from 'node:crypto'
import { CodedError } from '@millrace/errors'
import {
  type ClaimedDocument,
  type Db,
  type LayoutPart,
  noteFetched,
  noteValidators,
  PART_BYTES,
  readFileParts,
  storeFile,
  storeRead,
} from '@millrace/store'
import type { Settings } from '../settings.js'

/** A file whose bytes are here. */
export interface File {
  readonly name: string
  readonly mediaType?: string | undefined
  readonly bytes: Uint8Array
}

/** Turns the bytes of a file into text, where it can be stopped. */
export interface FileReader {
  /** @throws CodedError FILE_… with what is wrong with the file */
  extract(file: { readonly name: string; readonly mediaType?: string; readonly bytes: Uint8Array }): Promise<{
    readonly text: string
    readonly title: string | null
    readonly format: string
    readonly layout: readonly LayoutPart[]
    readonly warnings: readonly string[]
  }>
}

/** Fetches what is behind a URL. */
export interface PageFetcher {
  /** @throws CodedError URL_… */
  fetch(
    url: string,
    options?: {
      readonly signal?: AbortSignal | undefined
      /** Of an earlier answer: what is still so is `unchanged`, and has no bytes. */
      readonly etag?: string | undefined
      readonly lastModified?: string | undefined
    },
  ): Promise<{
    readonly bytes: Buffer
    readonly mediaType: string | null
    readonly name: string
    readonly etag: string | null
    readonly lastModified: string | null
    readonly unchanged: boolean
  }>
}

export interface ReadDeps {
  readonly db: Db
  readonly files: FileReader
  readonly pages: PageFetcher
  readonly settings: Pick<Settings, 'limits'>
}

export interface ReadText {
  readonly title: string | null
  readonly text: string
  readonly layout: readonly LayoutPart[] | undefined
  readonly warnings: readonly string[]
}

/** Whether its text is still in a file, or behind a URL. */
export const isToBeRead = ({ origin, format }: Pick<ClaimedDocument, 'origin' | 'format'>): boolean =>
  (origin === 'file' || origin === 'url') && format === null

/**
 * The text of a document: as submitted, or what its file says, which is kept, so that a second try reads no file
 * again.
 * @throws CodedError FILE_…, URL_…, TEXT_TOO_LONG: this document cannot be prepared
 */
export async function readDocument(deps: ReadDeps, document: ClaimedDocument): Promise<ReadText> {
  const { title, text } = document
  if (!isToBeRead(document)) {
    return { title, text, layout: document.layout ?? undefined, warnings: [] }
  }
  const file = document.origin === 'url' ? await fetchFile(deps, document) : await storedFile(deps, document)
  const kept = await textOfFile(deps, file)
  await storeRead(deps.db, document, kept)
  return { ...kept, title: title ?? kept.title }
}

/** What a file says, as it can be kept. @throws CodedError FILE_…, TEXT_TOO_LONG */
export async function textOfFile(
  { files, settings }: Pick<ReadDeps, 'files' | 'settings'>,
  file: File,
): Promise<Awaited<ReturnType<FileReader['extract']>>> {
  const { name, bytes, mediaType } = file
  const read = await files.extract({ name, bytes, ...(mediaType === undefined ? {} : { mediaType }) })
  // Postgres keeps no NUL, UTF-8 no half of a surrogate pair.
  const text = read.text.replaceAll('\0', ' ').toWellFormed()
  const size = Buffer.byteLength(text)
  if (size > settings.limits.textBytes) {
    throw new CodedError(
      'TEXT_TOO_LONG',
      `The text of the file has ${size} bytes, the limit is ${settings.limits.textBytes}`,
      { hint: 'Divide the file, or raise TEXT_BYTES_MAX' },
    )
  }
  return { ...read, text, title: titleOf(read.title) }
}

const TITLE_CHARS_MAX = 2_000

const titleOf = (title: string | null): string | null => {
  const line = title?.replaceAll('\0', ' ').toWellFormed().trim().slice(0, TITLE_CHARS_MAX) ?? ''
  return line === '' ? null : line
}

async function fetchFile({ db, pages }: ReadDeps, document: ClaimedDocument): Promise<File> {
  const url = document.url ?? ''
  const fetched = await pages.fetch(url)
  const { bytes, mediaType, name } = fetched
  await db.transact(async (tx) => {
    const hash = createHash('sha256').update(bytes).digest()
    const mine = await noteFetched(tx, document, { name, type: mediaType, hash })
    if (!mine) return
    await storeFile(tx, document.id, pieces(bytes))
    await noteValidators(tx, { id: document.id, url }, fetched)
  })
  return { name, bytes, ...(mediaType === null ? {} : { mediaType }) }
}

async function storedFile({ db }: ReadDeps, document: ClaimedDocument): Promise<File> {
  const parts: Buffer[] = []
  for await (const part of readFileParts(db, document.id)) parts.push(part)
  const bytes = Buffer.concat(parts)
  const { fileHash } = document
  if (fileHash === null || !createHash('sha256').update(bytes).digest().equals(fileHash)) {
    throw new CodedError('FILE_LOST', 'The bytes of this file are not those that were submitted', {
      hint: 'Submit the file again',
    })
  }
  const { fileName, fileType } = document
  return { name: fileName ?? '', bytes, ...(fileType === null ? {} : { mediaType: fileType }) }
}

/** A file in the pieces in which it is stored. */
export function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += PART_BYTES) yield bytes.subarray(at, at + PART_BYTES)
}
