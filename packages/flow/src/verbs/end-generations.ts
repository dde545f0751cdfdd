import {
  cancelBuilding,
  dropIdle,
  endSlice,
  endSoaked,
  finishEnding,
  listEnding,
  listUnsettled,
  settleSlice,
} from '@millrace/store'
import { generationEnded, notBuilding } from '../generations/switch.js'
import { findDomain, requireGeneration, unknownGeneration } from './domains.js'
import type { SwitchDeps } from './switch.js'

export interface Cancelled {
  readonly domain: string
  readonly id: string
  readonly state: 'ending' | 'ended'
}

/**
 * Ends a generation that is being built; its rows go behind the answer. Cancelling twice changes nothing.
 * @throws CodedError UNKNOWN_DOMAIN, UNKNOWN_GENERATION, GENERATION_NOT_BUILDING, GENERATION_ENDED
 */
export async function cancelGeneration(
  deps: Pick<SwitchDeps, 'db'>,
  name: string,
  id: string,
): Promise<Cancelled> {
  const domain = await findDomain(deps, name)
  const row = await requireGeneration(deps, domain, id)
  const outcome = await cancelBuilding(deps.db, domain.id, row.id)
  if (outcome === 'unknown') throw unknownGeneration(domain, id)
  if (outcome === 'live' || outcome === 'retired') throw notBuilding({ ...row, state: outcome })
  const now = await requireGeneration(deps, domain, id)
  if (now.endedBy !== 'cancelled') throw generationEnded(now)
  // Leases first: whoever embeds for it stops.
  if (outcome === 'cancelled') await endSlice(deps.db, row.id).catch(() => undefined)
  return { domain: name, id: String(row.id), state: now.state === 'ended' ? 'ended' : 'ending' }
}

/** A pass ends after this long, so that whoever stops the loop does not wait. */
const PASS_MS = 2_000

/**
 * What is behind a switch: retired generations whose time is up end, rows of those that end go, and documents say what
 * they are in the live one. In slices, each a transaction of its own; whoever dies in between leaves the rest to the next.
 */
export async function endGenerations({ db, log }: Pick<SwitchDeps, 'db' | 'log'>): Promise<void> {
  const end = performance.now() + PASS_MS
  const isOver = () => performance.now() > end
  await endSoaked(db)
  await dropIdle(db)
  for (const id of await listUnsettled(db)) {
    while (!isOver() && (await settleSlice(db, id))) {
      // The next slice.
    }
  }
  for (const id of await listEnding(db)) {
    while (!isOver() && (await endSlice(db, id))) {
      // The next slice.
    }
    if (!isOver() && (await finishEnding(db, id))) log.info({ generation: id }, 'a generation has ended')
  }
}
