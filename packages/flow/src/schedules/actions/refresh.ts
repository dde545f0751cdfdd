import { createHash } from 'node:crypto'
import { CodedError, codeOf } from '@millrace/errors'
import { deleteDocument, listPages, noteValidators, type PageRow } from '@millrace/store'
import { urlHash } from '../../accept.js'
import { submitDocuments } from '../../verbs/submit.js'
import type { Refresh } from '../action.js'
import { addCost, countsOf, numberAt, type State, type StepContext, type Steps } from '../step.js'
import { awaitSubmitted } from './submitted.js'

/** Pages looked at in one step. */
const SLICE = 24
/** Asked at once, of all hosts and of one. */
const AT_ONCE = 4
const OF_A_HOST = 2

/** Pages that could not be had and are named. */
const NAMED = 20

type Kind = 'unchanged' | 'changed' | 'gone' | 'unreachable'
interface Found {
  readonly kind: Kind
  /** Of a page that could not be had. */
  readonly why?: string
}

/** Asks for the pages of a domain again, slice by slice. */
export const refreshing = (action: Refresh): Steps => ({
  step: async (context, state) => {
    const waiting = await awaitSubmitted(context, state)
    if (waiting !== undefined) return waiting
    const { deps, domain } = context
    const rows = await listPages(deps.db, domain.id, { after: numberAt(state, 'after') ?? 0, limit: SLICE })
    const last = rows.at(-1)
    if (last === undefined) return { done: summaryOf(state), alarm: alarmOf(state) }
    const found = await politely(rows, hostOf, (row) => look(context, row))
    const of = (kind: Kind) => rows.filter((_, n) => found[n]?.kind === kind)
    const lost = rows.flatMap(({ url }, n) =>
      found[n]?.why === undefined ? [] : [`${url} (${found[n].why})`],
    )
    const ingestion = await submit(context, of('changed'))
    const gone = of('gone')
    if (action.gone === 'delete') {
      for (const { externalId } of gone) await deleteDocument(deps.db, domain.id, externalId)
    }
    const spent = {
      fetched: rows.length,
      unchanged: of('unchanged').length,
      changed: of('changed').length,
      gone: gone.length,
      unreachable: of('unreachable').length,
      deleted: action.gone === 'delete' ? gone.length : 0,
    }
    const counts = addCost(countsOf(state), spent)
    const named = [...lostOf(state), ...lost].slice(0, NAMED)
    return {
      spent,
      next: { after: last.id, counts, lost: named, ...(ingestion === undefined ? {} : { ingestion }) },
    }
  },
})

function summaryOf(state: State): string {
  const { unchanged, changed, gone, unreachable, deleted } = countsOf(state)
  const parts = [
    [unchanged, 'unchanged'],
    [changed, 'changed'],
    [gone, deleted ? 'gone and deleted' : 'gone'],
    [unreachable, 'not to be had'],
  ] as const
  const told = parts.flatMap(([count = 0, what]) => (count === 0 ? [] : [`${count} ${what}`]))
  return told.length === 0 ? 'no pages' : `pages: ${told.join(', ')}`
}

const lostOf = ({ lost }: State): string[] =>
  Array.isArray(lost) ? lost.filter((one) => typeof one === 'string') : []

function alarmOf(state: State): string | undefined {
  const { unreachable = 0 } = countsOf(state)
  if (unreachable === 0) return undefined
  const named = lostOf(state)
  const more = unreachable > named.length ? `, and ${unreachable - named.length} more` : ''
  return `${unreachable} pages were not to be had: ${named.join(', ')}${more}`
}

const hostOf = ({ url }: PageRow): string => (URL.canParse(url) ? new URL(url).host : '')

/** What has become of a page. Nothing is written but what the server said of one that has not changed. */
async function look({ deps, signal }: StepContext, row: PageRow): Promise<Found> {
  // What failed is to be had again whatever the server says.
  const known = row.state === 'ready' && row.fileHash !== null
  try {
    const fetched = await deps.pages.fetch(row.url, {
      signal,
      ...(known && row.etag !== null ? { etag: row.etag } : {}),
      ...(known && row.lastModified !== null ? { lastModified: row.lastModified } : {}),
    })
    if (fetched.unchanged) return { kind: 'unchanged' }
    // A server that is out of order: the document keeps what it has.
    if (fetched.bytes.length === 0) return { kind: 'unreachable', why: 'it has no bytes' }
    const hash = createHash('sha256').update(fetched.bytes).digest()
    if (!known || !row.fileHash?.equals(hash)) return { kind: 'changed' }
    await noteValidators(deps.db, row, fetched)
    return { kind: 'unchanged' }
  } catch (error) {
    if (!(error instanceof CodedError) || !error.code.startsWith('URL_')) throw error
    return isGone(error) ? { kind: 'gone' } : { kind: 'unreachable', why: error.message }
  }
}

const isGone = ({ code, details }: CodedError): boolean =>
  code === 'URL_STATUS' &&
  typeof details === 'object' &&
  details !== null &&
  'status' in details &&
  (details.status === 404 || details.status === 410)

/** The worker fetches what changed, as it does with what is new; its title is the page's where it was before. */
async function submit({ deps, domain }: StepContext, rows: readonly PageRow[]): Promise<number | undefined> {
  if (rows.length === 0) return undefined
  const documents = rows.map(({ externalId, url, title, metadata, contentHash }) => ({
    id: externalId,
    url,
    metadata,
    ...(title === null || urlHash(null, url, metadata).equals(contentHash) ? {} : { title }),
  }))
  try {
    return Number((await submitDocuments(deps, domain, documents)).ingestion)
  } catch (error) {
    // Not one would be taken today: limits are narrower than they were.
    if (codeOf(error) === 'NO_DOCUMENTS') return undefined
    throw error
  }
}

/** Runs `work` for all, a few at once and fewer of one host, in the order they come. */
export async function politely<Row, Result>(
  rows: readonly Row[],
  host: (row: Row) => string,
  work: (row: Row) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const waiting = rows.map((row, at) => ({ row, at, host: host(row) }))
  const busy = new Map<string, number>()
  const lane = async (): Promise<void> => {
    for (;;) {
      const next = waiting.findIndex((one) => (busy.get(one.host) ?? 0) < OF_A_HOST)
      const [taken] = next === -1 ? [] : waiting.splice(next, 1)
      // Those that are left wait for a host that other lanes ask.
      if (taken === undefined) return
      busy.set(taken.host, (busy.get(taken.host) ?? 0) + 1)
      try {
        results[taken.at] = await work(taken.row)
      } finally {
        busy.set(taken.host, (busy.get(taken.host) ?? 1) - 1)
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  return results
}
