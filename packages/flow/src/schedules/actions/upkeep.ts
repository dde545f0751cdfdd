import { codeOf } from '@millrace/errors'
import {
  type IndexWear,
  rebuildIndex,
  type TableWear,
  vacuumTable,
  wornIndex,
  wornTables,
} from '@millrace/store'
import { measureRecall } from '../../verbs/recall.js'
import type { Upkeep } from '../action.js'
import { addCost, countsOf, inWords, type State, type StepContext, type Steps } from '../step.js'

/** Stored vectors that are searched for, to measure recall. */
const SAMPLE = 50
const K = 10
/** Dead rows that are not worth a pass over a table. */
const DEAD_ROWS_MIN = 50
const LOOK_SECONDS = 60

/** Measures how far tables and the index of a domain have drifted, and mends one after the other. */
export const mending = (action: Upkeep): Steps => ({
  step: async (context, state) => {
    const { deps, domain } = context
    if (deps.db.kind === 'embedded') return { done: 'the embedded database looks after itself' }
    if (!Array.isArray(state.todo)) return { next: { todo: await measure(context, action), counts: {} } }
    const [task, ...todo] = state.todo.map(String)
    if (task === undefined) return { done: summaryOf(state) }
    if (task !== REBUILD) {
      await vacuumTable(deps.db, task)
      const spent = { vacuumed: 1 }
      return { spent, next: { todo, counts: addCost(countsOf(state), spent) } }
    }
    const isDone = await rebuildIndex(deps.db, domain.generationId, context.signal)
    if (!isDone) return { next: state, waitSeconds: LOOK_SECONDS }
    const spent = { rebuilt: 1 }
    return { spent, next: { todo, counts: addCost(countsOf(state), spent) } }
  },
})

const REBUILD = 'index'

function summaryOf(state: State): string {
  const { vacuumed, rebuilt } = countsOf(state)
  return (
    inWords([
      [vacuumed, 'vacuumed table'],
      [rebuilt, 'rebuilt index'],
    ]) ?? 'nothing had drifted'
  )
}

async function measure({ deps, domain }: StepContext, action: Upkeep): Promise<string[]> {
  const [tables, index] = await Promise.all([
    wornTables(deps.db, domain.generationId),
    wornIndex(deps.db, domain.generationId),
  ])
  const recall =
    action.recallBelow === null || index === undefined
      ? null
      : await measureRecall(deps, domain, { sample: SAMPLE, k: [K], from: 'vectors' })
          .then((measured) => measured.recall[0]?.recall ?? null)
          .catch((error: unknown) => {
            if (codeOf(error) === 'RECALL_TIMEOUT') return null
            throw error
          })
  return decideUpkeep(action, { tables, index, recall })
}

/** What is to be mended: tables with too many dead rows, and `index` when it is not what it was. */
export function decideUpkeep(
  { deadShare, addedShare, bloat, recallBelow }: Upkeep,
  worn: {
    readonly tables: readonly TableWear[]
    readonly index: IndexWear | undefined
    readonly recall: number | null
  },
): string[] {
  const tables = worn.tables
    .filter(({ dead, live }) => dead >= DEAD_ROWS_MIN && dead > deadShare * (dead + live))
    .map(({ table }) => table)
  const { index, recall } = worn
  if (index === undefined || index.rows === 0) return tables
  const { built, rows, bytes } = index
  const isWeak = recallBelow !== null && recall !== null && recall < recallBelow
  const hasGrown = built !== null && built.rows > 0 && rows - built.rows > addedShare * rows
  const isBloated = built !== null && built.rows > 0 && bytes / rows > bloat * (built.bytes / built.rows)
  // Freed rows are freed in the index too before it is built anew without them.
  return isWeak || hasGrown || isBloated ? [...tables, REBUILD] : tables
}
