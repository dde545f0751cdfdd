import { CodedError } from '@millrace/errors'
import { type Db, insertIngestion, rangesOf, sealIngestion, type Tx, upsertDocuments } from '@millrace/store'
import { type Rejection, type Sorted, type SubmittedDocument, sortDocuments } from '../accept.js'
import type { Log } from '../log.js'
import type { Queues } from '../queue.js'
import type { Settings } from '../settings.js'
import { unknownDomain } from './domains.js'

export interface Submission {
  readonly ingestion: string
  readonly accepted: number
  readonly rejected: readonly Rejection[]
}

interface Deps {
  readonly db: Db
  readonly queues: Queues
  readonly log: Log
  readonly settings: Pick<Settings, 'ownedSeconds' | 'limits'>
}

/** Bytes of text in one statement, and of the documents that one job prepares. */
const SLICE_BYTES = 4 * 1024 * 1024
const RANGE_DOCUMENTS = 32

/**
 * Keeps documents and sets the work going: the rows in one transaction, then jobs that name them. When the
 * queue cannot be reached the rows stay, and the sweep enqueues them.
 * @throws CodedError NO_DOCUMENTS when not one is acceptable, UNKNOWN_DOMAIN when it was deleted meanwhile; nothing
 * is written then.
 */
export async function submitDocuments(
  deps: Deps,
  domain: { readonly id: number; readonly name: string },
  given: readonly SubmittedDocument[],
): Promise<Submission> {
  const { accepted, rejected } = sortDocuments(given, deps.settings.limits)
  if (accepted.length === 0) {
    throw new CodedError('NO_DOCUMENTS', `None of the ${given.length} documents can be accepted`, {
      hint: given.length === 0 ? 'Send at least one document' : 'details.rejected says why, one by one',
      details: { rejected },
    })
  }
  const written = await deps.db.transact((tx) => write(tx, deps, domain, accepted))
  try {
    await deps.queues.addPrepare(written.ranges)
  } catch (error) {
    deps.log.warn({ err: error, ingestion: written.ingestion }, 'not enqueued, the sweep will do it')
  }
  return { ingestion: String(written.ingestion), accepted: accepted.length, rejected }
}

async function write(
  tx: Tx,
  deps: Deps,
  domain: { readonly id: number; readonly name: string },
  accepted: Sorted['accepted'],
) {
  const ingestion = await insertIngestion(tx, domain.id)
  if (ingestion === undefined) throw unknownDomain(domain.name)
  const rows: { id: number; ingestion: number }[][] = []
  for (const slice of slices(accepted)) {
    const { ids } = await upsertDocuments(
      tx,
      { domainId: domain.id, ingestionId: ingestion, ownedSeconds: deps.settings.ownedSeconds },
      slice,
    )
    rows.push(ids.map((id) => ({ id, ingestion })))
  }
  await sealIngestion(tx, ingestion)
  return { ingestion, ranges: rows.flatMap((slice) => rangesOf(slice, RANGE_DOCUMENTS)) }
}

/** Consecutive documents of at most SLICE_BYTES of text together; a longer one alone. */
export function slices<T extends { readonly text: string }>(documents: readonly T[]): T[][] {
  const parts: T[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const document of documents) {
    const size = Buffer.byteLength(document.text)
    if (bytes + size > SLICE_BYTES) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)?.push(document)
    bytes += size
  }
  return parts
}
