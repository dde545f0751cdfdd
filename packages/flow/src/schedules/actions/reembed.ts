import { codeOf, messageOf } from '@millrace/errors'
import {
  allowTokens,
  buildLeft,
  countOlder,
  type GenerationRow,
  getGeneration,
  isLeased,
  listGenerations,
  pauseBuilding,
  resumeBuilding,
  retryFailed,
} from '@millrace/store'
import { isExternal } from '../../external.js'
import { nextRecipe } from '../../generations/recipe.js'
import { canonicalJson } from '../../recipe.js'
import type { Reembed } from '../action.js'
import { countsOf, numberAt, type State, type StepContext, type StepResult, type Steps } from '../step.js'
import { awaitSubmitted } from './submitted.js'

/** Failed documents that are tried again together: the next ones begin when these are done. */
const SLICE = 200
const LOOK_SECONDS = 5
const DAY_MS = 24 * 3_600_000

/** Tries failed documents again, then makes what is stale anew as a generation beside the live one. */
export const reembedding = (action: Reembed): Steps => ({
  step: async (context, state) => {
    const waiting = await awaitSubmitted(context, state)
    if (waiting !== undefined) return waiting
    if (action.failed && state.retried !== true) return retry(context, state)
    const generation = numberAt(state, 'generation')
    if (generation !== undefined) return follow(context, state, generation)
    return begin(context, state, action)
  },
  suspend: async ({ deps, domain, scheduleId }, state) => {
    const generationId = numberAt(state, 'generation')
    const row = generationId === undefined ? undefined : await getGeneration(deps.db, domain.id, generationId)
    if (generationId === undefined || row === undefined) return { state }
    const counted = count(row, state)
    const suspended = { state: counted.next, spent: counted.spent }
    // Whoever paused it themselves wants it to stay so.
    const isPaused =
      row.waitsFor === scheduleId || (await pauseBuilding(deps.db, { generationId, scheduleId }))
    if (!isPaused) return suspended
    const busy = await isLeased(deps.db, generationId)
    return { ...suspended, busy, told: `generation ${generationId} is paused` }
  },
})

/** What was embedded of it since this run last looked. */
function count(row: GenerationRow, state: State) {
  const spent = {
    tokens: Math.max(0, row.tokensEmbedded - (numberAt(state, 'tokens') ?? 0)),
    texts: Math.max(0, row.textsEmbedded - (numberAt(state, 'texts') ?? 0)),
  }
  return { spent, next: { ...state, tokens: row.tokensEmbedded, texts: row.textsEmbedded } }
}

async function retry({ deps, domain }: StepContext, state: State): Promise<StepResult> {
  const of = { after: numberAt(state, 'after') ?? 0, limit: SLICE, ownedSeconds: deps.settings.ownedSeconds }
  const retried = await deps.db.transact((tx) => retryFailed(tx, domain.id, of))
  if (retried === undefined) return { next: { ...state, retried: true } }
  // Where the queue is away the rows stay received, and the sweep enqueues them.
  await deps.queues.addPrepare(retried.ranges).catch(() => undefined)
  const { documents, ingestion, last } = retried
  return { spent: { documents }, next: { ...state, after: last, ingestion } }
}

const tried = (state: State): string[] => {
  const { ready = 0, failed = 0 } = countsOf(state)
  return ready + failed === 0 ? [] : [`of ${ready + failed} failed documents ${ready} are ready now`]
}

const ended = (state: State, ...more: string[]): string => [...tried(state), ...more].join('; ')

async function begin(context: StepContext, state: State, action: Reembed): Promise<StepResult> {
  const { deps, domain, now, scheduleId } = context
  const building = (await listGenerations(deps.db, domain.id)).find((row) => row.state === 'building')
  if (building?.waitsFor === scheduleId) {
    return { next: count(building, { ...state, generation: building.id }).next }
  }
  const old =
    action.olderThanDays === null ? undefined : new Date(now.getTime() - action.olderThanDays * DAY_MS)
  const older =
    old === undefined || isExternal(domain) ? 0 : await countOlder(deps.db, domain.generationId, old)
  const isStale = action.recipe && isOutdated(context)
  if (!isStale && older === 0) {
    const asked = action.recipe || old !== undefined
    return { done: ended(state, ...(asked ? ['nothing is stale'] : [])) || 'no document is failed' }
  }
  if (state.beginning !== true) {
    if (building === undefined) return { next: { ...state, beginning: true } }
    const said = `generation ${building.id} is being built already`
    if (!building.paused) return { done: ended(state, said) }
    const problem = `${said}, and is paused: nothing is made anew until somebody resumes or cancels it`
    return { done: ended(state, problem), alarm: problem }
  }
  // There was none a moment ago: whoever began it for this run died before that was kept.
  if (building !== undefined) return { next: { ...state, generation: building.id } }
  try {
    const { id } = await deps.beginGeneration(domain, {
      switch: action.switch,
      ...(older > 0 ? { copySince: old } : {}),
    })
    await allow(context, id, 0)
    return { next: { ...state, generation: id }, waitSeconds: LOOK_SECONDS }
  } catch (error) {
    const code = codeOf(error)
    if (code === 'NOTHING_CHANGES') return { done: ended(state, 'nothing is stale') }
    if (code === 'GENERATION_EXISTS') return { done: ended(state, messageOf(error)) }
    throw error
  }
}

/** Whether the same wishes would be made into another recipe today. */
function isOutdated({ deps, domain }: StepContext): boolean {
  if (isExternal(domain)) return false
  const { recipe } = nextRecipe(domain.recipe, deps.engine.manifest(domain.model), {})
  return canonicalJson(recipe) !== canonicalJson(domain.recipe)
}

/** Looks how far the generation is; it is built by whoever builds all of them. */
async function follow(context: StepContext, state: State, id: number): Promise<StepResult> {
  const { deps, domain, scheduleId } = context
  const row = await getGeneration(deps.db, domain.id, id)
  if (row === undefined) return { done: ended(state, `generation ${id} is gone`) }
  const { spent, next } = count(row, state)
  const over = await overWith(context, state, row)
  if (over !== undefined) {
    await allowTokens(deps.db, id, null)
    return { spent, ...over }
  }
  await allow(context, id, row.tokensEmbedded, spent.tokens)
  await resumeBuilding(deps.db, { generationId: id, scheduleId })
  return { spent, next, waitSeconds: LOOK_SECONDS }
}

/** Lets be embedded of it what is left of the hour. */
async function allow(
  { deps, tokensLeft }: StepContext,
  id: number,
  embedded: number,
  spent = 0,
): Promise<void> {
  const allowed = tokensLeft === null ? null : { left: Math.max(0, tokensLeft - spent), embedded }
  await allowTokens(deps.db, id, allowed)
}

/** Why there is nothing more to follow; undefined: it is being built. */
async function overWith(
  { deps }: StepContext,
  state: State,
  row: GenerationRow,
): Promise<{ readonly done: string; readonly alarm?: string } | undefined> {
  const { id } = row
  if (row.errorCode !== null) {
    const problem = `generation ${id} cannot be built: ${row.errorCode} ${row.errorMessage ?? ''}`
    return { done: ended(state, problem), alarm: problem }
  }
  if (row.state === 'ending' || row.state === 'ended') {
    return { done: ended(state, `generation ${id} was ${row.endedBy ?? 'ended'}`) }
  }
  if (row.state !== 'building') return { done: ended(state, `generation ${id} is ${row.state}`) }
  if (row.builtAt !== null && !row.switchWhenBuilt) {
    return { done: ended(state, `generation ${id} is built, and waits to be switched to`) }
  }
  const left = row.filledAt === null ? undefined : await buildLeft(deps.db, id)
  if (left !== undefined && left.open === 0 && left.failed > 0) {
    const problem = `${left.failed} documents failed in generation ${id}`
    return { done: ended(state, problem), alarm: problem }
  }
  if (row.builtAt !== null && isRefused(row)) {
    const problem = `generation ${id} is built, and its gate refused it`
    return { done: ended(state, problem), alarm: problem }
  }
  return undefined
}

const isRefused = ({ gated }: GenerationRow): boolean => gated?.passed === false
