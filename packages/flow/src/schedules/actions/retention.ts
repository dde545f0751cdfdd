import { countUndated, deleteOld, deleteOldOf } from '@millrace/store'
import type { Retention } from '../action.js'
import { addCost, countsOf, inWords, type Steps } from '../step.js'

/** Deleted in one transaction: documents, and rows of other kinds. */
const DOCUMENTS = 200
const ROWS = 1_000
const DAY_MS = 24 * 3_600_000
const WORDS = {
  documents: 'document',
  queries: 'logged question',
  goldenRuns: 'golden run',
  generations: 'ended generation',
} as const

/** Deletes what is older than it may be, slice by slice. */
export const retaining = (action: Retention): Steps => ({
  step: async ({ deps, domain, now }, state) => {
    const counts = countsOf(state)
    const at = action.of.findIndex((what) => what === (state.at ?? action.of[0]))
    const what = action.of[at]
    if (what === undefined) {
      const told = inWords(action.of.map((one) => [counts[one], WORDS[one]]))
      const undated = counts.undated ?? 0
      const kept = undated === 0 ? '' : `; ${undated} without a date in ${action.field} stay`
      return { done: `deleted: ${told ?? 'nothing'}${kept}` }
    }
    const before = new Date(now.getTime() - action.olderThanDays * DAY_MS)
    const [limit, deleted] =
      what === 'documents'
        ? [DOCUMENTS, await deleteOld(deps.db, domain.id, { before, field: action.field }, DOCUMENTS)]
        : [ROWS, await deleteOldOf(deps.db, domain.id, what, before, ROWS)]
    const isOver = what === 'documents' && deleted < limit
    const undated = isOver && action.field !== null ? await countUndated(deps.db, domain.id, action.field) : 0
    const more = deleted === limit ? what : (action.of[at + 1] ?? 'end')
    return { spent: { deleted }, next: { at: more, counts: addCost(counts, { [what]: deleted, undated }) } }
  },
})
