import type { Engine } from '@millrace/embed'
import type { Db } from '@millrace/store'
import type { Log } from '../log.js'
import type { Queues } from '../queue.js'
import type { Settings } from '../settings.js'
import type { Domain } from '../verbs/domains.js'
import type { PageFetcher } from '../verbs/read.js'

/** Begins a generation beside the live one of a domain, made as its wishes are made today. */
export type BeginGeneration = (
  domain: Domain,
  wishes: {
    /** Vectors of documents published before are made anew too; undefined: whatever can be copied is. */
    readonly copySince?: Date | undefined
    readonly switch: 'manual' | 'built'
  },
) => Promise<{ readonly id: number }>

/** What actions are done with. */
export interface ScheduleDeps {
  readonly db: Db
  readonly queues: Queues
  readonly engine: Engine
  readonly pages: PageFetcher
  readonly log: Log
  readonly settings: Pick<Settings, 'ownedSeconds' | 'limits'>
  readonly beginGeneration: BeginGeneration
  /** Of what is scheduled; what is by lease goes by the database's. */
  readonly now: () => Date
}

/** What a run has cost and come to, by name: documents, texts, tokens, fetched, unchanged, … */
export type Cost = Readonly<Record<string, number>>
/** How far an action has come in a domain: JSON, and all that whoever takes it up knows. */
export type State = Readonly<Record<string, unknown>>

export interface StepContext {
  readonly deps: ScheduleDeps
  readonly domain: Domain
  readonly schedule: string
  readonly scheduleId: number
  readonly run: number
  /** That may be embedded in this hour; null: any number. */
  readonly tokensLeft: number | null
  /** Of this step. */
  readonly now: Date
  /** The worker ends: what takes long breaks off. */
  readonly signal: AbortSignal
}

/** What a step did, and what is next: another one, at once or after some seconds, or the end. */
export type StepResult = { readonly spent?: Cost } & (
  | { readonly next: State; readonly waitSeconds?: number }
  | { readonly done: string; readonly alarm?: string | undefined }
)

/** A piece of work in steps, each of which may be done twice when whoever did it dies before that was kept. */
export interface Steps {
  readonly step: (context: StepContext, state: State) => Promise<StepResult>
  /** Stops what goes on by itself, because it is not to go on now: the window closed, the ceiling is reached. */
  readonly suspend?: (
    context: StepContext,
    state: State,
  ) => Promise<{
    readonly state: State
    /** What a run that ends here says of it. */
    readonly told?: string
    readonly spent?: Cost
    /** What was begun before is still at work, and costs: it is looked at again. */
    readonly busy?: boolean
  }>
}

export const numberAt = (state: State, name: string): number | undefined => {
  const value = state[name]
  return typeof value === 'number' ? value : undefined
}

/** Costs by name, together. */
export function addCost(cost: Cost, more: Cost = {}): Cost {
  const names = new Set([...Object.keys(cost), ...Object.keys(more)])
  return Object.fromEntries([...names].map((name) => [name, (cost[name] ?? 0) + (more[name] ?? 0)]))
}

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`
/** `3 documents, 1 page`, without what is 0; undefined of nothing. */
export function inWords(counts: readonly (readonly [number | undefined, string])[]): string | undefined {
  const some = counts.flatMap(([count = 0, one]) => (count === 0 ? [] : [plural(count, one)]))
  return some.length === 0 ? undefined : some.join(', ')
}

/** What was counted so far in this domain. */
export function countsOf(state: State): Cost {
  const { counts } = state
  if (typeof counts !== 'object' || counts === null) return {}
  return Object.fromEntries(Object.entries(counts).filter(([, value]) => typeof value === 'number'))
}
