import { gateOf, standingGate } from '../verbs/gate.js'
import type { Gate } from '../verbs/switch.js'
import { gateFailed } from './gate-report.js'

type Asked = Parameters<typeof gateOf>

/** The gate that a switch goes through, with the words of its own report where it refuses. */
export function switchGate(deps: Asked[0], options: Asked[1] = {}): Gate {
  const ask = gateOf(deps, options)
  return async (domain, generation, { isForced }) => {
    const report = isForced
      ? await standingGate(deps, domain, String(generation.id))
      : (await ask(domain, generation)).report
    if (report === null) return null
    const { passed } = report
    return { passed, report, refusal: passed ? undefined : gateFailed(report) }
  }
}
