import { randomUUID } from 'node:crypto'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import {
  claimScheduleRun,
  domainsOf,
  endScheduleRun,
  holdScheduleRun,
  type OwnedScheduleRun,
  renewScheduleRun,
  storeStep,
} from '@millrace/store'
import { findDomain } from '../verbs/domains.js'
import { type Action, readAction } from './action.js'
import { measuring } from './actions/golden.js'
import { reembedding } from './actions/reembed.js'
import { refreshing } from './actions/refresh.js'
import { retaining } from './actions/retention.js'
import { mending } from './actions/upkeep.js'
import { freeAt, leftOf, spend } from './budget.js'
import { afterStep, asProgress, type Progress, problemIn, summaryOf } from './progress.js'
import { addCost, type Cost, type ScheduleDeps, type StepContext, type Steps } from './step.js'
import { isOpen, opensAt } from './when.js'

/** Without a sign of life for so long a run is somebody else's. */
const OWNED_SECONDS = 60
/** So long one run is worked on before the others have their turn. */
const TURN_MS = 20_000
/** Before what is to stop, and has not quite, is looked at again. */
const STOPPING_SECONDS = 2
/** Before what went wrong for a reason that may pass is tried again. */
const AGAIN_SECONDS = 10

const stepsOf = (action: Action): Steps => {
  switch (action.kind) {
    case 'reembed':
      return reembedding(action)
    case 'refresh':
      return refreshing(action)
    case 'golden':
      return measuring(action)
    case 'retention':
      return retaining(action)
    case 'upkeep':
      return mending(action)
  }
}

/** What a turn of a run came to. */
type Turn =
  | { readonly kind: 'ended' }
  /** It is somebody else's, or gone with its schedule. */
  | { readonly kind: 'lost' }
  | {
      readonly kind: 'held'
      readonly until: Date | null
      readonly by: string | null
      readonly stops?: boolean
    }

/**
 * Works on runs that nobody works on, one after the other, as long as one can go on: those that just began, those that
 * waited long enough, and those whose process died. Returns how many turns it took.
 */
export async function workSchedules(deps: ScheduleDeps, signal: AbortSignal): Promise<number> {
  for (let turns = 0; ; turns++) {
    if (signal.aborted) return turns
    const by = { owner: randomUUID(), seconds: OWNED_SECONDS, now: deps.now() }
    const run = await claimScheduleRun(deps.db, by)
    if (run === undefined) return turns
    await takeTurn(deps, run, signal)
  }
}

async function takeTurn(deps: ScheduleDeps, run: OwnedScheduleRun, signal: AbortSignal): Promise<void> {
  const { db, log } = deps
  // Ends with the worker, and when the run is lost to somebody else.
  const stop = new AbortController()
  const giveUp = () => stop.abort()
  signal.addEventListener('abort', giveUp)
  if (signal.aborted) giveUp()
  const beat = setInterval(
    () =>
      void renewScheduleRun(db, run, OWNED_SECONDS).then(
        (mine) => mine === null && giveUp(),
        () => undefined,
      ),
    (OWNED_SECONDS * 1_000) / 3,
  )
  try {
    const turn = await workOn(deps, run, stop.signal)
    if (turn.kind === 'held') await holdScheduleRun(db, run, turn)
  } catch (error) {
    const until = new Date(deps.now().getTime() + AGAIN_SECONDS * 1_000)
    log.warn({ err: error, schedule: run.schedule, run: run.id }, 'a scheduled run broke off, it goes on')
    await holdScheduleRun(db, run, { until, by: 'work', failed: !signal.aborted }).catch(() => undefined)
  } finally {
    clearInterval(beat)
    signal.removeEventListener('abort', giveUp)
  }
}

/** Step by step, each kept before the next, until it ends, is to wait, or others are to have their turn. */
async function workOn(deps: ScheduleDeps, run: OwnedScheduleRun, signal: AbortSignal): Promise<Turn> {
  const { db } = deps
  const began = performance.now()
  const steps = stepsOf(readAction(run.action))
  let progress = asProgress(run.progress)
  let cost: Cost = run.cost
  let stopping = run.stopping
  while (!signal.aborted) {
    const stepped = performance.now()
    const todo = progress.todo ?? (await domainsOf(db, run.domainId)).map(({ id }) => id)
    const [domainId] = todo
    const now = deps.now()
    if (domainId === undefined) return end(deps, run, progress, cost, 'done')
    const context = await contextOf(deps, run, { domainId, now, signal, hour: progress.hour })
    if (context === undefined) {
      progress = { ...progress, todo: todo.slice(1), state: {} }
      continue
    }
    const closed = stopping ? { until: null, by: 'stopped' } : whyClosed(run, progress, now)
    if (closed !== undefined) {
      const suspended = await steps.suspend?.(context, progress.state)
      const { state = progress.state, spent = {}, busy = false } = suspended ?? {}
      cost = addCost(cost, spent)
      progress = charged(run, { ...progress, todo, state }, spent, now)
      if (stopping && !busy) {
        const text = suspended?.told
        const told = text === undefined ? [] : [{ domain: context.domain.name, text }]
        return end(deps, run, { ...progress, told: [...progress.told, ...told] }, cost, 'stopped')
      }
      const mine = await storeStep(db, run, { progress: { ...progress }, cost, seconds: OWNED_SECONDS })
      if (mine === null) return { kind: 'lost' }
      const again = new Date(now.getTime() + STOPPING_SECONDS * 1_000)
      if (closed.until === null) return { kind: 'held', by: 'work', until: again, stops: true }
      return { kind: 'held', by: closed.by, until: busy && closed.until > again ? again : closed.until }
    }
    const after = await stepOnce(steps, context, { ...progress, todo })
    const { spent = {}, waitSeconds } = after
    cost = addCost(addCost(cost, spent), { seconds: (performance.now() - stepped) / 1_000 })
    progress = charged(run, after.progress, spent, now)
    const mine = await storeStep(db, run, { progress: { ...progress }, cost, seconds: OWNED_SECONDS })
    if (mine === null) return { kind: 'lost' }
    stopping = mine.stopping
    if (stopping) continue
    if (waitSeconds !== undefined) {
      return { kind: 'held', until: new Date(now.getTime() + waitSeconds * 1_000), by: 'work' }
    }
    if (performance.now() - began > TURN_MS) break
  }
  // Behind those that wait already.
  return { kind: 'held', until: deps.now(), by: null }
}

/** The progress with the tokens that were spent in its hour. */
function charged(
  { tokensAnHour }: OwnedScheduleRun,
  progress: Progress,
  { tokens = 0 }: Cost,
  now: Date,
): Progress {
  if (tokensAnHour === null || tokens === 0) return progress
  return { ...progress, hour: spend(progress.hour, tokens, tokensAnHour, now) }
}

async function contextOf(
  deps: ScheduleDeps,
  run: OwnedScheduleRun,
  at: {
    readonly domainId: number
    readonly now: Date
    readonly signal: AbortSignal
    readonly hour: Progress['hour']
  },
): Promise<StepContext | undefined> {
  const [row] = await domainsOf(deps.db, at.domainId)
  if (row === undefined) return undefined
  const domain = await findDomain(deps, row.name).catch((error: unknown) => {
    if (codeOf(error) === 'UNKNOWN_DOMAIN') return undefined
    throw error
  })
  if (domain === undefined) return undefined
  const { now, signal, hour } = at
  const { schedule, scheduleId, tokensAnHour } = run
  const tokensLeft = tokensAnHour === null ? null : leftOf(hour, tokensAnHour, now)
  return { deps, domain, schedule, scheduleId, run: run.id, tokensLeft, now, signal }
}

/** Why nothing may be done now, and until when. */
function whyClosed(
  { opens, tokensAnHour }: OwnedScheduleRun,
  { hour }: Progress,
  now: Date,
): { readonly until: Date; readonly by: string } | undefined {
  if (opens !== null && !isOpen(opens, now)) return { until: opensAt(opens, now), by: 'window' }
  const until = tokensAnHour === null ? null : freeAt(hour, tokensAnHour, now)
  return until === null ? undefined : { until, by: 'tokens' }
}

/** One step in one domain; what is that domain's own fault ends it there, and the other domains have theirs. */
async function stepOnce(steps: Steps, context: StepContext, progress: Progress) {
  const { name } = context.domain
  try {
    return afterStep(progress, name, await steps.step(context, progress.state))
  } catch (error) {
    if (context.signal.aborted || !(error instanceof CodedError) || error.retryable) throw error
    return afterStep(progress, name, { problem: { code: error.code, message: messageOf(error) } })
  }
}

async function end(
  deps: ScheduleDeps,
  run: OwnedScheduleRun,
  progress: Progress,
  cost: Cost,
  outcome: 'done' | 'stopped',
): Promise<Turn> {
  const problem = problemIn(progress)
  const alarm = progress.alarms.length === 0 ? null : progress.alarms.join('\n')
  const { schedule, id, domainId } = run
  if (alarm !== null) deps.log.warn({ schedule, run: id, alarm }, 'a schedule raises an alarm')
  if (problem !== null) deps.log.warn({ schedule, run: id, ...problem }, 'a scheduled run failed')
  const isMine = await endScheduleRun(deps.db, run, {
    outcome: outcome === 'done' && problem !== null ? 'failed' : outcome,
    now: deps.now(),
    cost: { ...cost, seconds: Math.round((cost.seconds ?? 0) * 10) / 10 },
    summary: summaryOf(progress, domainId === null),
    alarm,
    error: outcome === 'done' ? problem : null,
  })
  return { kind: isMine ? 'ended' : 'lost' }
}
