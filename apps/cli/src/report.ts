import type { PlanReport } from './ingest.js'
import { printable, table } from './table.js'
import { count } from './words.js'

/** Problems that are listed; --json has all of them. */
const PROBLEMS_SHOWN = 20

/** What a dry run found. */
export function showPlan({ documents, chunks, tokens, problems }: PlanReport): string {
  const { added, changed, unchanged, deleted, unknown } = documents
  const shown = problems.slice(0, PROBLEMS_SHOWN)
  const more = problems.length - shown.length
  return [
    `would add ${count(added)}, change ${count(changed)}, delete ${count(deleted)}; ` +
      `${count(unchanged)} unchanged${unknown === 0 ? '' : `, ${count(unknown)} behind URLs: not known`}\n`,
    `would embed ${count(chunks.embed)} of ${count(chunks.total)} chunks ` +
      `(${count(tokens.embed)} of ${count(tokens.total)} tokens)\n`,
    problems.length === 0 ? '' : `${count(problems.length, 'problem')}:\n`,
    table(shown.map(({ path, code, message }) => [`  ${path}`, code, message])),
    more === 0 ? '' : `  … and ${count(more)} more: --json lists them all\n`,
  ].join('')
}

/** Files of folders that were left out, the most frequent kind first; nothing when there are none. */
export function showIgnored(ignored: Readonly<Record<string, number>>): string {
  const kinds = Object.entries(ignored).sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
  if (kinds.length === 0) return ''
  const all = kinds.reduce((sum, [, number]) => sum + number, 0)
  const list = kinds.map(([kind, number]) => `${count(number)} ${printable(kind)}`).join(', ')
  return `left out ${count(all, 'file')} of folders: ${list}\n`
}

/** What a sync deleted; nothing when it was none. */
export const showDeleted = (deleted: number | null): string =>
  deleted === null
    ? ''
    : `${count(deleted)} deleted that ${deleted === 1 ? 'is' : 'are'} gone from the source\n`
