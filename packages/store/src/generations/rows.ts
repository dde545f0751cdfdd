import type { Session } from '../connect.js'
import type { IndexSettings } from '../domains.js'
import type { CountedWords, GenerationState, Lexical, StorageForm, TextOutput } from '../schema.js'

/** What becomes of a domain's thresholds when another recipe takes over. */
export type ThresholdPolicy = 'confirm' | 'carry' | 'defaults'
export type EndedBy = 'cancelled' | 'soaked' | 'replaced'

/** A generation of a domain, whatever its state; what is about its build is null where there was none. */
export interface GenerationRow {
  readonly id: number
  readonly domainId: number
  readonly domain: string
  readonly state: GenerationState
  readonly model: string
  readonly dims: number
  readonly recipe: Readonly<Record<string, unknown>>
  readonly recipeHash: string
  readonly storage: StorageForm
  readonly outputs: readonly TextOutput[]
  readonly lexical: Lexical | null
  readonly counted: CountedWords
  readonly index: IndexSettings
  readonly indexedAt: Date | null
  readonly termsCountedAt: Date | null
  /** Documents up to this id have a row in generation_documents. */
  readonly filledAfter: number
  readonly filledAt: Date | null
  /** When it was complete for the first time. */
  readonly builtAt: Date | null
  readonly paused: boolean
  /** The schedule that paused it, and goes on with it. */
  readonly waitsFor: number | null
  /** Its share of embedding beside a generation of weight 1. */
  readonly weight: number
  readonly follows: boolean
  readonly switchWhenBuilt: boolean
  readonly soakSeconds: number
  readonly keepUpToDate: boolean
  readonly copiesFrom: number | null
  readonly copiesSince: Date | null
  readonly gate: Readonly<Record<string, unknown>>
  readonly gated: Readonly<Record<string, unknown>> | null
  readonly forced: Readonly<Record<string, unknown>> | null
  readonly thresholds: ThresholdPolicy
  readonly textsCopied: number
  readonly textsEmbedded: number
  readonly tokensEmbedded: number
  readonly createdAt: Date
  readonly startedAt: Date | null
  readonly liveSince: Date | null
  readonly retiredAt: Date | null
  readonly dropAt: Date | null
  readonly endedAt: Date | null
  readonly endedBy: EndedBy | null
  readonly errorCode: string | null
  readonly errorMessage: string | null
}

const COLUMNS = `g.id, g.domain_id as "domainId", d.name as domain, g.state, g.model, g.dims, g.recipe,
  g.recipe_hash as "recipeHash", g.storage, g.outputs, g.lexical, g.counted,
  jsonb_build_object('m', g.index_m, 'efConstruction', g.index_ef_construction) as index, g.indexed_at as "indexedAt",
  g.terms_counted_at as "termsCountedAt", g.filled_after as "filledAfter", g.filled_at as "filledAt",
  g.built_at as "builtAt", g.paused, g.waits_for as "waitsFor", g.weight, g.follows, g.switch_when_built as "switchWhenBuilt",
  g.soak_seconds as "soakSeconds", g.keep_up_to_date as "keepUpToDate", g.copies_from as "copiesFrom",
  g.copies_since as "copiesSince", g.gate, g.gated, g.forced, g.thresholds, g.texts_copied as "textsCopied",
  g.texts_embedded as "textsEmbedded", g.tokens_embedded as "tokensEmbedded", g.created_at as "createdAt",
  g.started_at as "startedAt", g.live_since as "liveSince", g.retired_at as "retiredAt", g.drop_at as "dropAt",
  g.ended_at as "endedAt", g.ended_by as "endedBy", g.error_code as "errorCode", g.error_message as "errorMessage"`
const FROM = 'millrace.generations g join millrace.domains d on d.id = g.domain_id'

/** Undefined when the domain has no such generation. */
export async function getGeneration(
  on: Session,
  domainId: number,
  id: number,
): Promise<GenerationRow | undefined> {
  const found = await on.query<GenerationRow>(
    `select ${COLUMNS} from ${FROM} where g.domain_id = $1 and g.id = $2`,
    [domainId, id],
  )
  return found[0]
}

/** Newest first; those that have ended too. */
export const listGenerations = (on: Session, domainId: number): Promise<GenerationRow[]> =>
  on.query<GenerationRow>(`select ${COLUMNS} from ${FROM} where g.domain_id = $1 order by g.id desc`, [
    domainId,
  ])

/** Of all domains, those in these states, oldest first. */
export const listInState = (on: Session, states: readonly GenerationState[]): Promise<GenerationRow[]> =>
  on.query<GenerationRow>(`select ${COLUMNS} from ${FROM} where g.state = any($1) order by g.id`, [states])
