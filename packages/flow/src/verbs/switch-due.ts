import { CodedError, codeOf } from '@millrace/errors'
import { type DueSwitch, leaveSwitch, listDueSwitches, refuseSwitch, takeSwitch } from '@millrace/store'
import { type SwitchDeps, switchGeneration } from './switch.js'

/** How long whoever switches by itself has it for itself, gate included. */
const OWN_SECONDS = 600
/** After a refusal nobody tries again for so long; a gate that is still being asked is looked at sooner. */
const AGAIN_SECONDS = 60
const SOON_SECONDS = 5

/**
 * Switches to generations that are to take over once they are built; `signal` leaves a gate that is still being asked to
 * the next worker. Returns how many did.
 */
export async function switchDue(deps: SwitchDeps, signal?: AbortSignal): Promise<number> {
  let switched = 0
  for (const due of await listDueSwitches(deps.db)) {
    if (signal?.aborted) break
    if (!(await takeSwitch(deps.db, due.id, OWN_SECONDS))) continue
    const outcome = await unlessAborted(trySwitch(deps, due), signal)
    if (outcome === true) switched++
    if (outcome === 'aborted') await leaveSwitch(deps.db, due.id, 0)
  }
  return switched
}

async function trySwitch(deps: SwitchDeps, { id, domain }: DueSwitch): Promise<boolean> {
  try {
    await switchGeneration(deps, domain, String(id))
    await leaveSwitch(deps.db, id, 0)
    return true
  } catch (error) {
    const isSoon = error instanceof CodedError && error.retryable
    if (codeOf(error) === 'GATE_FAILED') await refuseSwitch(deps.db, id, AGAIN_SECONDS)
    else await leaveSwitch(deps.db, id, isSoon ? SOON_SECONDS : AGAIN_SECONDS)
    if (!(error instanceof CodedError)) throw error
    deps.log.debug({ domain, generation: id, code: error.code }, 'not switched to it yet')
    return false
  }
}

/** What comes of `work`, or 'aborted' when the signal is quicker; then it goes on, and nobody hears of it. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T | 'aborted'> {
  if (signal === undefined) return work
  const settled = new AbortController()
  const aborted = new Promise<'aborted'>((resolve) => {
    signal.addEventListener('abort', () => resolve('aborted'), { once: true, signal: settled.signal })
  })
  try {
    work.catch(() => undefined)
    return await Promise.race([work, aborted])
  } finally {
    settled.abort()
  }
}
