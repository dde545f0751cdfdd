import { METRICS, type Metrics } from '../../golden/metrics.js'
import type { Run } from '../../golden/run.js'
import { canonicalJson } from '../../recipe.js'
import { getRun, listRuns, startRun } from '../../verbs/golden.js'
import type { Alarm, Golden } from '../action.js'
import { numberAt, type StepContext, type StepResult, type Steps } from '../step.js'

const LOOK_SECONDS = 2
/** Runs that are looked at for the one before. */
const LOOKED = 100
/** Less than this is how numbers are rounded. */
const ROUNDING = 1e-9

/** Runs the golden set, compares with the run before, and says when it is not good enough. */
export const measuring = (action: Golden): Steps => ({
  step: async (context, state) => {
    const { deps, domain } = context
    const id = numberAt(state, 'golden') ?? (await begin(context, action))
    const run = await getRun(deps, domain, String(id))
    if (run.state === 'running') return { next: { golden: id }, waitSeconds: LOOK_SECONDS }
    return judge(context, action, run)
  },
})

async function begin({ deps, domain, schedule, run }: StepContext, { k }: Golden): Promise<number> {
  const note = `schedule ${schedule}, run ${run}`
  // Whoever began it may have died before that was kept.
  const { runs } = await listRuns(deps, domain, { limit: LOOKED })
  const begun = runs.find((one) => one.note === note)
  return begun?.id ?? (await startRun(deps, domain, { k, note })).id
}

async function judge(
  { deps, domain, schedule }: StepContext,
  { alarm }: Golden,
  run: Run,
): Promise<StepResult> {
  const spent = { questions: run.questions }
  if (run.state === 'failed') {
    const problem = `golden run ${run.id} failed: ${run.errorCode} ${run.errorMessage}`
    return { spent, done: problem, alarm: problem }
  }
  const { runs } = await listRuns(deps, domain, { limit: LOOKED })
  // Of another generation only what was scheduled: that one was live, and a gate asks others too.
  const isComparable = (one: Run) =>
    one.generationId === run.generationId || one.note?.startsWith(`schedule ${schedule}, `) === true
  const before = runs.find(
    (one) =>
      one.id < run.id &&
      isComparable(one) &&
      one.report?.metrics != null &&
      canonicalJson(one.settings) === canonicalJson(run.settings),
  )
  const metrics = run.report?.metrics ?? null
  const wrong = alarm === null ? undefined : alarmOf(alarm, metrics, before?.report?.metrics ?? null)
  const told =
    metrics === null ? 'nothing was measured' : METRICS.map((name) => `${name} ${metrics[name]}`).join(', ')
  return { spent, done: `golden run ${run.id}: ${told}`, alarm: wrong && `golden run ${run.id}: ${wrong}` }
}

/** What is wrong with what was measured; undefined: nothing. */
export function alarmOf(alarm: Alarm, now: Metrics | null, before: Metrics | null): string | undefined {
  const { metric, below, worseBy } = alarm
  if (now === null) return 'nothing was measured'
  const value = now[metric]
  if (below !== null && value < below - ROUNDING) return `${metric} is ${value}, less than ${below}`
  if (worseBy === null || before === null) return undefined
  const fell = before[metric] - value
  return fell > worseBy + ROUNDING ? `${metric} fell from ${before[metric]} to ${value}` : undefined
}
