import type { Session } from './connect.js'
import { INDEX_STATE, type IndexState } from './ingestions.js'

/** The state of the index of every domain, by the domain's id. */
export async function indexStates(on: Session): Promise<Map<number, IndexState>> {
  const rows = await on.query<{ domain: number; index: IndexState }>(
    `select g.domain_id as domain, ${INDEX_STATE} as index from millrace.generations g where g.state = 'live'`,
  )
  return new Map(rows.map(({ domain, index }) => [domain, index]))
}

/** How many ingestions run, of all domains. */
export async function countRunning(on: Session): Promise<number> {
  const rows = await on.query<{ count: number }>(
    `select count(*)::int as count from millrace.ingestions where state = 'running'`,
  )
  return rows[0]?.count ?? 0
}
