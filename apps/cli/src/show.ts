import type { z } from 'zod'
import type { domainDetailSchema, SearchResult } from './client.js'
import type { IngestReport } from './ingest.js'
import { printable, table } from './table.js'

/** Characters of a passage that are shown under a hit. */
const PASSAGE_CHARS = 160
/** Problems that are listed; --json has all of them. */
const PROBLEMS_SHOWN = 20

/** One hit: rank, similarity, level, title and id; below it how its passage begins. */
export function showHits(query: string, found: SearchResult): string {
  if (found.hits.length === 0) {
    return `no hits for "${printable(query)}" (threshold ${found.threshold ?? 'none'})\n`
  }
  const lines = found.hits.flatMap(({ similarity, level, documentId, title, text }, i) => [
    `${String(i + 1).padStart(3)}. ${similarity.toFixed(4)}  ${level}  ${printable(named(title, documentId))}`,
    `     ${passage(text)}`,
  ])
  return `${lines.join('\n')}\n`
}

const named = (title: string | null, id: string): string => (title === null ? id : `${title}  (${id})`)

const passage = (text: string): string => {
  const line = printable(text).replaceAll(/\s+/g, ' ')
  return line.length > PASSAGE_CHARS ? `${line.slice(0, PASSAGE_CHARS).toWellFormed()}…` : line
}

export function showReport(report: IngestReport): string {
  const { documents, chunks, tokens, seconds, problems } = report
  const shown = problems.slice(0, PROBLEMS_SHOWN)
  const more = problems.length - shown.length
  return [
    `${count(documents.ready)} of ${count(documents.found, 'document')} ready, ` +
      `${count(documents.unchanged)} unchanged, in ${seconds.toFixed(1)} s\n`,
    `${count(chunks.total, 'chunk')}: ${count(chunks.embedded)} embedded (${count(tokens.embedded, 'token')}), ` +
      `${count(chunks.reused)} reused\n`,
    problems.length === 0 ? '' : `${count(problems.length, 'problem')}:\n`,
    table(shown.map(({ path, code, message }) => [`  ${path}`, code, message])),
    more === 0 ? '' : `  … and ${count(more)} more: --json lists them all\n`,
  ].join('')
}

/** 1,234 chunks; 1 chunk. */
const count = (number: number, thing?: string): string =>
  `${number.toLocaleString('en')}${thing === undefined ? '' : ` ${thing}${number === 1 ? '' : 's'}`}`

export function showDomains(domains: readonly z.infer<typeof domainDetailSchema>[]): string {
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
