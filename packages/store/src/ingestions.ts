import { asc, desc, eq } from 'drizzle-orm'
import type { Session } from './connect.js'
import type { DocumentCounts } from './documents.js'
import { domains, type IngestionState, ingestionErrors, ingestions } from './schema.js'

export interface IngestionRow extends Omit<DocumentCounts, 'total'> {
  readonly id: number
  readonly domain: string
  readonly state: IngestionState
  /** Part of ready. */
  readonly unchanged: number
  readonly chunks: number
  readonly chunksEmbedded: number
  readonly chunksReused: number
  readonly tokens: number
  readonly tokensEmbedded: number
  readonly startedAt: Date
  readonly finishedAt: Date | null
}

export interface IngestionError {
  readonly code: string
  readonly count: number
  readonly example: { readonly document: string; readonly message: string }
}

export async function getIngestion(on: Session, id: number): Promise<IngestionRow | undefined> {
  const found = await on.orm
    .select({
      id: ingestions.id,
      domain: domains.name,
      state: ingestions.state,
      received: ingestions.received,
      preparing: ingestions.preparing,
      embedding: ingestions.embedding,
      ready: ingestions.ready,
      failed: ingestions.failed,
      cancelled: ingestions.cancelled,
      unchanged: ingestions.unchanged,
      chunks: ingestions.chunks,
      chunksEmbedded: ingestions.chunksEmbedded,
      chunksReused: ingestions.chunksReused,
      tokens: ingestions.tokens,
      tokensEmbedded: ingestions.tokensEmbedded,
      startedAt: ingestions.startedAt,
      finishedAt: ingestions.finishedAt,
    })
    .from(ingestions)
    .innerJoin(domains, eq(domains.id, ingestions.domainId))
    .where(eq(ingestions.id, id))
  return found[0]
}

export const listIngestionErrors = (on: Session, id: number): Promise<IngestionError[]> =>
  on.orm
    .select({ code: ingestionErrors.code, count: ingestionErrors.count, example: ingestionErrors.example })
    .from(ingestionErrors)
    .where(eq(ingestionErrors.ingestionId, id))
    .orderBy(desc(ingestionErrors.count), asc(ingestionErrors.code))
