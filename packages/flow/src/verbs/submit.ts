import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError, codeOf } from '@millrace/errors'
import {
  abandonIngestion,
  addRejections,
  countRejections,
  type Db,
  insertIngestion,
  isDomainHeldBack,
  keepLive,
  type NewDocument,
  type RejectionCount,
  rangesOf,
  renewIngestion,
  sealIngestion,
  storeFile,
  type Tx,
  type Upserted,
  upsertDocuments,
} from '@millrace/store'
import {
  type Accepted,
  type Given,
  type Rejection,
  type SubmittedDocument,
  sortDocuments,
} from '../accept.js'
import { externalDims, keepVectors } from '../external.js'
import type { Log } from '../log.js'
import { type Queues, RANGE_DOCUMENTS } from '../queue.js'
import type { Settings } from '../settings.js'
import { unknownDomain } from './domains.js'

export interface Submission {
  readonly ingestion: string
  readonly accepted: number
  /** The first REJECTED_SHOWN of them. */
  readonly rejected: readonly Rejection[]
  readonly rejectedTotal: number
}

export interface SubmitOptions {
  /** What the documents are a part of; null: of nothing. */
  readonly source: string | null
  /** full: documents of the source that were not in it are deleted once it has succeeded. */
  readonly sync: 'full' | null
}

interface Deps {
  readonly db: Db
  readonly queues: Queues
  readonly log: Log
  readonly settings: Pick<Settings, 'ownedSeconds' | 'limits'>
}

interface Target {
  readonly id: number
  readonly name: string
  readonly generationId: number
  readonly model: string
  readonly dims: number
}

/** The bytes of a file that was accepted, by its place in the submission. */
export type FileBytes = (index: number) => AsyncIterable<Buffer> | Iterable<Buffer>

/** A submission that is being received, slice by slice. */
export interface OpenSubmission {
  /**
   * Keeps a slice in a transaction of its own and sets the work on it going. Resolves when it is written, so
   * whoever reads the body reads on no sooner.
   * @throws CodedError INGESTION_ENDED when it was cancelled meanwhile, UNKNOWN_DOMAIN when its domain went
   */
  add(slice: readonly Given[], bytes?: FileBytes): Promise<void>
  /** @throws CodedError NO_DOCUMENTS when not one was acceptable; nothing is written then */
  end(): Promise<Submission>
  /** The body broke off: what was written stays and is worked on, the ingestion says that it is not all. */
  abandon(reason: string): Promise<void>
}

/** Bytes of text in one statement. */
const SLICE_BYTES = 4 * 1024 * 1024
/** Refusals that an answer lists; all are counted. */
export const REJECTED_SHOWN = 1_000
/** Postgres's foreign_key_violation: the domain went while its documents were being received. */
const NO_PARENT = '23503'
/** How long a stream may be silent before the sweep takes its receiver for dead, in seconds. */
const OPEN_SECONDS = 120

/**
 * Keeps documents and sets the work going: the rows in one transaction, then jobs that name them. When the
 * queue cannot be reached the rows stay, and the sweep enqueues them.
 * @throws CodedError NO_DOCUMENTS when not one is acceptable, UNKNOWN_DOMAIN when it was deleted meanwhile; nothing
 * is written then.
 */
export async function submitDocuments(
  deps: Deps,
  domain: Target,
  given: readonly SubmittedDocument[],
  options: SubmitOptions = { source: null, sync: null },
): Promise<Submission> {
  const { accepted, rejected } = sortDocuments(
    given.map((document, index) => ({ document, index })),
    deps.settings.limits,
    externalDims(domain),
  )
  if (accepted.length === 0) throw noDocuments(rejected, given.length)
  await untilTaken(deps.db, domain)
  const written = await deps.db.transact(async (tx) => {
    const ingestion = await insertIngestion(tx, domain.id, { ...options, openSeconds: null })
    if (ingestion === undefined) throw unknownDomain(domain.name)
    const generationId = await takesVectors(tx, domain)
    const to = { domainId: domain.id, ingestionId: ingestion, ...options, tracked: options.sync !== null }
    const ids: (readonly number[])[] = []
    for (const slice of slices(accepted)) {
      const upserted = await upsertDocuments(tx, { ...to, ...deps.settings }, slice)
      ids.push(await toPrepare(tx, { ...domain, generationId }, ingestion, slice, upserted))
    }
    await addRejections(tx, ingestion, countRejections(rejected))
    await sealIngestion(tx, ingestion)
    return { ingestion, ids }
  })
  await enqueue(deps, written.ingestion, written.ids)
  return {
    ingestion: String(written.ingestion),
    accepted: accepted.length,
    rejected: rejected.slice(0, REJECTED_SHOWN),
    rejectedTotal: rejected.length,
  }
}

/**
 * Receives a submission of any length. The ingestion begins with the first document that can be kept; each slice
 * is a transaction, so nobody waits long for it and its memory is bounded by the slice.
 */
export function openSubmission(deps: Deps, domain: Target, options: SubmitOptions): OpenSubmission {
  let ingestion: number | undefined
  let accepted = 0
  let given = 0
  let rejectedTotal = 0
  const shown: Rejection[] = []
  /** Refused before there was an ingestion to count them in. */
  let early: RejectionCount[] = []

  const refuse = (rejected: readonly Rejection[]) => {
    rejectedTotal += rejected.length
    shown.push(...rejected.slice(0, Math.max(0, REJECTED_SHOWN - shown.length)))
  }

  const write = async (
    tx: Tx,
    documents: readonly Accepted[],
    rejected: readonly RejectionCount[],
    bytes: FileBytes | undefined,
  ) => {
    const id = ingestion ?? (await insertIngestion(tx, domain.id, { ...options, openSeconds: OPEN_SECONDS }))
    if (id === undefined) throw unknownDomain(domain.name)
    const generationId = await takesVectors(tx, domain)
    const to = { domainId: domain.id, ingestionId: id, ...options, tracked: true, ...deps.settings }
    const upserted = await upsertDocuments(tx, to, documents)
    const ids = await toPrepare(tx, { ...domain, generationId }, id, documents, upserted)
    for (const document of documents) {
      const row = upserted.written.get(document.externalId)
      if (document.file !== null && row !== undefined && bytes !== undefined) {
        await storeFile(tx, row.id, bytes(document.index))
      }
    }
    const repeated = new Set(upserted.repeated)
    const again = documents
      .filter((document) => repeated.has(document.externalId))
      .map((document) => ({
        index: document.index,
        id: document.externalId,
        code: 'DUPLICATE_ID',
        message: 'A document before it has the same id',
      }))
    await addRejections(tx, id, countRejections(again, rejected))
    // Last, since workers hold documents before they hold their ingestion.
    if (!(await renewIngestion(tx, id, OPEN_SECONDS))) throw ended(id)
    return { id, ids, again }
  }

  return {
    add: async (slice, bytes) => {
      given += slice.length
      const sorted = sortDocuments(slice, deps.settings.limits, externalDims(domain))
      refuse(sorted.rejected)
      if (ingestion === undefined && sorted.accepted.length === 0) {
        early = countRejections(sorted.rejected, early)
        return
      }
      const rejected = countRejections(sorted.rejected, early)
      await untilTaken(deps.db, domain)
      const written = await deps.db
        .transact((tx) => write(tx, sorted.accepted, rejected, bytes))
        .catch((error: unknown) => {
          throw codeOf(error) === NO_PARENT ? unknownDomain(domain.name) : error
        })
      ingestion = written.id
      const before = accepted
      early = []
      accepted += sorted.accepted.length - written.again.length
      refuse(written.again)
      await enqueue(deps, written.id, [written.ids], before)
    },
    end: async () => {
      if (ingestion === undefined) throw noDocuments(shown, given)
      const id = ingestion
      await deps.db.transact((tx) => sealIngestion(tx, id))
      return { ingestion: String(id), accepted, rejected: shown, rejectedTotal }
    },
    abandon: async (reason) => {
      if (ingestion !== undefined) await abandonIngestion(deps.db, ingestion, reason, given)
    },
  }
}

/**
 * The generation that vectors of one's own are kept in, which stays live until the end: before the documents are written,
 * as whoever switches takes them. Of texts it does not matter: they are prepared for whichever is live then.
 */
async function takesVectors(tx: Tx, domain: Target): Promise<number> {
  if (externalDims(domain) === null) return domain.generationId
  const live = await keepLive(tx, domain.id)
  if (live === undefined) throw unknownDomain(domain.name)
  return live
}

/** How often, and how long at most, whoever brings vectors waits for a switch to come. */
const HELD_MS = 50
const HELD_MS_MAX = 20_000

/** While another generation is about to take over, so that it is not behind on what is only copied to it. */
async function untilTaken(db: Db, domain: Target): Promise<void> {
  if (externalDims(domain) === null) return
  const end = performance.now() + HELD_MS_MAX
  while (performance.now() < end && (await isDomainHeldBack(db, domain.id))) await sleep(HELD_MS)
}

/** What a worker has to prepare: nothing where documents bring their vectors, which are kept at once. */
async function toPrepare(
  tx: Tx,
  domain: Target,
  ingestionId: number,
  documents: readonly Accepted[],
  { ids, written }: Upserted,
): Promise<readonly number[]> {
  if (externalDims(domain) === null) return ids
  const to = { generationId: domain.generationId, ingestionId }
  if (!(await keepVectors(tx, to, documents, written))) throw unknownDomain(domain.name)
  return []
}

async function enqueue(
  deps: Deps,
  ingestion: number,
  ids: readonly (readonly number[])[],
  position = 0,
): Promise<void> {
  const ranges = ids.flatMap((some) =>
    rangesOf(
      some.map((id) => ({ id, ingestion })),
      RANGE_DOCUMENTS,
    ),
  )
  try {
    await deps.queues.addPrepare(ranges, position)
  } catch (error) {
    deps.log.warn({ err: error, ingestion }, 'not enqueued, the sweep will do it')
  }
}

const noDocuments = (rejected: readonly Rejection[], given: number) =>
  new CodedError('NO_DOCUMENTS', `None of the ${given} documents can be accepted`, {
    hint: given === 0 ? 'Send at least one document' : 'details.rejected says why, one by one',
    details: { rejected },
  })

const ended = (id: number) =>
  new CodedError('INGESTION_ENDED', `Ingestion ${id} was cancelled while it was being received`, {
    hint: 'What was written before stays; submit the rest again',
    details: { ingestion: String(id) },
  })

/** Consecutive documents of at most SLICE_BYTES of text and vectors together; a longer one alone. */
export function slices<T extends Pick<NewDocument, 'text'> & Pick<Accepted, 'vectors'>>(
  documents: readonly T[],
): T[][] {
  const parts: T[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const document of documents) {
    const vectors = document.vectors?.reduce((sum, { vector }) => sum + vector.byteLength, 0) ?? 0
    const size = Buffer.byteLength(document.text) + vectors
    if (bytes + size > SLICE_BYTES) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)?.push(document)
    bytes += size
  }
  return parts
}
