import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError, codeOf } from '@millrace/errors'
import {
  type Db,
  type DocumentCounts,
  getIngestion as getRow,
  type IngestionError,
  type IngestionRow,
  listIngestionErrors,
} from '@millrace/store'

/** What one submission created, as a caller sees it. Rates are null until there is something to go by. */
export interface Ingestion {
  readonly id: string
  readonly domain: string
  readonly state: 'running' | 'cancelled' | 'finished'
  readonly documents: DocumentCounts & { readonly unchanged: number }
  readonly chunks: { readonly total: number; readonly embedded: number; readonly reused: number }
  readonly tokens: { readonly total: number; readonly embedded: number }
  readonly tokensPerSecond: number | null
  readonly etaSeconds: number | null
  readonly errors: readonly IngestionError[]
  readonly startedAt: string
  readonly finishedAt: string | null
}

const WATCH_MS = 250

/** @throws CodedError UNKNOWN_INGESTION */
export async function getIngestion({ db }: { readonly db: Db }, id: string): Promise<Ingestion> {
  const number = /^[1-9]\d{0,15}$/.test(id) ? Number(id) : undefined
  const row = number === undefined ? undefined : await getRow(db, number)
  if (row === undefined) {
    throw new CodedError('UNKNOWN_INGESTION', `There is no ingestion "${id}"`, {
      hint: 'The answer to a submission names it',
      details: { id },
    })
  }
  const errors = row.failed > 0 ? await listIngestionErrors(db, row.id) : []
  return describe(row, errors, new Date())
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
    const seen = JSON.stringify([ingestion.documents, ingestion.chunks, ingestion.tokens, ingestion.state])
    if (seen !== last) {
      last = seen
      yield ingestion
    }
    if (ingestion.state !== 'running') return
    await sleep(WATCH_MS, undefined, { signal }).catch(() => undefined)
  }
}

/** Its domain was deleted, and with it the ingestion: what was open will not be done. */
export function goneWithDomain(last: Ingestion, now: Date): Ingestion {
  const { received, preparing, embedding, cancelled } = last.documents
  return {
    ...last,
    state: 'cancelled',
    documents: {
      ...last.documents,
      received: 0,
      preparing: 0,
      embedding: 0,
      cancelled: cancelled + received + preparing + embedding,
    },
    etaSeconds: null,
    finishedAt: now.toISOString(),
  }
}

export function describe(row: IngestionRow, errors: readonly IngestionError[], now: Date): Ingestion {
  const { received, preparing, embedding, ready, failed, cancelled, unchanged } = row
  const total = received + preparing + embedding + ready + failed + cancelled
  const seconds = ((row.finishedAt ?? now).getTime() - row.startedAt.getTime()) / 1_000
  const rate = seconds > 0 && row.tokensEmbedded > 0 ? row.tokensEmbedded / seconds : null
  return {
    id: String(row.id),
    domain: row.domain,
    state: row.state,
    documents: { total, received, preparing, embedding, ready, failed, cancelled, unchanged },
    chunks: { total: row.chunks, embedded: row.chunksEmbedded, reused: row.chunksReused },
    tokens: { total: row.tokens, embedded: row.tokensEmbedded },
    tokensPerSecond: rate === null ? null : Math.round(rate * 10) / 10,
    etaSeconds: row.state === 'running' ? eta(row, rate) : null,
    errors,
    startedAt: row.startedAt.toISOString(),
    finishedAt: row.finishedAt?.toISOString() ?? null,
  }
}

/**
 * Seconds left at the rate so far. Documents not prepared yet are taken to be like the prepared ones: as many
 * tokens each, and as large a share of them to embed.
 */
function eta(row: IngestionRow, rate: number | null): number | null {
  const prepared = row.embedding + row.ready - row.unchanged
  if (rate === null || prepared <= 0 || row.chunks === 0) return null
  const toEmbed = row.tokens * (1 - row.chunksReused / row.chunks)
  const unprepared = (row.received + row.preparing) * (toEmbed / prepared)
  return Math.max(0, Math.round((toEmbed + unprepared - row.tokensEmbedded) / rate))
}
