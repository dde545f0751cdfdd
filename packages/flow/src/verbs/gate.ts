import type { Engine } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import {
  beginGate,
  comparableOf,
  type Db,
  type GenerationRow,
  gateFacts,
  getRun,
  indexFacts,
  keepGated,
  type OwnedRun,
  releaseRun,
  sampleQueries,
  sampleTexts,
  sampleVectors,
  topsOf,
} from '@millrace/store'
import { isExternal } from '../external.js'
import {
  AGAIN_MS,
  checkGate,
  type FoundPair,
  type GateSettings,
  type GoldenEvidence,
  gateSettings,
  inputsOf,
  isStill,
  judgeGolden,
  judgeOverlap,
  OVERLAP_DEPTH,
} from '../generations/gate.js'
import {
  emptyReport,
  failedReport,
  type GateHead,
  type GateReport,
  goldenReport,
  overlapReport,
  runningReport,
  unreadableReport,
  withoutSetReport,
} from '../generations/gate-report.js'
import { generationEnded } from '../generations/switch.js'
import { failRun, planRun, QUESTIONS_AT_ONCE, workOn } from '../golden/run.js'
import { modelChanged } from '../models.js'
import { type Attempt, attempt } from '../search/asked.js'
import { openQueryCache } from '../search/cache.js'
import { type Domain, findDomainAt, requireGeneration, unknownGeneration } from './domains.js'
import { type SearchRequest, searchMany } from './search.js'

interface Deps {
  readonly db: Db
  readonly engine: Engine
}

export interface GateOptions {
  /** Measure anew, also where nothing has changed. Default false. */
  readonly fresh?: boolean | undefined
  /** Nobody asked for it: a verdict of late will do, whatever came meanwhile. Default false. */
  readonly isAutomatic?: boolean | undefined
  /** Default: the clock. */
  readonly now?: (() => Date) | undefined
}

/** Hits that count in a golden run of a gate; all measures look at 10 in any case. */
const K = 10
/** Texts of each kind that are searched for where there is no golden set, and how long that may take. */
const SAMPLE = 200
const BUDGET_MS = 60_000
/** Of a stored text: about as much as people ask. */
const SAMPLE_CHARS = 300
/** Chunks that are found for so many documents. */
const OVERLAP_HITS = 3 * OVERLAP_DEPTH
/** Embedded together. */
const SLICE = 16

/**
 * Whether another generation of a domain finds as well as the live one: by the golden set, else by how much both find
 * alike. A set of more than 200 questions is asked by workers: the report says `running` until that is done. What came of
 * it is kept with the generation, and is not worked out again while nothing has changed.
 * @param domain live
 * @throws CodedError UNKNOWN_GENERATION, GENERATION_ENDED, SAME_GENERATION for the live one
 */
export async function runGate(
  deps: Deps,
  domain: Domain,
  id: string,
  { fresh = false, isAutomatic = false, now = () => new Date() }: GateOptions = {},
): Promise<GateReport> {
  const row = await requireOther(deps, domain, id)
  const other = await findDomainAt(deps, domain.name, id)
  const settings = gateSettings(checkGate(row.gate))
  const facts = await gateFacts(deps.db, domain.id, [domain.generationId, other.generationId])
  const inputs = inputsOf(facts, settings, domain.search, domain.generationId)
  const last = await settled(deps, row, now)
  if (last?.state === 'running') return last
  const isNew = gatedOf(row)?.state === 'running' && last?.inputs.asked === inputs.asked
  const patienceMs = isAutomatic ? AGAIN_MS : 0
  if (last !== null && (isNew || (!fresh && isStill(last, inputs, { now: now(), patienceMs })))) return last
  const head = {
    live: String(domain.generationId),
    other: String(other.generationId),
    settings,
    inputs,
    startedAt: now().toISOString(),
  }
  const sides = { live: domain, other }
  if ((facts.published[0]?.documents ?? 0) === 0) return keep(deps, row, emptyReport(head, now()))
  const changed = modelChanged(deps.engine, domain.recipe)
  if (changed !== undefined && modelChanged(deps.engine, other.recipe) === undefined) {
    return keep(deps, row, unreadableReport(head, changed, now()))
  }
  if (facts.questions > 0 && !isExternal(domain)) return byGolden(deps, sides, row, head, now)
  if (settings.required === 'golden') return keep(deps, row, withoutSetReport(head, now()))
  return keep(deps, row, await byOverlap(deps, sides, head, now))
}

/** What a gate came to last, or where it is; nothing is measured. Null: it never ran. @throws CodedError UNKNOWN_GENERATION */
export async function lastGate(
  deps: Pick<Deps, 'db'>,
  domain: Domain,
  id: string,
): Promise<{ readonly settings: GateSettings; readonly report: GateReport | null }> {
  const row = await requireGeneration(deps, domain, id)
  return { settings: gateSettings(checkGate(row.gate)), report: await settled(deps, row, () => new Date()) }
}

/** What a gate came to last, as long as nothing that it rests on has changed; null: it would have to be asked. */
export async function standingGate(
  deps: Pick<Deps, 'db'>,
  domain: Domain,
  id: string,
): Promise<GateReport | null> {
  const now = () => new Date()
  const row = await requireGeneration(deps, domain, id)
  const facts = await gateFacts(deps.db, domain.id, [domain.generationId, row.id])
  const inputs = inputsOf(facts, gateSettings(checkGate(row.gate)), domain.search, domain.generationId)
  const last = await settled(deps, row, now)
  return last?.state === 'done' && isStill(last, inputs, { now: now(), patienceMs: 0 }) ? last : null
}

/** A gate as a switch asks for it. */
export const gateOf =
  (deps: Deps, options: GateOptions = {}) =>
  async (domain: Domain, generation: Pick<GenerationRow, 'id'>) => {
    const report = await runGate(deps, domain, String(generation.id), options)
    return { passed: report.passed, report }
  }

async function requireOther(deps: Deps, domain: Domain, id: string): Promise<GenerationRow> {
  const row = await requireGeneration(deps, domain, id)
  if (row.state === 'ending' || row.state === 'ended') throw generationEnded(row)
  if (row.id !== domain.generationId) return row
  throw new CodedError('SAME_GENERATION', `Generation ${id} is the live one: it is what others are held to`, {
    hint: 'Name the one that is to take over',
    details: { id },
  })
}

/** Only what this module wrote is ever stored. */
const gatedOf = ({ gated }: GenerationRow): GateReport | null => gated as unknown as GateReport | null

async function keep({ db }: Pick<Deps, 'db'>, row: GenerationRow, report: GateReport): Promise<GateReport> {
  await keepGated(db, { domainId: row.domainId, generationId: row.id }, { ...report })
  return report
}

type Clock = () => Date

/** What is kept, decided where its runs have ended since; null: nothing, or its runs are gone. */
async function settled(deps: Pick<Deps, 'db'>, row: GenerationRow, now: Clock): Promise<GateReport | null> {
  const last = gatedOf(row)
  if (last === null || last.state === 'done' || last.runs === null) return last
  const { db } = deps
  const { runs } = last
  const [live, other] = await Promise.all([
    getRun(db, row.domainId, Number(runs.live)),
    getRun(db, row.domainId, Number(runs.other)),
  ])
  if (live === undefined || other === undefined) return null
  for (const [run, whose] of [
    [live, last.live],
    [other, last.other],
  ] as const) {
    if (run.state !== 'failed') continue
    const error = { code: run.errorCode ?? 'INTERNAL', message: run.errorMessage ?? '' }
    return keep(deps, row, failedReport(last, error, whose, now(), runs))
  }
  if (live.state === 'running' || other.state === 'running') return last
  const [before, after] = await Promise.all([comparableOf(db, live.id), comparableOf(db, other.id)])
  const found = judgeGolden(before, after, last.settings)
  return keep(deps, row, goldenReport(last, runs, await withInstead(db, other.id, found), now()))
}

async function withInstead(db: Db, run: number, found: GoldenEvidence): Promise<GoldenEvidence> {
  const { first, total } = found.worse
  const tops = await topsOf(
    db,
    run,
    first.map(({ id }) => id),
  )
  const named = first.map((one) => ({
    ...one,
    instead: tops.get(one.id)?.map(({ documentId, score }) => ({ documentId, score })) ?? null,
  }))
  return { ...found, worse: { total, first: named } }
}

interface Sides {
  readonly live: Domain
  readonly other: Domain
}

async function byGolden(
  deps: Deps,
  sides: Sides,
  row: GenerationRow,
  head: GateHead,
  now: Clock,
): Promise<GateReport> {
  const plan = (domain: Domain) =>
    attempt(() => planRun(deps, domain, { k: K, threshold: null, note: `gate ${row.id}`, purpose: 'gate' }))
  const [live, other] = [plan(sides.live), plan(sides.other)]
  if ('error' in live) return keep(deps, row, failedReport(head, live.error, head.live, now()))
  if ('error' in other) return keep(deps, row, failedReport(head, other.error, head.other, now()))
  const begun = await beginGate(
    deps.db,
    { domainId: row.domainId, generationId: row.id },
    [live, other],
    ([one, two]) => ({
      ...runningReport(head, { live: String(one?.id), other: String(two?.id) }, one?.questions ?? 0),
    }),
  )
  if (begun === undefined) throw unknownGeneration(sides.live, String(row.id))
  if (begun !== 'busy' && (begun[0]?.questions ?? 0) <= QUESTIONS_AT_ONCE) {
    const bulk = { ...deps, priority: 'bulk' as const }
    const owners = [live.owner.id, other.owner.id]
    for (const [n, domain] of [sides.live, sides.other].entries()) {
      const run = begun[n]
      if (run !== undefined)
        await work(bulk, domain, { ...run, owner: owners[n] ?? '', domainId: row.domainId })
    }
  }
  const { report } = await lastGate(deps, sides.live, String(row.id))
  if (report === null) throw unknownGeneration(sides.live, String(row.id))
  return report
}

/** What may pass leaves the run to a worker. */
async function work(
  deps: Deps & { readonly priority: 'bulk' },
  domain: Domain,
  run: OwnedRun,
): Promise<void> {
  try {
    await workOn(deps, domain, run)
  } catch (error) {
    if (error instanceof CodedError && !error.retryable) {
      await failRun(deps.db, run, error)
      return
    }
    await releaseRun(deps.db, run).catch(() => undefined)
    throw error
  }
}

async function byOverlap(deps: Deps, sides: Sides, head: GateHead, now: Clock): Promise<GateReport> {
  const sample = await sampleOf(deps, sides.live)
  const pairs: { readonly isStored: boolean; readonly pair: FoundPair }[] = []
  const end = performance.now() + BUDGET_MS
  let done = 0
  for (; done < sample.length && performance.now() < end; done += SLICE) {
    const slice = sample.slice(done, done + SLICE)
    const requests = slice.map(({ request }) => request)
    const live = await foundBy(deps, sides.live, requests)
    if ('error' in live) return failedReport(head, live.error, head.live, now())
    const other = await foundBy(deps, sides.other, requests)
    if ('error' in other) return failedReport(head, other.error, head.other, now())
    slice.forEach(({ isStored }, n) => {
      const [one, two] = [live.found[n], other.found[n]]
      if (one != null && two != null) pairs.push({ isStored, pair: { live: one, other: two } })
    })
  }
  const of = (wanted: boolean) => pairs.flatMap(({ isStored, pair }) => (isStored === wanted ? pair : []))
  return overlapReport(head, judgeOverlap(of(true), of(false), done >= sample.length), now())
}

/** Stored texts and logged queries by turns, so that a time that is up cuts both alike. */
async function sampleOf({ db }: Deps, domain: Domain) {
  const options = { k: OVERLAP_HITS, threshold: null }
  const stored = isExternal(domain)
    ? (await storedVectors(db, domain)).map((vector) => ({
        ...options,
        vector,
        mode: 'dense' as const,
        rerank: null,
      }))
    : (await sampleTexts(db, domain.generationId, { limit: SAMPLE, chars: SAMPLE_CHARS })).map((query) => ({
        ...options,
        query,
      }))
  const queries = isExternal(domain) ? [] : await sampleQueries(db, domain.id, SAMPLE)
  return Array.from({ length: Math.max(stored.length, queries.length) }, (_, n) => {
    const [request, query] = [stored[n], queries[n]]
    return [
      ...(request === undefined ? [] : [{ isStored: true, request }]),
      ...(query === undefined ? [] : [{ isStored: false, request: { ...options, query } }]),
    ]
  }).flat()
}

async function storedVectors(db: Db, domain: Domain): Promise<number[][]> {
  const { vectors } = await indexFacts(db, domain.generationId)
  const sample = await sampleVectors(db, domain, { vectors, limit: SAMPLE })
  return sample.map((vector) => JSON.parse(vector) as number[])
}

/** Documents of each request, best first, each once; null of one that alone cannot be asked. */
async function foundBy(
  deps: Deps,
  domain: Domain,
  requests: readonly SearchRequest[],
): Promise<Attempt<{ readonly found: readonly (readonly string[] | null)[] }>> {
  const quiet = { ...deps, cache: openQueryCache({ entries: 0 }), priority: 'bulk' as const }
  try {
    const outcomes = await searchMany(quiet, domain, requests)
    const found = outcomes.map((outcome) =>
      'error' in outcome ? null : [...new Set(outcome.hits.map(({ documentId }) => documentId))],
    )
    const error = outcomes.flatMap((outcome) => ('error' in outcome ? [outcome.error] : []))[0]
    return error !== undefined && found.every((one) => one === null) ? { error } : { found }
  } catch (error) {
    if (error instanceof CodedError && !error.retryable) return { error }
    throw error
  }
}
