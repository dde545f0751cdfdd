import { randomUUID } from 'node:crypto'
import type { Engine, Priority } from '@millrace/embed'
import { codeOf, messageOf } from '@millrace/errors'
import {
  type Db,
  endRun,
  measuredOf,
  type NewResult,
  type NewRun,
  nextQuestions,
  type OwnedRun,
  type RunRow,
  storeResults,
  type WaitingQuestion,
} from '@millrace/store'
import type { Domain } from '../verbs/domains.js'
import { gradeOf, MISS } from './grade.js'
import { DEPTH } from './metrics.js'
import { type RunReport, reportOf } from './report.js'
import {
  decideRetrieval,
  type RetrievalSettings,
  type RetrievalWishes,
  type Retrieve,
  type Retrieved,
  retrieverOf,
} from './retrieve.js'

/** Up to so many a run is answered when it is done; a larger one goes on in a worker. */
export const QUESTIONS_AT_ONCE = 200
/** Embedded together and searched in one statement, which on PGlite nobody can interrupt. */
const SLICE = 32
/** How far a missed document is looked for. */
const MISSED_DEPTH = 100
/** Hits that came instead of what was expected, as they are kept. */
const INSTEAD = 3
/** Without a sign of life for so long a run is somebody else's: far more than a slice takes. */
export const OWNED_SECONDS = 60

interface Deps {
  readonly db: Db
  readonly engine: Engine
  /** Of what is embedded for it. Default: interactive. */
  readonly priority?: Priority | undefined
}

export interface RunWishes extends RetrievalWishes {
  /** How many hits count. Nothing is cut by the threshold: what it would cut is counted. */
  readonly k: number
  readonly note?: string | null | undefined
}

/** What a run is for, where nobody asked for it as a run. */
export const RUN_PURPOSES = ['gate', 'compare'] as const
export type RunPurpose = (typeof RUN_PURPOSES)[number]

export interface RunSettings extends RetrievalSettings {
  readonly k: number
  readonly purpose?: RunPurpose | undefined
}

export interface Run extends Omit<RunRow, 'metrics' | 'settings'> {
  readonly settings: RunSettings
  /** Null until it has finished. */
  readonly report: RunReport | null
}

/** Only what reportOf and planRun wrote is ever stored. */
export const asRun = ({ metrics, settings, ...row }: RunRow): Run => ({
  ...row,
  settings: settings as unknown as RunSettings,
  report: metrics as RunReport | null,
})

/**
 * A run over the set as it is now, of a domain at the generation that it is handed with.
 * @throws CodedError those of `decideRetrieval`
 */
export function planRun(
  deps: Pick<Deps, 'engine'>,
  domain: Domain,
  { purpose, ...wishes }: RunWishes & { readonly purpose?: RunPurpose | undefined },
): NewRun {
  const { settings, levels } = decideRetrieval(deps, domain, wishes)
  return {
    domainId: domain.id,
    generationId: domain.generationId,
    settings: { k: wishes.k, ...settings, ...(purpose === undefined ? {} : { purpose }) },
    model: domain.model,
    recipeHash: domain.recipeHash,
    levels: levels.map(({ key }) => key),
    note: wishes.note ?? null,
    owner: { id: randomUUID(), seconds: OWNED_SECONDS, upTo: QUESTIONS_AT_ONCE },
  }
}

/** Works on a run with the searches of its domain. False when `signal` ended it before its end. */
export const workOn = (deps: Deps, domain: Domain, run: OwnedRun, signal?: AbortSignal): Promise<boolean> =>
  finish(deps.db, run, retrieverOf(deps, domain, asRun(run).settings), signal)

export const failRun = (db: Db, run: OwnedRun, error: unknown): Promise<boolean> =>
  endRun(db, run, { code: codeOf(error), message: messageOf(error) })

/** Works on a run slice by slice; each is stored before the next. False when `signal` ended it before its end. */
async function finish(db: Db, run: OwnedRun, retrieve: Retrieve, signal?: AbortSignal): Promise<boolean> {
  const { k, threshold } = asRun(run).settings
  for (let after = 0; ; ) {
    if (signal?.aborted) return false
    const questions = await nextQuestions(db, run, after, SLICE)
    const last = questions.at(-1)
    if (last === undefined) break
    const { results, embedMs, searchMs } = await measure(questions, k, retrieve)
    const took = { embedMs, searchMs, ownedSeconds: OWNED_SECONDS }
    // Somebody else has it, or it is gone with its domain.
    if (!(await storeResults(db, run, results, took))) return true
    after = last.position
  }
  await endRun(db, run, { metrics: { ...reportOf(await measuredOf(db, run.id), run.levels, threshold) } })
  return true
}

const none = {
  ranks: [],
  score: null,
  scored: null,
  grade: null,
  top: null,
  errorCode: null,
  errorMessage: null,
}

/** Results of some questions; those whose document is not among the first hits are searched again, deeper. */
async function measure(questions: readonly WaitingQuestion[], k: number, retrieve: Retrieve) {
  const asked = questions.filter(({ documents, absent }) => absent.length < documents.length)
  const depth = Math.max(k, DEPTH)
  const first = await retrieve(asked, depth)
  const found = new Map(asked.map((question, n) => [question.position, first.results[n]]))
  const missed = depth >= MISSED_DEPTH ? [] : asked.filter((one) => isMissed(one, found.get(one.position)))
  const second = missed.length === 0 ? undefined : await retrieve(missed, MISSED_DEPTH)
  const deeper = new Map(missed.map(({ position }, n) => [position, second?.results[n]]))
  const results = questions.map((question) =>
    resultOf(question, k, {
      depth,
      first: found.get(question.position),
      deeper: deeper.get(question.position),
    }),
  )
  return {
    results,
    embedMs: first.tookMs.embed + (second?.tookMs.embed ?? 0),
    searchMs: first.tookMs.search + (second?.tookMs.search ?? 0),
  }
}

function resultOf(
  { position, absent, documents }: WaitingQuestion,
  k: number,
  found: {
    readonly depth: number
    readonly first: Retrieved | undefined
    readonly deeper: Retrieved | undefined
  },
): NewResult {
  const { first, deeper, depth } = found
  if (first === undefined) return { position, state: 'unmeasured', absent, ...none }
  if ('error' in first) {
    const { code, message } = first.error
    return { position, state: 'failed', absent, ...none, errorCode: code, errorMessage: message }
  }
  const graded = gradeOf(first.hits, documents, k)
  const top =
    graded.ranks[0] === 1 && graded.grade !== MISS ? null : first.hits.slice(0, INSTEAD).map(instead)
  if (graded.grade !== MISS) return { position, state: 'ranked', absent, ...none, ...graded, top }
  if (deeper === undefined || 'error' in deeper) {
    return { position, state: 'ranked', absent, ...none, ...graded, top }
  }
  const beyond = gradeOf(deeper.hits, documents, k)
  // A search that looks at more may rank otherwise (a reranker has more to choose from): the first list is what counts.
  const ranks = beyond.ranks.map((rank, n) => Math.max(rank, depth + 1 + n))
  return { position, state: 'ranked', absent, ...none, ...beyond, ranks, grade: MISS, top }
}

/** Every expected document that is there counts for nDCG, but what is looked for deeper is the first. */
const isMissed = ({ documents }: WaitingQuestion, one: Retrieved | undefined): boolean =>
  one !== undefined && 'hits' in one && !one.hits.some(({ documentId }) => documents.includes(documentId))

const instead = (hit: {
  readonly documentId: string
  readonly title: string | null
  readonly score: number
  readonly level: { readonly key: string } | null
}) => ({
  documentId: hit.documentId,
  title: hit.title,
  score: hit.score,
  level: hit.level?.key ?? null,
})
