import { CodedError } from '@millrace/errors'
import {
  cancelDocuments,
  type Db,
  listHalfway,
  type Marked,
  markCancelled,
  markResumed,
  resumeDocuments,
} from '@millrace/store'
import { numberOf } from '../cursor.js'
import type { Log } from '../log.js'
import type { Queues } from '../queue.js'
import type { Settings } from '../settings.js'
import { getIngestion, type Ingestion, unknownIngestion } from './ingestions.js'

interface Deps {
  readonly db: Db
  readonly queues: Pick<Queues, 'addPrepare'>
  readonly log: Log
  readonly settings: Pick<Settings, 'ownedSeconds'>
}

/** How long the answer waits for the rows to follow; the rest follows behind it. */
const ANSWER_MS = 500
/** Steps that one pass of the sweep does for each ingestion that was left half-way. */
const STEPS_A_SWEEP = 50

/**
 * Stops an ingestion: workers see it within about a second, what is done stays. Its open documents become
 * `cancelled`; where they are many, after the answer. Cancelling twice changes nothing.
 * @throws CodedError UNKNOWN_INGESTION, INGESTION_FINISHED
 */
export async function cancelIngestion(deps: Deps, id: string): Promise<Ingestion> {
  const marked = await mark(deps.db, id, markCancelled)
  if (marked.outcome === 'finished') {
    throw new CodedError('INGESTION_FINISHED', `Ingestion ${id} has finished: there is nothing to cancel`, {
      hint: 'Delete the documents, or the domain, to take back what it did',
      details: { id },
    })
  }
  await within(deps, steps(cancelling(deps.db, marked.number)))
  return getIngestion(deps, id)
}

/**
 * Goes on with a cancelled ingestion, or tries the failed documents of a finished one again. Vectors that are there
 * are not computed again. One that runs, or has nothing to be tried again, stays as it is.
 * @throws CodedError UNKNOWN_INGESTION
 */
export async function resumeIngestion(deps: Deps, id: string): Promise<Ingestion> {
  const marked = await mark(deps.db, id, markResumed)
  await within(deps, steps(resuming(deps, marked.number)))
  return getIngestion(deps, id)
}

async function mark<Outcome extends Marked>(
  db: Db,
  id: string,
  how: (db: Db, id: number) => Promise<Outcome>,
): Promise<{ readonly number: number; readonly outcome: Exclude<Outcome, 'unknown'> }> {
  const number = numberOf(id)
  const outcome = number === undefined ? 'unknown' : await how(db, number)
  if (number === undefined || outcome === 'unknown') throw unknownIngestion(id)
  return { number, outcome: outcome as Exclude<Outcome, 'unknown'> }
}

/** One bounded step; true when there is another. */
type Step = () => Promise<boolean>

const cancelling =
  (db: Db, id: number): Step =>
  () =>
    cancelDocuments(db, id)

const resuming =
  ({ db, queues, settings }: Omit<Deps, 'log'>, id: number): Step =>
  async () => {
    const { ranges, more } = await resumeDocuments(db, id, settings.ownedSeconds)
    // Where the queue is away the rows stay received, and the sweep enqueues them.
    await queues.addPrepare(ranges).catch(() => undefined)
    return more
  }

async function steps(step: Step, most = Number.POSITIVE_INFINITY): Promise<void> {
  for (let done = 0; done < most && (await step()); done++);
}

/** Waits a little; what takes longer goes on behind the answer, and should this process die, the sweep goes on. */
async function within({ log }: Pick<Deps, 'log'>, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, ANSWER_MS, 'late')
  })
  const outcome = await Promise.race([work, late])
  clearTimeout(timer)
  if (outcome === 'late') {
    work.catch((error: unknown) => log.warn({ err: error }, 'the sweep goes on with an ingestion'))
  }
}

/** For the sweep: goes on with what a process left half-way that died while it cancelled or resumed. */
export async function finishHalfway(deps: Omit<Deps, 'log'>): Promise<number> {
  const { cancelled, resumed } = await listHalfway(deps.db)
  for (const id of cancelled) await steps(cancelling(deps.db, id), STEPS_A_SWEEP)
  for (const id of resumed) await steps(resuming(deps, id), STEPS_A_SWEEP)
  return cancelled.length + resumed.length
}
