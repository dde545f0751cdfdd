import type {
  Completeness,
  DocumentCounts,
  EndedBy,
  GenerationError,
  GenerationProgress,
  GenerationRow,
  GenerationState,
  IndexSettings,
  Lexical,
  StorageForm,
  TextOutput,
  ThresholdPolicy,
} from '@millrace/store'
import { copiedThrough } from './copies.js'

/**
 * What a build is at. `incomplete`: nothing is left to be done, but documents failed that readers of the live generation
 * find something of.
 */
export type GenerationPhase = 'filling' | 'embedding' | 'indexing' | 'complete' | 'incomplete'

export interface GenerationDocuments {
  readonly total: number
  readonly waiting: number
  readonly preparing: number
  readonly embedding: number
  readonly ready: number
  readonly failed: number
}

/** A generation of a domain, as a caller sees it. What is not known any more, or not yet, is null. */
export interface Generation {
  readonly id: string
  readonly domain: string
  readonly state: GenerationState
  /** Null unless it is built, or retired and kept up to date. */
  readonly phase: GenerationPhase | null
  readonly model: string
  readonly dims: number
  readonly recipe: Readonly<Record<string, unknown>>
  /** What thresholds belong to. */
  readonly recipeHash: string
  readonly storage: StorageForm
  readonly outputs: readonly TextOutput[]
  readonly lexical: Lexical | null
  readonly index: IndexSettings & { readonly ready: boolean }
  readonly documents: GenerationDocuments | null
  readonly chunks: number | null
  readonly tokens: number | null
  /** Texts whose vectors were taken over, and texts that the model computed. Null: it was never built beside another. */
  readonly copied: number | null
  readonly embedded: number | null
  readonly tokensEmbedded: number | null
  readonly tokensPerSecond: number | null
  readonly etaSeconds: number | null
  readonly errors: readonly GenerationError[]
  readonly paused: boolean
  readonly weight: number
  readonly switch: 'manual' | 'built'
  /** When its switch is tried again, which its gate refused; null: it did not, or nobody tries. */
  readonly switchAgainAt: string | null
  readonly soakSeconds: number
  readonly keepUpToDate: boolean
  readonly thresholds: ThresholdPolicy
  readonly copiesFrom: string | null
  /** The coarsest form that its vectors came through, whose precision they have; null: none coarser than their own. */
  readonly copiedFrom: StorageForm | null
  readonly copySince: string | null
  readonly gate: Readonly<Record<string, unknown>>
  readonly gated: Readonly<Record<string, unknown>> | null
  readonly forced: Readonly<Record<string, unknown>> | null
  readonly createdAt: string
  readonly startedAt: string | null
  readonly builtAt: string | null
  readonly liveSince: string | null
  readonly retiredAt: string | null
  readonly dropAt: string | null
  readonly endedAt: string | null
  readonly endedBy: EndedBy | null
  readonly error: { readonly code: string; readonly message: string } | null
}

/** What is known of a generation beside its row. */
export interface Facts {
  readonly progress: GenerationProgress
  readonly completeness?: Completeness | undefined
  readonly errors?: readonly GenerationError[] | undefined
  /** Forms that its vectors came through. */
  readonly behind?: readonly StorageForm[] | undefined
  /** Of the live one: its documents stand in the domain's. */
  readonly live?:
    | { readonly counts: DocumentCounts; readonly chunks: number; readonly tokens: number }
    | undefined
  /** Of a retired one: documents that its readers see. */
  readonly published?: number | undefined
  /** Of one that is to take over by itself: when that is tried again, which its gate refused. */
  readonly switchAgainAt?: Date | undefined
  /** Tokens a second of late. */
  readonly rate?: number | null | undefined
  readonly now: Date
}

const isWorkedOn = ({ state, follows }: GenerationRow): boolean =>
  state === 'building' || (state === 'retired' && follows)

export function describeGeneration(row: GenerationRow, facts: Facts): Generation {
  const { progress, rate = null } = facts
  const isOpen = isWorkedOn(row) && progress.waiting + progress.preparing + progress.embedding > 0
  const perSecond = isOpen && !row.paused ? (rate ?? averageRate(row, facts.now)) : null
  return {
    id: String(row.id),
    domain: row.domain,
    state: row.state,
    phase: phaseOf(row, progress, facts.completeness),
    model: row.model,
    dims: row.dims,
    recipe: row.recipe,
    recipeHash: row.recipeHash,
    storage: row.storage,
    outputs: row.outputs,
    lexical: row.lexical,
    index: { ...row.index, ready: row.indexedAt !== null },
    documents: documentsOf(row, facts),
    ...volumeOf(row, facts),
    ...countedOf(row),
    tokensPerSecond: perSecond === null ? null : Math.round(perSecond * 10) / 10,
    etaSeconds: etaOf(row, facts, perSecond),
    errors: facts.errors ?? [],
    paused: row.paused,
    weight: row.weight,
    switch: row.switchWhenBuilt ? 'built' : 'manual',
    switchAgainAt: moment(facts.switchAgainAt ?? null),
    soakSeconds: row.soakSeconds,
    keepUpToDate: row.keepUpToDate,
    thresholds: row.thresholds,
    copiesFrom: row.copiesFrom === null ? null : String(row.copiesFrom),
    copiedFrom: copiedThrough(row.storage, facts.behind ?? []),
    copySince: moment(row.copiesSince),
    gate: row.gate,
    gated: row.gated,
    forced: row.forced,
    createdAt: row.createdAt.toISOString(),
    startedAt: moment(row.startedAt),
    builtAt: moment(row.builtAt),
    liveSince: moment(row.liveSince),
    retiredAt: moment(row.retiredAt),
    dropAt: moment(row.dropAt),
    endedAt: moment(row.endedAt),
    endedBy: row.endedBy,
    error: row.errorCode === null ? null : { code: row.errorCode, message: row.errorMessage ?? '' },
  }
}

/** What came with the domain was embedded for its ingestions, and is counted there. */
function countedOf(row: GenerationRow): Pick<Generation, 'copied' | 'embedded' | 'tokensEmbedded'> {
  const { startedAt, textsCopied: copied, textsEmbedded: embedded, tokensEmbedded } = row
  if (startedAt === null && copied + embedded === 0)
    return { copied: null, embedded: null, tokensEmbedded: null }
  return { copied, embedded, tokensEmbedded }
}

const moment = (date: Date | null): string | null => date?.toISOString() ?? null

export function phaseOf(
  row: GenerationRow,
  { waiting, preparing, embedding, lost }: GenerationProgress,
  completeness: Completeness | undefined,
): GenerationPhase | null {
  if (!isWorkedOn(row)) return null
  if (row.filledAt === null) return 'filling'
  if (waiting + preparing + embedding > 0) return 'embedding'
  if (completeness?.indexDue === true || completeness?.termCountsDue === true) return 'indexing'
  return lost > 0 ? 'incomplete' : 'complete'
}

function documentsOf(row: GenerationRow, { progress, live, published }: Facts): GenerationDocuments | null {
  if (row.state === 'ending' || row.state === 'ended') return null
  if (live !== undefined) {
    const { received, preparing, embedding, ready, failed } = live.counts
    return {
      total: received + preparing + embedding + ready + failed,
      waiting: received,
      preparing,
      embedding,
      ready,
      failed,
    }
  }
  const { waiting, preparing, embedding, ready, failed, total } = progress
  if (row.state !== 'retired') return { total, waiting, preparing, embedding, ready, failed }
  // Only what came since it retired is counted in its progress.
  const seen = Math.max(published ?? 0, ready)
  return {
    total: seen + waiting + preparing + embedding + failed,
    waiting,
    preparing,
    embedding,
    ready: seen,
    failed,
  }
}

function volumeOf(row: GenerationRow, { progress, live }: Facts): Pick<Generation, 'chunks' | 'tokens'> {
  if (live !== undefined) return { chunks: live.chunks, tokens: live.tokens }
  if (row.state !== 'building') return { chunks: null, tokens: null }
  return { chunks: progress.chunks, tokens: progress.tokens }
}

/** Since it began; null before anything was embedded. */
function averageRate({ startedAt, builtAt, tokensEmbedded }: GenerationRow, now: Date): number | null {
  if (startedAt === null || builtAt !== null || tokensEmbedded === 0) return null
  const seconds = (now.getTime() - startedAt.getTime()) / 1_000
  return seconds <= 0 ? null : tokensEmbedded / seconds
}

/**
 * The longer of two: until what is known to be embedded is, each document that is not prepared yet taken to need as much
 * as those that are; and until all documents are prepared, at the rate they were so far.
 */
function etaOf(row: GenerationRow, { progress, now }: Facts, perSecond: number | null): number | null {
  if (!isWorkedOn(row) || row.paused || row.filledAt === null) return null
  const { waiting, preparing, embedding, ready, failed, tokensPending } = progress
  const unprepared = waiting + preparing
  if (unprepared + embedding === 0) return 0
  const prepared = ready + embedding + failed
  if (prepared === 0) return null
  const left = tokensPending + (unprepared * (row.tokensEmbedded + tokensPending)) / prepared
  const embed = left === 0 ? 0 : perSecond === null || perSecond <= 0 ? null : left / perSecond
  const seconds = row.startedAt === null ? 0 : (now.getTime() - row.startedAt.getTime()) / 1_000
  const prepare = (unprepared * seconds) / prepared
  return embed === null ? null : Math.round(Math.max(embed, prepare))
}
