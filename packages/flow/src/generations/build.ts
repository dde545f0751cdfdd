import { setTimeout as sleep } from 'node:timers/promises'
import type { Engine } from '@millrace/embed'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import {
  type ClaimedBeside,
  type CopyOptions,
  claimBeside,
  copyBeside,
  type Db,
  failBeside,
  fillGeneration,
  finishGeneration,
  type GenerationRow,
  type Kept,
  listGenerations,
  listInState,
  noteTrouble,
  type PreparedDocument,
  releaseBeside,
  renewBeside,
  storeBeside,
} from '@millrace/store'
import { externalRecipe, isExternal } from '../external.js'
import { requireSameModel } from '../models.js'
import type { Preparer } from '../preparer.js'
import type { Recipe } from '../recipe.js'
import { rescaleTerms, USUAL_TOKENS } from '../search/terms.js'
import type { Settings } from '../settings.js'
import { copiesOf } from './copies.js'

export interface BuildDeps {
  readonly db: Db
  readonly engine: Pick<Engine, 'dir' | 'manifest'>
  readonly preparer: Preparer
  readonly settings: Pick<Settings, 'ownedSeconds' | 'indexRowsMin'>
}

/** Documents that are claimed at once: to be cut, whose texts are held here, and to be copied. */
const CLAIMED_TO_CUT = 16
const CLAIMED_TO_COPY = { server: 500, embedded: 200 } as const
/** Chunks in one transaction, so that it stays short. */
const CHUNKS_A_WRITE = 256
const CHUNKS_A_COPY = { server: 2_000, embedded: 500 } as const
/** On PGlite whoever searches waits for what is written meanwhile: the next write leaves room for them, at most so long. */
const REST_MS_MAX = 1_000

/**
 * Brings documents to the generations that are not live, until there is nothing more to do now or `signal` stops it:
 * those that are being built, and retired ones that follow. Any number of workers may do it side by side; each takes
 * documents that nobody has, and where one stopped another goes on. Returns how many documents it took in hand.
 */
export async function buildGenerations(deps: BuildDeps, signal?: AbortSignal): Promise<number> {
  let taken = 0
  for (;;) {
    const listed = await listInState(deps.db, ['building', 'retired'])
    const open = listed.filter(({ state, follows, paused }) => (state === 'building' || follows) && !paused)
    let isBusy = false
    for (const generation of open) {
      if (signal?.aborted) return taken
      const from = performance.now()
      const step = await buildStep(deps, generation, signal)
      taken += step.documents
      isBusy ||= step.isBusy
      if (step.isBusy && deps.db.kind === 'embedded') {
        await sleep(Math.min(REST_MS_MAX, (performance.now() - from) / generation.weight))
      }
    }
    if (!isBusy) return taken
  }
}

interface Step {
  readonly documents: number
  /** There may be more to do at once. */
  readonly isBusy: boolean
}

const IDLE: Step = { documents: 0, isBusy: false }

async function buildStep(
  deps: BuildDeps,
  generation: GenerationRow,
  signal: AbortSignal | undefined,
): Promise<Step> {
  if (!(await canBeMade(deps, generation))) return IDLE
  const filled = await fillGeneration(deps.db, generation.id)
  const sources = sourcesOf(generation, await listGenerations(deps.db, generation.domainId))
  const claimed = await claimBeside(deps.db, generation.id, {
    chunksFrom: sources.chunksFrom,
    documents: sources.chunksFrom === null ? CLAIMED_TO_CUT : CLAIMED_TO_COPY[deps.db.kind],
    ownedSeconds: deps.settings.ownedSeconds,
  })
  if (claimed.length > 0) await takeIn(deps, { generation, sources, claimed, signal })
  else if (filled) await finishGeneration(deps.db, generation.id, deps.settings)
  return { documents: claimed.length, isBusy: claimed.length > 0 || !filled }
}

/** Why its build stands still is written down for whoever asks, and taken back when it goes on. */
async function canBeMade({ db, engine }: BuildDeps, generation: GenerationRow): Promise<boolean> {
  const trouble = troubleOf(engine, generation)
  if (trouble !== null || (generation.errorCode !== null && TROUBLES.has(generation.errorCode))) {
    await noteTrouble(db, generation.id, trouble)
  }
  return trouble === null
}

const TROUBLES = new Set(['UNKNOWN_MODEL', 'MODEL_CHANGED'])

function troubleOf(
  engine: Pick<Engine, 'manifest'>,
  generation: GenerationRow,
): { readonly code: string; readonly message: string } | null {
  try {
    requireSameModel(engine, recipeOfRow(generation))
    return null
  } catch (error) {
    if (!TROUBLES.has(codeOf(error))) throw error
    return { code: codeOf(error), message: messageOf(error) }
  }
}

/** Only what recipeOf wrote is ever stored, so what comes out is one. */
const recipeOfRow = (row: GenerationRow): Recipe =>
  isExternal(row) ? externalRecipe() : (row.recipe as unknown as Recipe)

interface Sources {
  /** Where the same chunks are. */
  readonly chunksFrom: number | null
  readonly copy: CopyOptions | null
}

/** What a generation takes from others of its domain. */
function sourcesOf(to: GenerationRow, all: readonly GenerationRow[]): Sources {
  const live = all.find(({ state }) => state === 'live')
  const named = all.find(({ id, state }) => id === to.copiesFrom && (state === 'live' || state === 'retired'))
  // One that was live itself takes what it has missed from whichever is live now; vectors of others' nobody can compute.
  const from = named ?? (to.state === 'retired' || isExternal(to) ? live : undefined)
  const made = (row: GenerationRow) => ({ ...row, recipe: recipeOfRow(row) })
  const isTaken = from !== undefined && copiesOf(made(from), made(to)) !== undefined
  return {
    chunksFrom: live !== undefined && live.recipeHash === to.recipeHash ? live.id : null,
    copy: isTaken ? copyOptions(from, to) : null,
  }
}

function copyOptions(from: GenerationRow, to: GenerationRow): CopyOptions {
  const usual = { from: usualTokens(from), to: usualTokens(to) }
  const isSame = to.lexical !== 'bm25' || usual.from === usual.to
  return {
    from: keptOf(from),
    to: keptOf(to),
    since: to.state === 'building' ? to.copiesSince : null,
    reweigh: isSame ? null : (terms, tokens) => rescaleTerms(terms, tokens, usual),
  }
}

const usualTokens = (row: GenerationRow): number => recipeOfRow(row).chunking.size ?? USUAL_TOKENS

const keptOf = ({ id, storage, dims, lexical, outputs }: GenerationRow): Kept => ({
  id,
  storage,
  dims,
  lexical,
  colbert: outputs.includes('colbert'),
})

interface Taking {
  readonly generation: GenerationRow
  readonly sources: Sources
  readonly claimed: readonly ClaimedBeside[]
  readonly signal: AbortSignal | undefined
}

/** What was not begun when it stops, or breaks off, is given back; what broke it off is tried again when its time is up. */
async function takeIn(deps: BuildDeps, taking: Taking): Promise<void> {
  const { generation, claimed } = taking
  const { ownedSeconds } = deps.settings
  const left = new Set(claimed.map(({ id }) => id))
  const beat = setInterval(
    () => void renewBeside(deps.db, generation.id, [...left], ownedSeconds).catch(() => undefined),
    (ownedSeconds * 1_000) / 3,
  )
  try {
    await copyClaimed(deps, taking, left)
    await prepareClaimed(deps, taking, left)
  } finally {
    clearInterval(beat)
    await releaseBeside(deps.db, generation.id, [...left])
  }
}

async function copyClaimed(
  { db, settings }: BuildDeps,
  { generation, sources, claimed, signal }: Taking,
  left: Set<number>,
): Promise<void> {
  const { chunksFrom, copy } = sources
  if (chunksFrom === null) return
  const { ownedSeconds } = settings
  for (const group of groupsOf(
    claimed.filter(({ copied }) => copied),
    CHUNKS_A_COPY[db.kind],
  )) {
    if (signal?.aborted) return
    await copyBeside(db, { generationId: generation.id, copy, ownedSeconds, chunksFrom }, group)
    for (const { id } of group) left.delete(id)
  }
}

/** In their order, as many as have so many chunks together; one with more is a group of its own. */
function groupsOf(claimed: readonly ClaimedBeside[], chunksMax: number): ClaimedBeside[][] {
  const groups: ClaimedBeside[][] = []
  let chunks = Number.POSITIVE_INFINITY
  for (const document of claimed) {
    const more = document.chunks ?? 1
    if (chunks + more > chunksMax) {
      groups.push([])
      chunks = 0
    }
    groups.at(-1)?.push(document)
    chunks += more
  }
  return groups
}

interface Failed {
  readonly id: number
  readonly revision: number
  readonly code: string
  readonly message: string
}

async function prepareClaimed(deps: BuildDeps, taking: Taking, left: Set<number>): Promise<void> {
  const { generation, sources, claimed, signal } = taking
  let batch: PreparedDocument[] = []
  let failed: Failed[] = []
  const write = async () => {
    await failBeside(deps.db, generation.id, failed)
    if (batch.length > 0) {
      const { ownedSeconds } = deps.settings
      await storeBeside(deps.db, { generationId: generation.id, copy: sources.copy, ownedSeconds }, batch)
    }
    for (const { id } of [...batch, ...failed]) left.delete(id)
    batch = []
    failed = []
  }
  const toCut = claimed.filter(({ copied }) => !copied)
  try {
    for (const document of toCut) {
      if (signal?.aborted) break
      const outcome = await prepareOne(deps, generation, document).catch((error: unknown) => {
        left.delete(document.id)
        throw error
      })
      if ('code' in outcome) failed.push(outcome)
      else batch.push(outcome)
      if (batch.reduce((sum, { chunks }) => sum + chunks.length, 0) >= CHUNKS_A_WRITE) await write()
    }
  } finally {
    await write()
  }
}

async function prepareOne(
  { engine, preparer }: BuildDeps,
  generation: GenerationRow,
  { id, revision, title, text, layout }: ClaimedBeside,
): Promise<PreparedDocument | Failed> {
  if (isExternal(generation)) {
    const message = 'Its vectors are not in the live generation any more'
    return { id, revision, code: 'PREPARE_FAILED', message }
  }
  try {
    const prepared = await preparer.prepare({
      modelDir: engine.dir(generation.model),
      recipe: recipeOfRow(generation),
      document: { title, text, layout: layout ?? undefined },
    })
    return { id, revision, ...prepared }
  } catch (error) {
    if (error instanceof CodedError && error.retryable) throw error
    return { id, revision, code: codeOf(error), message: messageOf(error) }
  }
}
