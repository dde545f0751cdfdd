import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError, codeOf } from '@millrace/errors'
import {
  type Db,
  type DocumentCounts,
  getIngestion as getRow,
  type IndexState,
  type IngestionError,
  type IngestionRejection,
  type IngestionRow,
  listIngestionErrors,
  listIngestionRejections,
  listIngestions as listRows,
} from '@millrace/store'
import { numberOf, readNumber } from '../cursor.js'
import type { Domain } from './domains.js'

/** What one submission created, as a caller sees it. Rates are null until there is something to go by. */
export interface Ingestion {
  readonly id: string
  readonly domain: string
  readonly state: 'running' | 'cancelled' | 'finished'
  /** Documents are still being sent: what is counted here is what has come so far. */
  readonly receiving: boolean
  readonly documents: DocumentCounts & { readonly unchanged: number }
  readonly chunks: { readonly total: number; readonly embedded: number; readonly reused: number }
  readonly tokens: { readonly total: number; readonly embedded: number }
  /** Of the last 20 to 40 seconds while it runs, of all the time it worked once it has ended. */
  readonly tokensPerSecond: number | null
  /** Null until it can be told, and while documents are still being sent. */
  readonly etaSeconds: number | null
  /** Of documents that failed, by code. */
  readonly errors: readonly IngestionError[]
  /** Documents that were not taken, by code. */
  readonly rejected: { readonly total: number; readonly codes: readonly IngestionRejection[] }
  /** Of the domain's vectors: it is built once they are many and nearly all there. */
  readonly index: IndexState
  readonly sync: Sync | null
  /** Null until it has ended. */
  readonly report: Report | null
  readonly startedAt: string
  readonly finishedAt: string | null
}

export interface Sync {
  readonly source: string
  readonly state: 'waiting' | 'done' | 'skipped'
  readonly deleted: number
  /** Why it was skipped. */
  readonly reason: string | null
}

/** Every document that was sent, and what became of it. */
export interface Report {
  readonly seconds: number
  readonly documents: {
    /** Refused ones included. */
    readonly sent: number
    readonly ready: number
    /** Part of ready. */
    readonly unchanged: number
    readonly failed: number
    readonly cancelled: number
    readonly refused: number
    /** By a sync: they were not sent. */
    readonly deleted: number
  }
  readonly chunks: Ingestion['chunks']
  readonly tokens: Ingestion['tokens']
  readonly refused: readonly IngestionRejection[]
  readonly failed: readonly IngestionError[]
  /**
   * Characters of cleaned text, white space aside, that are in no chunk. The model cuts nothing: a chunk that is
   * longer than its window is pooled over several.
   */
  readonly textCut: { readonly characters: number }
  /** Documents of which cleaning left nothing: ready, with no chunk that could be found. */
  readonly empty: number
}

const WATCH_MS = 250

export const unknownIngestion = (id: string) =>
  new CodedError('UNKNOWN_INGESTION', `There is no ingestion "${id}"`, {
    hint: 'The answer to a submission names it',
    details: { id },
  })

/** @throws CodedError UNKNOWN_INGESTION */
export async function getIngestion({ db }: { readonly db: Db }, id: string): Promise<Ingestion> {
  const number = numberOf(id)
  const row = number === undefined ? undefined : await getRow(db, number)
  if (row === undefined) throw unknownIngestion(id)
  const [ingestion] = await withReasons(db, [row])
  if (ingestion === undefined) throw unknownIngestion(id)
  return ingestion
}

export interface IngestionPage {
  readonly ingestions: readonly Ingestion[]
  /** Hand it in to get the next page; null at the end. */
  readonly cursor: string | null
}

/** The ingestions of a domain, newest first. @throws CodedError INVALID_CURSOR */
export async function listIngestions(
  { db }: { readonly db: Db },
  domain: Domain,
  page: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<IngestionPage> {
  const before = page.cursor === undefined ? undefined : readNumber(page.cursor)
  const rows = await listRows(db, domain.id, { before, limit: page.limit + 1 })
  const ingestions = await withReasons(db, rows.slice(0, page.limit))
  return { ingestions, cursor: rows.length > page.limit ? (ingestions.at(-1)?.id ?? null) : null }
}

/** With the errors and refusals of all of them: two statements, however many they are. */
export async function withReasons(db: Db, rows: readonly IngestionRow[]): Promise<Ingestion[]> {
  const [errors, rejections] = await Promise.all([
    listIngestionErrors(
      db,
      rows.filter((row) => row.failed > 0).map((row) => row.id),
    ),
    listIngestionRejections(
      db,
      rows.filter((row) => row.rejected > 0).map((row) => row.id),
    ),
  ])
  return rows.map((row) => describe(row, errors.get(row.id) ?? [], rejections.get(row.id) ?? []))
}

/** The ingestion now and whenever it has changed since, until it ends; `cancelled` when its domain is deleted. */
export async function* watchIngestion(
  deps: { readonly db: Db },
  id: string,
  signal: AbortSignal,
): AsyncGenerator<Ingestion> {
  let last = ''
  let known: Ingestion | undefined
  while (!signal.aborted) {
    const ingestion = await getIngestion(deps, id).catch((error: unknown) => {
      if (known === undefined || codeOf(error) !== 'UNKNOWN_INGESTION') throw error
      return goneWithDomain(known, new Date())
    })
    known = ingestion
    const { documents, chunks, tokens, state, receiving, rejected, index, sync } = ingestion
    const seen = JSON.stringify([documents, chunks, tokens, state, receiving, rejected.total, index, sync])
    if (seen !== last) {
      last = seen
      yield ingestion
    }
    if (isOver(ingestion)) return
    await sleep(WATCH_MS, undefined, { signal }).catch(() => undefined)
  }
}

/** Nothing of it changes any more: of a cancelled one the documents follow in steps. */
export const isOver = ({ state, documents }: Pick<Ingestion, 'state' | 'documents'>): boolean =>
  state !== 'running' && documents.received + documents.preparing + documents.embedding === 0

/** Its domain was deleted, and with it the ingestion: what was open will not be done. */
export function goneWithDomain(last: Ingestion, now: Date): Ingestion {
  const { received, preparing, embedding, cancelled } = last.documents
  const documents = {
    ...last.documents,
    received: 0,
    preparing: 0,
    embedding: 0,
    cancelled: cancelled + received + preparing + embedding,
  }
  const seconds = (now.getTime() - new Date(last.startedAt).getTime()) / 1_000
  return {
    ...last,
    state: 'cancelled',
    receiving: false,
    documents,
    etaSeconds: null,
    report: reportOf({ ...last, documents }, { seconds, deleted: 0, charactersCut: 0, empty: 0 }),
    finishedAt: now.toISOString(),
  }
}

export function describe(
  row: IngestionRow,
  errors: readonly IngestionError[],
  rejections: readonly IngestionRejection[],
): Ingestion {
  const { received, preparing, embedding, ready, failed, cancelled, unchanged } = row
  const total = received + preparing + embedding + ready + failed + cancelled
  const rate = rateOf(row)
  const ingestion: Ingestion = {
    id: String(row.id),
    domain: row.domain,
    state: row.state,
    receiving: row.receiving,
    documents: { total, received, preparing, embedding, ready, failed, cancelled, unchanged },
    chunks: { total: row.chunks, embedded: row.chunksEmbedded, reused: row.chunksReused },
    tokens: { total: row.tokens, embedded: row.tokensEmbedded },
    tokensPerSecond: rate === null ? null : Math.round(rate.perSecond * 10) / 10,
    etaSeconds: row.state === 'running' && !row.receiving ? eta(row, rate) : null,
    errors,
    rejected: { total: row.rejected, codes: rejections },
    index: row.index,
    sync: syncOf(row),
    report: null,
    startedAt: row.startedAt.toISOString(),
    finishedAt: row.finishedAt?.toISOString() ?? null,
  }
  if (row.finishedAt === null || !isOver(ingestion)) return ingestion
  const seconds = secondsBetween(row.startedAt, row.finishedAt)
  return { ...ingestion, report: reportOf(ingestion, { seconds, ...row }) }
}

function reportOf(
  { documents, chunks, tokens, rejected, errors }: Omit<Ingestion, 'report'>,
  more: {
    readonly seconds: number
    readonly deleted: number
    readonly charactersCut: number
    readonly empty: number
  },
): Report {
  const { ready, unchanged, failed, cancelled, total } = documents
  return {
    seconds: Math.round(more.seconds * 10) / 10,
    documents: {
      sent: total + rejected.total,
      ready,
      unchanged,
      failed,
      cancelled,
      refused: rejected.total,
      deleted: more.deleted,
    },
    chunks,
    tokens,
    refused: rejected.codes,
    failed: errors,
    textCut: { characters: more.charactersCut },
    empty: more.empty,
  }
}

function syncOf({ sync, source, syncedAt, syncSkipped, deleted }: IngestionRow): Sync | null {
  if (sync === null || source === null) return null
  const state = syncSkipped !== null ? 'skipped' : syncedAt === null ? 'waiting' : 'done'
  return { source, state, deleted, reason: syncSkipped }
}

const secondsBetween = (from: Date, to: Date): number => Math.max(0, (to.getTime() - from.getTime()) / 1_000)

interface Rate {
  /** Tokens a second. */
  readonly perSecond: number
  /** Embedded since vectors were last stored, as far as can be told: a lease is stored when all of it is done. */
  readonly unstored: number
}

/** Of late while it runs, of all the time it worked once it has ended; null until something was embedded. */
function rateOf(row: IngestionRow): Rate | null {
  const { rateFrom, rateLast, workStartedAt, finishedAt, now, tokensEmbedded } = row
  if (finishedAt !== null) {
    const seconds = workStartedAt === null ? 0 : secondsBetween(workStartedAt, finishedAt)
    return seconds > 0 && tokensEmbedded > 0 ? { perSecond: tokensEmbedded / seconds, unstored: 0 } : null
  }
  if (rateFrom === null || rateLast === null) return null
  const tokens = tokensEmbedded - row.rateFromTokens
  const seconds = secondsBetween(rateFrom, rateLast)
  if (seconds <= 0 || tokens <= 0) return null
  const since = secondsBetween(rateLast, now)
  const unstored = Math.min((since * tokens) / seconds, row.tokensLeased)
  // The same rate as long as what workers have explains the silence; falling from then on.
  return { perSecond: (tokens + unstored) / (seconds + since), unstored }
}

/**
 * Seconds left, the longer of two: to embed, at the rate of late, and to prepare, at the rate since the start.
 * Documents not prepared yet are taken to be like the prepared ones: as many tokens each, and as large a share of
 * them to embed. Other ingestions that share the workers are in the rate.
 */
function eta(row: IngestionRow, rate: Rate | null): number | null {
  const prepared = row.embedding + row.ready + row.failed - row.unchanged
  const unprepared = row.received + row.preparing
  if (prepared <= 0) return null
  const toPrepare = (unprepared / prepared) * secondsBetween(row.startedAt, row.now)
  const pending = row.tokensPending ?? Math.max(0, estimated(row) - row.tokensEmbedded)
  const unseen = unprepared * ((row.tokensEmbedded + pending) / prepared)
  if (pending + unseen === 0) return Math.round(toPrepare)
  if (rate === null) return null
  const left = Math.max(0, pending - rate.unstored) + unseen
  return Math.round(Math.max(left / rate.perSecond, toPrepare))
}

/** Tokens that were to be embedded of what is prepared: chunks that were there already are taken to be as long as the others. */
const estimated = ({ tokens, chunks, chunksReused }: IngestionRow): number =>
  chunks === 0 ? 0 : tokens * (1 - chunksReused / chunks)
