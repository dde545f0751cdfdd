import type { z } from 'zod'
import type { domainDetailSchema, Ingestion, SearchResult } from './client.js'
import type { IngestReport } from './ingest.js'
import { printable, table } from './table.js'
import { count, duration } from './words.js'

/** Characters of a passage that are shown under a hit. */
const PASSAGE_CHARS = 160
/** Problems that are listed; --json has all of them. */
const PROBLEMS_SHOWN = 20

/** One hit: rank, what it was ranked by, level, title and id; below it how its passage begins. */
export function showHits(query: string, found: SearchResult): string {
  const { staleThreshold: stale, generation, model } = found
  const notes = found.warnings.map(({ message }) => `${printable(message)}\n`)
  if (stale !== null) {
    notes.push(
      `the threshold ${stale.threshold} of ${stale.score} was set for another recipe and is not applied\n`,
    )
  }
  notes.push(`generation ${generation}, ${model}\n`)
  if (found.hits.length === 0) {
    return `no hits for "${printable(query)}" (threshold ${found.threshold ?? 'none'})\n${notes.join('')}`
  }
  const lines = found.hits.flatMap(({ score, level, documentId, title, text }, i) => [
    `${String(i + 1).padStart(3)}. ${[score.toFixed(4), level, printable(named(title, documentId))].filter((part) => part !== null).join('  ')}`,
    `     ${passage(text)}`,
  ])
  return `${lines.join('\n')}\n${notes.join('')}`
}

const named = (title: string | null, id: string): string => (title === null ? id : `${title}  (${id})`)

const passage = (text: string): string => {
  const line = printable(text).replaceAll(/\s+/g, ' ')
  return line.length > PASSAGE_CHARS ? `${line.slice(0, PASSAGE_CHARS).toWellFormed()}…` : line
}

export function showReport(report: IngestReport): string {
  const { documents, chunks, tokens, seconds, problems, textCut, empty } = report
  const shown = problems.slice(0, PROBLEMS_SHOWN)
  const more = problems.length - shown.length
  return [
    `${count(documents.ready)} of ${count(documents.found, 'document')} ready, ` +
      `${count(documents.unchanged)} unchanged, in ${seconds.toFixed(1)} s\n`,
    `${count(chunks.total, 'chunk')}: ${count(chunks.embedded)} embedded (${count(tokens.embedded, 'token')}), ` +
      `${count(chunks.reused)} reused\n`,
    cutLine(textCut.characters),
    emptyLine(empty),
    problems.length === 0 ? '' : `${count(problems.length, 'problem')}:\n`,
    table(shown.map(({ path, code, message }) => [`  ${path}`, code, message])),
    more === 0 ? '' : `  … and ${count(more)} more: --json lists them all\n`,
  ].join('')
}

/** Nothing is cut silently: either all of the text is in a chunk, or this says how much is not. */
const cutLine = (characters: number): string =>
  characters === 0 ? 'text cut: none\n' : `text cut: ${count(characters, 'character')} are in no chunk\n`

/** Ready, and never found: front matter, markup or remarks were all there was. */
const emptyLine = (documents: number): string =>
  documents === 0 ? '' : `empty after cleaning: ${count(documents, 'document')}, which nothing can find\n`

/** One ingestion as it stands: for cancel and resume, and where one has ended the report of it. */
export function showIngestion(ingestion: Ingestion): string {
  const { id, domain, state, documents: d, chunks, tokens, errors, rejected, sync, index, report } = ingestion
  const open = d.received + d.preparing + d.embedding
  const reasons = [
    ...rejected.codes.map((one) => ['  refused', one.code, count(one.count), one.example.message]),
    ...errors.map((one) => ['  failed', one.code, count(one.count), one.example.message]),
  ]
  return [
    `ingestion ${id} of ${domain}: ${state}${report === null ? '' : ` after ${duration(report.seconds)}`}\n`,
    `${count(d.ready)} of ${count(d.total, 'document')} ready, ${count(d.unchanged)} unchanged, ${count(open)} open, ` +
      `${count(d.failed)} failed, ${count(d.cancelled)} cancelled, ${count(rejected.total)} refused\n`,
    `${count(chunks.total, 'chunk')}: ${count(chunks.embedded)} embedded (${count(tokens.embedded, 'token')}), ` +
      `${count(chunks.reused)} reused\n`,
    report === null ? '' : cutLine(report.textCut.characters) + emptyLine(report.empty),
    sync === null ? '' : syncLine(sync),
    index.state === 'building' ? `the index is being built: ${index.percent ?? 0} %\n` : '',
    table(reasons),
  ].join('')
}

const syncLine = ({ source, state, deleted, reason }: NonNullable<Ingestion['sync']>): string =>
  state === 'waiting'
    ? `sync of ${printable(source)}: waits until all is ready\n`
    : `sync of ${printable(source)}: ${count(deleted, 'document')} deleted${reason === null ? '' : ` (${printable(reason)})`}\n`

/** What is shown of a domain. */
type DomainLine = Pick<
  z.infer<typeof domainDetailSchema>,
  'name' | 'model' | 'modelState' | 'threshold' | 'documents'
>

export function showDomains(domains: readonly DomainLine[]): string {
  if (domains.length === 0) return 'no domains yet: millrace domains create NAME\n'
  const rows = domains.map(({ name, model, modelState, threshold, documents: d }) => [
    name,
    `${model} (${modelState})`,
    threshold === null ? 'none' : String(threshold),
    count(d.ready),
    count(d.received + d.preparing + d.embedding),
    count(d.failed),
  ])
  return table([['domain', 'model', 'threshold', 'ready', 'waiting', 'failed'], ...rows])
}
