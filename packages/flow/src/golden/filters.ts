import { type Db, filterProblems } from '@millrace/store'
import { attempt } from '../search/asked.js'
import { checkFilter } from '../search/filter.js'
import type { GivenQuestion } from './accept.js'

/** Questions as they were given; those whose filter no search takes are refused, as a search would refuse it. */
export async function refuseFilters(
  { db }: { readonly db: Db },
  given: readonly GivenQuestion[],
): Promise<GivenQuestion[]> {
  const filters = given.map(readFilter)
  const distinct = [...new Set(filters.filter((json) => json !== undefined))]
  const problems = await filterProblems(db, distinct)
  const problemOf = new Map(distinct.map((json, i) => [json, problems[i] ?? null]))
  return given.map((one, i) => {
    const message = problemOf.get(filters[i] ?? '') ?? null
    if (message === null || 'refusal' in one) return one
    return { index: one.index, id: one.question.id, refusal: { code: 'INVALID_FILTER', message } }
  })
}

/** A filter as JSON that Postgres can read; undefined: there is none, or it is refused without asking. */
function readFilter(one: GivenQuestion): string | undefined {
  const filter = 'refusal' in one ? undefined : one.question.filter
  if (filter === undefined || Object.keys(filter).length === 0) return undefined
  const checked = attempt(() => {
    checkFilter(filter)
    return { json: JSON.stringify(filter) }
  })
  return 'json' in checked ? checked.json : undefined
}
