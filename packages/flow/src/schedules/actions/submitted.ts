import { ingestionEnd } from '@millrace/store'
import { addCost, countsOf, numberAt, type State, type StepContext, type StepResult } from '../step.js'

const LOOK_SECONDS = 2

/**
 * Waits for an ingestion that an action began (`state.ingestion`), and counts what it cost; undefined when it waits for
 * none.
 */
export async function awaitSubmitted(
  { deps }: StepContext,
  state: State,
): Promise<Extract<StepResult, { readonly next: State }> | undefined> {
  const ingestion = numberAt(state, 'ingestion')
  if (ingestion === undefined) return undefined
  const end = await ingestionEnd(deps.db, ingestion)
  // Tokens count as they are embedded, so that a ceiling on them is kept.
  const tokens = Math.max(0, (end?.tokens ?? 0) - (numberAt(state, 'ingestionTokens') ?? 0))
  if (end?.isOver === false) {
    return { next: { ...state, ingestionTokens: end.tokens }, spent: { tokens }, waitSeconds: LOOK_SECONDS }
  }
  const { ingestion: _over, ingestionTokens: _counted, ...rest } = state
  const counts = addCost(countsOf(state), { ready: end?.ready ?? 0, failed: end?.failed ?? 0 })
  return { next: { ...rest, counts }, spent: { tokens, texts: end?.texts ?? 0 } }
}
