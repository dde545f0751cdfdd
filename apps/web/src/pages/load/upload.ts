import { shallowReactive, watch } from 'vue'
import { answer, api } from '../../api/client.ts'
import { asProblem, isAborted, type Problem } from '../../api/problem.ts'
import { type Batch, batchesOf, bytesOfGoods, formBatch, type Goods } from './batches.ts'
import { type Drop, putDrop, readDrops } from './drops.ts'
import { pause } from './follow.ts'
import { type BadDocument, refusalsIn } from './reasons.ts'
import { type Submission, sendBatch, unreadable } from './send.ts'

/** waiting: the server is busy or away, it is tried again by itself. paused: until somebody says go on. */
export type Phase = 'none' | 'sending' | 'waiting' | 'paused' | 'stopped' | 'sent'

const DROPS = 'millrace.drops'
const WAITS_SECONDS = [1, 2, 4, 8, 15] as const
/** How long the answer to a batch that has arrived is waited for, when it is stopped. */
const ANSWER_MS = 10_000
/** Busy or away; what was kept of a batch is found unchanged when it is sent again. */
const PASSING: ReadonlySet<number> = new Set([0, 429, 502, 503, 504])
/** A file that was chosen and cannot be read any more. */
export const FILE_GONE = 'FILE_GONE'

function remember(drop: Drop): void {
  try {
    localStorage.setItem(DROPS, JSON.stringify(putDrop(rememberedDrops(), drop)))
  } catch {
    // No room: its ingestions are listed one by one.
  }
}

export const rememberedDrops = () => readDrops(localStorage.getItem(DROPS))

/** What is being sent. It lives as long as the tab, whatever page is open. */
function openUpload() {
  const state = shallowReactive({
    phase: 'none' as Phase,
    domain: '',
    label: '',
    bytes: 0,
    bytesSent: 0,
    accepted: 0,
    /** Ingestions so far, one a batch. */
    ids: [] as readonly string[],
    refusals: [] as readonly BadDocument[],
    /** More than are listed. */
    refused: 0,
    problem: undefined as Problem | undefined,
    /** Since when, and from how much on, the rate is told. */
    ratedFrom: { at: 0, bytes: 0 },
  })
  let batches: AsyncGenerator<Batch> | undefined
  let batch: Batch | undefined
  let control = new AbortController()
  let before = 0
  let tries = 0
  /** All bytes of the batch are sent, and its answer is awaited. */
  let isWhole = false
  let running: Promise<void> = Promise.resolve()

  const refuse = (listed: readonly BadDocument[], total = listed.length) => {
    state.refusals = [...state.refusals, ...listed]
    state.refused += total
  }
  const isStopped = () => state.phase === 'stopped'
  const isDone = () => {
    before += batch?.bytes ?? 0
    state.bytesSent = before
    batch = undefined
    tries = 0
  }
  const take = (sent: Batch, { ingestion, accepted, rejected, rejectedTotal }: Submission) => {
    state.ids = [...state.ids, ingestion]
    state.accepted += accepted
    refuse(refusalsIn(rejected, sent.nameOf), rejectedTotal)
    remember({ domain: state.domain, ids: state.ids, label: state.label })
    isDone()
  }
  /** Whether to go on. */
  const mend = async (failed: Batch, problem: Problem, signal: AbortSignal): Promise<boolean> => {
    if (problem.code === 'NO_DOCUMENTS') {
      const listed = refusalsIn(rejectedOf(problem), failed.nameOf)
      // A file without one line has nothing to refuse, and nobody is to think that it went in.
      const { code, message } = problem
      refuse(
        listed.length > 0 ? listed : [{ name: failed.nameOf(0, undefined), code, message }],
        failed.documents ?? Math.max(1, listed.length),
      )
      isDone()
      return true
    }
    const lost = problem.status === 0 ? await unreadable(failed) : new Set<string>()
    if (lost.size > 0) {
      refuse([...lost].map((name) => ({ name, code: FILE_GONE, message: '' })))
      const left = failed.files.filter(({ id }) => !lost.has(id))
      batch = left.length === 0 ? undefined : formBatch(left)
      before += failed.bytes - (batch?.bytes ?? 0)
      return true
    }
    const wait = WAITS_SECONDS[tries++]
    if (isStopped() || !PASSING.has(problem.status) || wait === undefined) return false
    state.phase = 'waiting'
    state.problem = problem
    await pause(1_000 * Math.max(wait, problem.retryAfterSeconds ?? 0), signal)
    return !isStopped()
  }
  const run = async () => {
    const { signal } = control
    for (;;) {
      batch ??= (await batches?.next())?.value ?? undefined
      if (signal.aborted) return
      if (batch === undefined) break
      if (isStopped()) return
      const current = batch
      state.phase = 'sending'
      isWhole = false
      try {
        const onSent = (bytes: number) => {
          state.bytesSent = before + bytes
          isWhole = bytes >= current.bytes
          if (bytes > 0) state.problem = undefined
        }
        take(current, await sendBatch<Submission>(state.domain, current, { signal, onSent }))
      } catch (error) {
        if (isAborted(error) || isStopped()) return
        state.bytesSent = before
        if (await mend(current, asProblem(error), signal)) continue
        if (isStopped()) return
        state.phase = 'paused'
        state.problem = asProblem(error)
        return
      }
    }
    state.phase = 'sent'
    state.problem = undefined
  }
  const start = (domain: string, goods: Goods, label: string) => {
    control.abort()
    control = new AbortController()
    Object.assign(state, {
      ...{ phase: 'sending', domain, label, bytes: bytesOfGoods(goods), bytesSent: 0, accepted: 0 },
      ...{ ids: [], refusals: [], refused: 0, problem: undefined, ratedFrom: { at: Date.now(), bytes: 0 } },
    })
    const begin = () => {
      before = 0
      tries = 0
      batch = undefined
      batches = batchesOf(goods, ({ id, size }) => {
        refuse([{ name: id, code: FILE_GONE, message: '' }])
        before = Math.min(before + size, state.bytes)
      })
      return run()
    }
    running = running.then(begin)
  }
  /** Goes on with the batch that was refused or stopped. */
  const goOn = () => {
    if (state.phase !== 'paused' && state.phase !== 'stopped') return
    control.abort()
    control = new AbortController()
    tries = 0
    state.phase = 'sending'
    state.ratedFrom = { at: Date.now(), bytes: before }
    running = running.then(run)
  }
  /** Resolves when nothing is on its way any more. */
  const stop = async () => {
    if (!isSending(state.phase)) return
    const mine = control
    const wasWhole = state.phase === 'sending' && isWhole
    state.phase = 'stopped'
    state.problem = undefined
    // A batch that has arrived is answered soon, with the id by which it can be cancelled.
    if (wasWhole) await Promise.race([running, pause(ANSWER_MS, mine.signal)])
    mine.abort()
    state.bytesSent = before
  }
  watch(
    () => isSending(state.phase),
    (now) => {
      if (now) window.addEventListener('beforeunload', warn)
      else window.removeEventListener('beforeunload', warn)
    },
  )
  return { state, start, stop, goOn }
}

const warn = (event: BeforeUnloadEvent) => event.preventDefault()

export const isSending = (phase: Phase): boolean =>
  phase === 'sending' || phase === 'waiting' || phase === 'paused'

function rejectedOf({ details }: Problem): Submission['rejected'] {
  return typeof details === 'object' && details !== null && 'rejected' in details
    ? (details as { rejected: Submission['rejected'] }).rejected
    : []
}

export const upload = openUpload()

/**
 * The ingestion of a batch that was stopped half-way: its id never came, and what had arrived goes on. Of the newest
 * in the domain, those after ours whose body broke off.
 */
export async function brokenOff(domain: string, ids: readonly string[]): Promise<string[]> {
  const last = Math.max(0, ...ids.map(Number))
  const { ingestions } = await answer(
    api.GET('/v1/domains/{name}/ingestions', { params: { path: { name: domain }, query: { limit: 5 } } }),
  )
  return ingestions
    .filter(({ id, state, receiving, rejected }) => {
      const isCut = receiving || rejected.codes.some(({ code }) => code === 'BODY_INCOMPLETE')
      return Number(id) > last && state === 'running' && isCut
    })
    .map(({ id }) => id)
}
