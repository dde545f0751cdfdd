import { codeOf, messageOf } from '@millrace/errors'
import {
  buildLeft,
  countOlder,
  type GenerationRow,
  getGeneration,
  listGenerations,
  pauseBuilding,
  retryFailed,
} from '@millrace/store'
import { isExternal } from '../../external.js'
import { nextRecipe } from '../../generations/recipe.js'
import { canonicalJson } from '../../recipe.js'
import type { Reembed } from '../action.js'
import {
  addCost,
  countsOf,
  numberAt,
  type State,
  type StepContext,
  type StepResult,
  type Steps,
} from '../step.js'
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
  suspend: async ({ deps }, state) => {
    const generation = numberAt(state, 'generation')
    if (generation === undefined || state.suspended === true) return { state }
    const row = await buildingRow(deps.db, generation, numberAt(state, 'domain'))
    // Whoever paused it themselves wants it to stay so.
    if (row === undefined || row.paused) return { state }
    const suspended = await pauseBuilding(deps.db, generation, true)
    return { state: { ...state, suspended }, told: `generation ${generation} is paused` }
  },
})

const buildingRow = async (
  on: Parameters<typeof getGeneration>[0],
  generation: number,
  domain: number | undefined,
): Promise<GenerationRow | undefined> => {
  const row = domain === undefined ? undefined : await getGeneration(on, domain, generation)
  return row?.state === 'building' ? row : undefined
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
  const { deps, domain, now } = context
  const old =
    action.olderThanDays === null ? undefined : new Date(now.getTime() - action.olderThanDays * DAY_MS)
  const older =
    old === undefined || isExternal(domain) ? 0 : await countOlder(deps.db, domain.generationId, old)
  const isStale = action.recipe && isOutdated(context)
  if (!isStale && older === 0) {
    const asked = action.recipe || old !== undefined
    return { done: ended(state, ...(asked ? ['nothing is stale'] : [])) || 'no document is failed' }
  }
  const building = (await listGenerations(deps.db, domain.id)).find((row) => row.state === 'building')
  if (state.beginning !== true) {
    if (building === undefined) return { next: { ...state, beginning: true } }
    const how = building.paused ? ', and paused' : ''
    return { done: ended(state, `generation ${building.id} is being built already${how}`) }
  }
  // There was none a moment ago: whoever began it for this run died before that was kept.
  if (building !== undefined) return { next: { ...state, generation: building.id, domain: domain.id } }
  try {
    const { id } = await deps.beginGeneration(domain, {
      switch: action.switch,
      ...(older > 0 ? { copySince: old } : {}),
    })
    return { next: { ...state, generation: id, domain: domain.id }, waitSeconds: LOOK_SECONDS }
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
  const { deps, domain } = context
  const row = await getGeneration(deps.db, domain.id, id)
  if (row === undefined) return { done: ended(state, `generation ${id} is gone`) }
  const spent = addCost(
    {},
    {
      tokens: Math.max(0, row.tokensEmbedded - (numberAt(state, 'tokens') ?? 0)),
      texts: Math.max(0, row.textsEmbedded - (numberAt(state, 'texts') ?? 0)),
    },
  )
  const next = { ...state, tokens: row.tokensEmbedded, texts: row.textsEmbedded }
  if (row.errorCode !== null) {
    const problem = `generation ${id} cannot be built: ${row.errorCode} ${row.errorMessage ?? ''}`
    return { spent, done: ended(state, problem), alarm: problem }
  }
  if (row.state === 'ending' || row.state === 'ended') {
    return { spent, done: ended(state, `generation ${id} was ${row.endedBy ?? 'ended'}`) }
  }
  if (row.state !== 'building') return { spent, done: ended(state, `generation ${id} is ${row.state}`) }
  if (row.builtAt !== null && !row.switchWhenBuilt) {
    return { spent, done: ended(state, `generation ${id} is built, and waits to be switched to`) }
  }
  const left = row.filledAt === null ? undefined : await buildLeft(deps.db, id)
  if (left !== undefined && left.open === 0 && left.failed > 0) {
    const problem = `${left.failed} documents failed in generation ${id}`
    return { spent, done: ended(state, problem), alarm: problem }
  }
  if (row.builtAt !== null && isRefused(row)) {
    const problem = `generation ${id} is built, and its gate refused it`
    return { spent, done: ended(state, problem), alarm: problem }
  }
  if (state.suspended === true) await pauseBuilding(deps.db, id, false)
  return { spent, next: { ...next, suspended: false }, waitSeconds: LOOK_SECONDS }
}

const isRefused = ({ gated }: GenerationRow): boolean => gated?.passed === false
