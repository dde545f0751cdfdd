import {
  type Db,
  listQueries as listRows,
  type QueryRow,
  type QueryStats,
  deleteQueries as removeRows,
  queryStats as statsOf,
} from '@millrace/store'
import { readNumber } from '../cursor.js'
import type { QueryLog } from '../search/log.js'
import type { Domain } from './domains.js'

interface Deps {
  readonly db: Db
}

/** Queries of which statistics name the usual ones, and those without hits. */
const TOP = 20

/** What was asked of a domain in the last days: how often, with what success, how fast. */
export const queryStats = ({ db }: Deps, domain: Domain, days: number): Promise<QueryStats> =>
  statsOf(db, domain.id, { days, top: TOP })

export interface QueryPage {
  readonly queries: readonly QueryRow[]
  /** Hand it in to get older ones; null at the end. */
  readonly cursor: string | null
}

/** The newest first. @throws CodedError INVALID_CURSOR */
export async function listQueries(
  { db }: Deps,
  domain: Domain,
  page: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<QueryPage> {
  const before = page.cursor === undefined ? undefined : readNumber(page.cursor)
  const rows = await listRows(db, domain.id, { before, limit: page.limit + 1 })
  const queries = rows.slice(0, page.limit)
  const last = queries.at(-1)
  return { queries, cursor: rows.length > page.limit && last !== undefined ? String(last.id) : null }
}

/**
 * Forgets what was asked of a domain until now, or one query alone, by its hash as listings show it; how often it was
 * asked. What other processes have yet to write of it is forgotten too.
 */
export async function deleteQueries(
  { db, queryLog }: Deps & { readonly queryLog: QueryLog },
  domain: Domain,
  hash?: string,
): Promise<number> {
  const now = new Date()
  await queryLog.flush()
  return removeRows(db, domain.id, now, hash === undefined ? undefined : Buffer.from(hash, 'hex'))
}
