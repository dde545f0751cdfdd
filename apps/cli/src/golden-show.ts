import {
  type GoldenComparison,
  type GoldenReport,
  type GoldenRun,
  METRICS,
  type MetricName,
  type Metrics,
  type RecallReport,
} from './golden-contract.js'
import { printable, table } from './table.js'
import { count } from './words.js'

/** Misses, or questions that moved, that are listed; --json has more. */
const LISTED = 20
const QUESTION_CHARS = 60
/** Less than this is how numbers are rounded. */
const ROUNDING = 1e-9

const NAMES: Readonly<Record<MetricName, string>> = {
  hitAt1: 'hit@1',
  hitAt3: 'hit@3',
  hitAt10: 'hit@10',
  mrrAt10: 'MRR@10',
  ndcgAt10: 'nDCG@10',
  passed: 'passed',
}

const share = (value: number): string => value.toFixed(4)
const signed = (value: number): string => `${value < 0 ? '-' : '+'}${share(Math.abs(value))}`

const short = (question: string): string => {
  const line = printable(question).replaceAll(/\s+/g, ' ')
  return line.length > QUESTION_CHARS ? `${line.slice(0, QUESTION_CHARS).toWellFormed()}…` : line
}

const indented = (rows: readonly (readonly string[])[]): string =>
  table(rows.map(([first = '', ...rest]) => [`  ${first}`, ...rest]))

const more = (total: number, shown: number): string =>
  total > shown ? `  … and ${count(total - shown)} more: --json lists them\n` : ''

export function showRun(run: GoldenReport): string {
  const { metrics, grades } = run
  return [
    `run ${run.id} of ${run.domain}: ${count(run.questions, 'question')}, the first ${count(run.k, 'hit')} of each, ` +
      `${run.mode}, ${run.model}\n`,
    metrics === null
      ? 'nothing was measured\n'
      : table(METRICS.map((name) => [NAMES[name], share(metrics[name])])),
    grades === null
      ? ''
      : `grades: ${Object.entries(grades)
          .map(([grade, questions]) => `${grade} ${count(questions)}`)
          .join(', ')}\n`,
    run.belowThreshold === null || run.belowThreshold === 0
      ? ''
      : `${count(run.belowThreshold)} of those that passed are below the threshold, ${run.threshold}\n`,
    missesOf(run),
    unmeasuredOf(run),
  ].join('')
}

function missesOf({ missed, misses, k }: GoldenReport): string {
  if (misses === null || misses === 0) return ''
  const shown = missed.slice(0, LISTED)
  const rows = shown.flatMap(({ question, documentIds, rank, score, instead }) => [
    [short(question), documentIds.join(' '), placeOf(rank, k), scoreOf(score)],
    ...(instead ?? [])
      .filter(({ documentId }) => !documentIds.includes(documentId))
      .map((hit) => ['', `instead: ${hit.documentId}`, '', scoreOf(hit.score)]),
  ])
  return (
    `${count(misses)} missed:\n` +
    indented([['question', 'expected', 'rank', 'score'], ...rows]) +
    more(misses, shown.length)
  )
}

/** Among the first K and a miss all the same: its score is on the last level. */
const placeOf = (rank: number | null, k: number): string =>
  rank === null ? '> 100' : rank <= k ? `${rank}, too weak` : String(rank)

const scoreOf = (score: number | null): string => (score === null ? '' : share(score))

function unmeasuredOf({ unmeasured, notMeasured }: GoldenReport): string {
  if (unmeasured === null) return ''
  const total = Object.values(unmeasured).reduce((sum, questions) => sum + questions, 0)
  if (total === 0) return ''
  const shown = notMeasured.slice(0, LISTED)
  const rows = shown.map(({ question, absent, error }) => [
    short(question),
    error === null
      ? absent.map(({ documentId, reason, state }) => `${documentId}: ${state ?? reason}`).join(', ')
      : `${error.code}: ${error.message}`,
  ])
  return `${count(total)} not measured, and in no figure above:\n${indented(rows)}${more(total, shown.length)}`
}

export function showRuns(runs: readonly GoldenRun[]): string {
  if (runs.length === 0) return 'no runs yet: millrace golden run DOMAIN\n'
  const rows = runs.map((run) => [
    run.id,
    run.startedAt.slice(0, 16).replace('T', ' '),
    run.state === 'running' ? `${count(run.done)} of ${count(run.questions)}` : run.state,
    count(run.measured ?? 0),
    String(run.k),
    run.mode,
    ...METRICS.map((name) => (run.metrics === null ? '' : share(run.metrics[name]))),
    run.note ?? '',
  ])
  const head = [
    'run',
    'begun',
    'state',
    'measured',
    'k',
    'mode',
    ...METRICS.map((name) => NAMES[name]),
    'note',
  ]
  return table([head, ...rows])
}

export function showComparison(comparison: GoldenComparison): string {
  const { before, after, common, metrics, worse, better, lost, sameQuestions } = comparison
  const others = (['added', 'removed', 'changed', 'unmeasured'] as const).filter(
    (name) => comparison[name].total > 0,
  )
  return [
    `run ${after.id} beside run ${before.id}: ${count(common, 'question')} in common\n`,
    sameQuestions
      ? ''
      : `only those are compared; not: ${others
          .map((name) => `${count(comparison[name].total)} ${WORDS[name]}`)
          .join(', ')}\n`,
    metrics.before === null || metrics.after === null
      ? ''
      : changes(before.id, after.id, metrics.before, metrics.after),
    lostOf(lost),
    movedOf('worse', worse),
    movedOf('better', better),
  ].join('')
}

const WORDS = {
  added: 'new',
  removed: 'gone',
  changed: 'that expect other documents now',
  unmeasured: 'that one of the runs could not measure',
} as const

const changes = (from: string, to: string, before: Metrics, after: Metrics): string =>
  table([
    ['', `run ${from}`, `run ${to}`, 'change'],
    ...METRICS.map((name) => [
      NAMES[name],
      share(before[name]),
      share(after[name]),
      signed(after[name] - before[name]),
    ]),
  ])

function movedOf(how: string, { total, first }: GoldenComparison['worse']): string {
  if (total === 0) return ''
  const shown = first.slice(0, LISTED)
  const at = ({ rank, score }: (typeof first)[number]['before']) =>
    rank === null ? '> 100' : `${rank} (${scoreOf(score)})`
  const rows = shown.map((one) => [short(one.question), at(one.before), at(one.after)])
  return `${count(total)} ${how}:\n${indented([['question', 'before', 'after'], ...rows])}${more(total, shown.length)}`
}

function lostOf({ total, first }: GoldenComparison['lost']): string {
  if (total === 0) return ''
  const shown = first.slice(0, LISTED)
  const rows = shown.map(({ question }) => [short(question)])
  return `${count(total)} measured before and not now:\n${indented(rows)}${more(total, shown.length)}`
}

/** What got worse, in words: metrics that fell by more than `maxDrop`, and questions that cannot be measured any more. */
export function worsened({ metrics, lost }: GoldenComparison, maxDrop: number): string[] {
  const { before, after } = metrics
  const gone = lost.total === 0 ? [] : [`${count(lost.total, 'question')} measured before and not now`]
  if (before === null || after === null) return gone
  const fell = METRICS.filter((name) => before[name] - after[name] > maxDrop + ROUNDING)
  return [...fell.map((name) => `${NAMES[name]} fell by ${share(before[name] - after[name])}`), ...gone]
}

export function showRecall(report: RecallReport): string {
  const { index, latencyMs } = report
  const ms = (value: number | null | undefined) => (value == null ? '' : value.toFixed(2))
  return [
    `${report.domain}: ${count(report.sampled)} of about ${count(report.vectors, 'vector')}\n`,
    index === null
      ? 'index: none\n'
      : `index: HNSW, m ${index.m}, ef_construction ${index.efConstruction}, ef_search ${index.efSearch}\n`,
    table([
      ['', 'recall', 'p50 ms', 'p95 ms'],
      ...report.recall.map((at) => [
        `k ${at.k}`,
        at.recall === null ? '' : share(at.recall),
        ms(at.latencyMs?.p50),
        ms(at.latencyMs?.p95),
      ]),
      ['exact', '', ms(latencyMs.exact.p50), ms(latencyMs.exact.p95)],
    ]),
    ...report.notes.map((note) => `${note}\n`),
  ].join('')
}
