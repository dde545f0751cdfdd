import {
  type Db,
  dropLostImports,
  forgetQueries,
  forgetSeen,
  listLeases,
  recheckBeside,
  recheckDocuments,
  reclaimDocuments,
  refreshTermCounts,
  sealLost,
  sweepOrphans,
  takeSweep,
} from '@millrace/store'
import type { Queues } from '../queue.js'
import type { Settings } from '../settings.js'
import { finishHalfway } from './cancel.js'

interface Deps {
  readonly db: Db
  readonly queues: Queues
  readonly settings: Pick<Settings, 'sweepSeconds' | 'ownedSeconds' | 'queryLogDays'>
}

export interface Swept {
  /** Ingestions that somebody had left half-way between cancelled and not. */
  readonly halfway: number
  /** Submissions whose receiver died. */
  readonly sealed: number
  readonly ranges: number
  readonly leases: number
  readonly rechecked: number
  readonly orphans: number
}

/** Of 1,000 documents each: more than is prepared in a period, and no rewriting of a million rows that wait. */
const RECLAIM_PASSES_MAX = 10
/** How long a vector stays that nobody refers to: longer than any transaction that is about to use it again. */
const ORPHAN_SECONDS = 3_600

/**
 * Whatever has no owner gets one. Jobs that the queue may have lost are added again from the rows; where they
 * are still there, that changes nothing. One process does it a period; undefined for the others.
 */
export async function sweepOnce({ db, queues, settings }: Deps): Promise<Swept | undefined> {
  // A little less than the period, so that a loop that is early by a moment does not skip its turn.
  if (!(await takeSweep(db, settings.sweepSeconds * 0.9))) return undefined
  await dropLostImports(db)
  const halfway = await finishHalfway({ db, queues, settings })
  const sealed = await sealLost(db)
  const ranges = await reclaim(db, queues, settings.ownedSeconds)
  const leases = await listLeases(db, settings.sweepSeconds)
  await queues.addEmbed(leases)
  const { ownedSeconds } = settings
  const rechecked = (await recheckDocuments(db, ownedSeconds)) + (await recheckBeside(db, ownedSeconds))
  const orphans = await sweepOrphans(db, ORPHAN_SECONDS)
  await forgetSeen(db)
  await forgetQueries(db, settings.queryLogDays)
  await refreshTermCounts(db)
  return { halfway, sealed: sealed.length, ranges, leases: leases.length, rechecked, orphans }
}

async function reclaim(db: Db, queues: Queues, ownedSeconds: number): Promise<number> {
  let count = 0
  for (let pass = 0, more = true; more && pass < RECLAIM_PASSES_MAX; pass++) {
    const reclaimed = await reclaimDocuments(db, ownedSeconds)
    await queues.addPrepare(reclaimed.ranges)
    count += reclaimed.ranges.length
    more = reclaimed.more
  }
  return count
}
