import { clearScreenDown, moveCursor } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError } from '@millrace/errors'
import { type Client, type Ingestion, type Status, statusSchema } from './client.js'
import { notesOf } from './progress.js'
import { showDomains } from './show.js'
import { printable, table } from './table.js'
import { count, duration } from './words.js'

/** Domains that are listed; --json has all of them. */
const DOMAINS_SHOWN = 30
/** Reasons of failures that are listed. */
const REASONS_SHOWN = 5
const BAR_CHARS = 20
/** Between an answer and the next question. */
const REFRESH_MS = 1_000

export const getStatus = (client: Client): Promise<Status> => client.get('/v1/status', statusSchema)

/** The status as text: workers and backlog, running ingestions, domains. */
export function showStatus(url: string, status: Status): string {
  const { workers, backlog, running, ingestions, domains } = status
  const more = running - ingestions.length
  const isBusy = workers.length > 0 || backlog.documents > 0 || running > 0
  return [
    `Millrace at ${url}\n`,
    workers.length === 0 && domains.length > 0
      ? `no worker is running${backlog.documents > 0 ? ': what waits is not worked on' : ''}\n`
      : '',
    isBusy ? `${backlogLine(status)}\n` : '',
    workers.length === 0 ? '' : `\n${workersTable(workers)}`,
    running === 0 ? '' : `\n${ingestions.map(ingestionLine).join('\n')}\n`,
    more > 0 ? `… and ${count(more)} more ingestions\n` : '',
    domains.length === 0 ? '' : '\n',
    showDomains(domains.slice(0, DOMAINS_SHOWN)),
    domains.length > DOMAINS_SHOWN ? `… and ${count(domains.length - DOMAINS_SHOWN)} more domains\n` : '',
    failedLines(status.failed),
    domains.some(({ index }) => index.state === 'building') ? `\n${indexLines(domains)}` : '',
  ].join('')
}

const backlogLine = ({ backlog, running }: Status): string =>
  `${count(running, 'ingestion')} running, ${count(backlog.documents, 'document')} open, ` +
  `${count(backlog.texts, 'text')} without a vector, ${count(backlog.leases, 'lease')} out` +
  (backlog.minutes === null || backlog.minutes === 0 ? '' : `, ${duration(60 * backlog.minutes)} left`)

/** Why documents failed, each with an example; empty when none did. */
function failedLines(failed: Status['failed']): string {
  if (failed.length === 0) return ''
  const lines = failed.slice(0, REASONS_SHOWN).map(({ domain, code, count: documents, example }) => {
    const shown = `${example.document}: ${example.message}`
    return printable(`${domain}: ${count(documents, 'document')} failed with ${code}, e.g. ${shown}`)
  })
  const more = failed.length - lines.length
  return `\n${[...lines, ...(more > 0 ? [`… and ${count(more)} more reasons`] : [])].join('\n')}\n`
}

const workersTable = (workers: Status['workers']): string =>
  table([
    ['worker', 'slots', 'tokens', 'tokens/s', 'last seen'],
    ...workers.map(({ host, pid, slots, tokens, tokensPerSecond, lastSeenSeconds }) => [
      `${host}:${pid}`,
      count(slots),
      count(tokens),
      tokensPerSecond === null ? '' : count(Math.round(tokensPerSecond)),
      `${duration(lastSeenSeconds)} ago`,
    ]),
  ])

/** One running ingestion: id, domain, bar, and what a bar says beside it. */
export function ingestionLine(ingestion: Ingestion): string {
  const { id, domain, documents: d } = ingestion
  const done = d.ready + d.failed + d.cancelled
  const filled = d.total === 0 ? 0 : Math.floor((BAR_CHARS * done) / d.total)
  const drawn = '█'.repeat(filled) + '░'.repeat(BAR_CHARS - filled)
  const notes = notesOf([ingestion]).join('  ')
  return `${printable(id)}  ${printable(domain)}  ${drawn} ${count(done)}/${count(d.total)} documents  ${notes}`
}

const indexLines = (domains: Status['domains']): string =>
  domains
    .filter(({ index }) => index.state === 'building')
    .map(({ name, index: { phase, percent } }) => {
      const far = percent === undefined ? '' : ` ${percent} %`
      return `${name}: the index is built: ${phase ?? ''}${far}\n`
    })
    .join('')

/** A terminal, as much of it as is drawn on. */
export interface Screen extends NodeJS.WritableStream {
  readonly columns?: number
  readonly rows?: number
}

/**
 * The status drawn again every second until `signal` aborts. What does not fit the window is left out; a server
 * that is away is said, and asked again.
 * @throws CodedError when it cannot be had at all, at the first time
 */
export async function watchStatus(client: Client, screen: Screen, signal: AbortSignal): Promise<void> {
  let drawn = 0
  for (let first = true; !signal.aborted; first = false) {
    const text = await getStatus(client).then(
      (status) => showStatus(client.url, status),
      (error: unknown) => {
        if (first || !(error instanceof CodedError) || !error.retryable) throw error
        return `Millrace at ${client.url}\n${error.message}\nIt is asked again until ctrl-c\n`
      },
    )
    if (signal.aborted) return
    // Some pseudo-terminals say 0.
    const lines = fit(text, screen.columns || 80, screen.rows || 24)
    if (drawn > 0) {
      moveCursor(screen, 0, -drawn)
      clearScreenDown(screen)
    }
    screen.write(lines.map((line) => `${line}\n`).join(''))
    drawn = lines.length
    await sleep(REFRESH_MS, undefined, { signal }).catch(() => undefined)
  }
}

/** The lines that a window of so many columns and rows can show; the cursor has the last row. */
export function fit(text: string, columns: number, rows: number): string[] {
  const lines = text.trimEnd().split('\n')
  const most = Math.max(1, rows - 1)
  const shown = lines.length > most ? [...lines.slice(0, most - 1), '…'] : lines
  // A line that wraps would take two rows of the window, and the next drawing would miss one.
  return shown.map((line) => [...line].slice(0, Math.max(1, columns - 1)).join(''))
}
