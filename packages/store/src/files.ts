import type { Session, Tx } from './connect.js'
import { bytea, column, copyRows, int4, int8 } from './copy.js'
import type { LayoutPart } from './schema.js'

/** Bytes of a row: small enough for a message to PGlite, large enough that a file is few rows. */
export const PART_BYTES = 1024 * 1024

/** The file of a document, instead of the one it had. `pieces` are written in order, one row each. */
export async function storeFile(
  tx: Tx,
  documentId: number,
  pieces: AsyncIterable<Buffer> | Iterable<Buffer>,
): Promise<void> {
  await tx.query('delete from millrace.file_parts where document_id = $1', [documentId])
  let part = 0
  for await (const bytes of pieces) {
    if (tx.kind === 'server') {
      await copyRows(
        tx,
        'millrace.file_parts',
        [
          column('document_id', int8, () => documentId),
          column('part', int4, (row: { readonly part: number }) => row.part),
          column('bytes', bytea, () => bytes),
        ],
        [{ part }],
      )
    } else {
      await tx.query('insert into millrace.file_parts (document_id, part, bytes) values ($1, $2, $3)', [
        documentId,
        part,
        bytes,
      ])
    }
    part++
  }
}

/** The pieces of a file, one statement each: a file is never whole in one answer. */
export async function* readFileParts(on: Session, documentId: number): AsyncGenerator<Buffer> {
  for (let part = 0; ; part++) {
    const rows = await on.query<{ bytes: Buffer }>(
      'select bytes from millrace.file_parts where document_id = $1 and part = $2',
      [documentId, part],
    )
    const bytes = rows[0]?.bytes
    if (bytes === undefined) return
    yield bytes
  }
}

export interface Fetched {
  readonly name: string
  readonly type: string | null
  readonly hash: Buffer
}

/** Notes what was fetched; false when the document is no longer what it was, and nothing may be written for it. */
export async function noteFetched(
  tx: Tx,
  of: { readonly id: number; readonly revision: number },
  fetched: Fetched,
): Promise<boolean> {
  const rows = await tx.query(
    `update millrace.documents set file_name = $3, file_type = $4, file_hash = $5
     where id = $1 and revision = $2 and state = 'preparing' returning 1`,
    [of.id, of.revision, fetched.name, fetched.type, fetched.hash],
  )
  return rows.length > 0
}

export interface ReadFile {
  readonly text: string
  /** Used where the document was submitted without one. */
  readonly title: string | null
  readonly format: string
  readonly layout: readonly LayoutPart[]
}

/** Keeps what a file says; nothing when the document was submitted again or deleted meanwhile. */
export async function storeRead(
  on: Session,
  of: { readonly id: number; readonly revision: number },
  read: ReadFile,
): Promise<void> {
  await on.query(
    `update millrace.documents set text = $3, title = coalesce(title, $4), format = $5, layout = $6
     where id = $1 and revision = $2 and state = 'preparing'`,
    [
      of.id,
      of.revision,
      read.text,
      read.title,
      read.format,
      read.layout.length === 0 ? null : JSON.stringify(read.layout),
    ],
  )
}
