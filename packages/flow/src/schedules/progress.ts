import type { Hour } from './budget.js'
import type { Cost, State, StepResult } from './step.js'

export interface Problem {
  readonly code: string
  readonly message: string
}

/** How far a run has come: JSON, kept after each step. */
export interface Progress {
  /** Ids of domains, the first is at work; undefined: not even begun. */
  readonly todo?: readonly number[]
  /** Of the action, in the first domain. */
  readonly state: State
  /** What came of each domain that is done, as far as it is told. */
  readonly told: readonly { readonly domain: string; readonly text: string }[]
  readonly alarms: readonly string[]
  /** The first of them is shown, and how many there were. */
  readonly problems: readonly (Problem & { readonly domain: string })[]
  readonly hour?: Hour
}

/** Only what was kept of a Progress is ever read. */
export const asProgress = (kept: Readonly<Record<string, unknown>>): Progress => ({
  state: {},
  told: [],
  alarms: [],
  problems: [],
  ...(kept as Partial<Progress>),
})

/** Domains that a summary tells of, alarms that are told, one by one. */
const TOLD_MAX = 20

/** The progress after a step in the first domain, or after what went wrong there. */
export function afterStep(
  progress: Progress,
  domain: string,
  result: StepResult | { readonly problem: Problem },
): { readonly progress: Progress; readonly spent?: Cost; readonly waitSeconds?: number } {
  const { todo = [] } = progress
  const over = { ...progress, todo: todo.slice(1), state: {} }
  if ('problem' in result) {
    return { progress: { ...over, problems: [...progress.problems, { domain, ...result.problem }] } }
  }
  const spent = result.spent === undefined ? {} : { spent: result.spent }
  if ('next' in result) {
    const wait = result.waitSeconds === undefined ? {} : { waitSeconds: result.waitSeconds }
    return { progress: { ...progress, state: result.next }, ...spent, ...wait }
  }
  const { done, alarm } = result
  const told = [...progress.told, { domain, text: done }].slice(-TOLD_MAX)
  const alarms =
    alarm === undefined ? progress.alarms : [...progress.alarms, `${domain}: ${alarm}`].slice(-TOLD_MAX)
  return { progress: { ...over, told, alarms }, ...spent }
}

/** What a run says of itself; with the names of domains where it has several. */
export function summaryOf({ told, problems }: Progress, several: boolean): string | null {
  const texts = told.map(({ domain, text }) => (several ? `${domain}: ${text}` : text))
  const failed = several ? problems.slice(0, TOLD_MAX).map(({ domain, code }) => `${domain}: ${code}`) : []
  const all = [...texts, ...failed]
  return all.length === 0 ? null : all.join('\n')
}

export function problemIn({ problems }: Progress): Problem | null {
  const [first] = problems
  if (first === undefined) return null
  const more = problems.length === 1 ? '' : ` (and ${problems.length - 1} more)`
  return { code: first.code, message: `${first.message}${more}` }
}
