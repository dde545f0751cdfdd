import type { Session } from '../connect.js'
import type { DocumentState, Metadata } from '../schema.js'

/** What a server said of a page, for asking whether it is still so. */
export interface Validators {
  readonly etag: string | null
  readonly lastModified: string | null
}

/** Longer ones are not kept: the page is fetched whole then. */
const CHARS_MAX = 1_000
const kept = (value: string | null): string | null =>
  value !== null && value.length <= CHARS_MAX && !value.includes('\0') ? value : null

/** Keeps what a server said; nothing when the document is gone or has another URL by now. */
export async function noteValidators(
  on: Session,
  page: { readonly id: number; readonly url: string },
  { etag, lastModified }: Validators,
): Promise<void> {
  await on.query(
    `insert into millrace.fetched_pages as p (document_id, url, etag, last_modified)
     select d.id, d.url, $3, $4 from millrace.documents d where d.id = $1 and d.url = $2
     on conflict (document_id) do update set
       url = excluded.url, etag = excluded.etag, last_modified = excluded.last_modified, checked_at = now()`,
    [page.id, page.url, kept(etag), kept(lastModified)],
  )
}

export interface PageRow extends Validators {
  readonly id: number
  readonly externalId: string
  readonly url: string
  readonly title: string | null
  readonly metadata: Metadata
  readonly state: DocumentState
  /** Of what was submitted. */
  readonly contentHash: Buffer
  /** SHA-256 of the bytes that were read; null: they never were. */
  readonly fileHash: Buffer | null
}

/** Documents of a domain that came from a URL and are not at work, by id, those after `after`. */
export const listPages = (
  on: Session,
  domainId: number,
  page: { readonly after: number; readonly limit: number },
): Promise<PageRow[]> =>
  on.query<PageRow>(
    `select d.id, d.external_id as "externalId", d.url, d.title, d.metadata, d.state, d.content_hash as "contentHash",
       d.file_hash as "fileHash", p.etag, p.last_modified as "lastModified"
     from millrace.documents d left join millrace.fetched_pages p on p.document_id = d.id and p.url = d.url
     where d.domain_id = $1 and d.origin = 'url' and d.state in ('ready', 'failed') and d.id > $2
     order by d.id limit $3`,
    [domainId, page.after, page.limit],
  )
