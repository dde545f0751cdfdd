import type { Gate, Generation, GenerationPlan, Switched } from './generations-contract.js'
import { printable, table } from './table.js'
import { count, duration } from './words.js'

/** Bytes in the largest unit that leaves a number above 1. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let at = 0
  let left = value
  while (left >= 1_000 && at < units.length - 1) {
    left /= 1_000
    at++
  }
  return `${at === 0 ? left : left.toFixed(left < 10 ? 1 : 0)} ${units[at]}`
}

export function showGenerations(domain: string, generations: readonly Generation[]): string {
  if (generations.length === 0) return `${domain} has no generation\n`
  return table([
    ['id', 'state', 'model', 'storage', 'documents', 'copied', 'embedded', 'since'],
    ...generations.map((one) => [
      one.id,
      stateOf(one),
      one.model,
      one.storage,
      documentsOf(one),
      one.copied === null ? '–' : count(one.copied),
      one.embedded === null ? '–' : count(one.embedded),
      (one.endedAt ?? one.retiredAt ?? one.liveSince ?? one.startedAt ?? one.createdAt).slice(0, 16),
    ]),
  ])
}

/** It was to take over by itself, and its gate did not let it. */
export const isRefused = ({ state, switchAgainAt, gated }: Generation): boolean =>
  state === 'building' && switchAgainAt !== null && gated?.state === 'done' && gated.passed === false

/** building (embedding, paused); building (complete, gate refused); live (forced); retired until …; ended (soaked). */
function stateOf(generation: Generation): string {
  const { state, phase, paused, dropAt, endedBy, forced } = generation
  if (state === 'retired' && dropAt !== null) return `retired until ${dropAt.slice(0, 16)}`
  const more = [
    phase,
    paused && phase !== null ? 'paused' : null,
    isRefused(generation) ? 'gate refused' : null,
    state === 'live' && forced !== null ? 'forced' : null,
    endedBy,
  ].filter((part) => part !== null)
  return more.length === 0 ? state : `${state} (${more.join(', ')})`
}

const documentsOf = ({ documents }: Generation): string => {
  if (documents === null) return ''
  const failed = documents.failed === 0 ? '' : `, ${count(documents.failed)} failed`
  return `${count(documents.ready)} of ${count(documents.total)}${failed}`
}

/** Beside a bar or alone: what a build has done, its rate, the time left. */
export function buildNotes(generation: Generation): string[] {
  const { phase, copied, embedded, tokensPerSecond, etaSeconds, documents, paused } = generation
  const failed = documents?.failed ?? 0
  return [
    paused ? 'paused' : (phase ?? generation.state),
    copied !== null && copied > 0 ? `${count(copied)} copied` : '',
    embedded === null ? '' : `${count(embedded)} embedded`,
    tokensPerSecond !== null && tokensPerSecond > 0 ? `${count(Math.round(tokensPerSecond))} tokens/s` : '',
    etaSeconds !== null && etaSeconds > 0 ? `${duration(etaSeconds)} left` : '',
    failed > 0 ? `${count(failed)} failed` : '',
  ].filter((note) => note !== '')
}

export function showGeneration(generation: Generation, language: 'en' | 'zh' = 'en'): string {
  const { id, domain, recipe, errors, error, documents } = generation
  const chunking = recipe.chunking as { kind?: string; size?: number; overlap?: number } | undefined
  const rows = [
    ['model', `${generation.model}, ${count(generation.dims, 'dimension')}`],
    ...(chunking === undefined
      ? []
      : [['chunks', `${chunking.kind}, ${chunking.size} tokens, overlap ${chunking.overlap}`]]),
    ['kept', `${generation.outputs.join(', ')} as ${generation.storage}`],
    ...(generation.copiedFrom === null
      ? []
      : [
          [
            'precision',
            `of ${generation.copiedFrom}, from which its vectors were copied; --no-copy computes them anew`,
          ],
        ]),
    [
      'index',
      `m ${generation.index.m}, efConstruction ${generation.index.efConstruction}${generation.index.ready ? '' : ' (none yet)'}`,
    ],
    ...(documents === null ? [] : [['documents', documentLine(documents)]]),
    ['texts', textLine(generation)],
    ...buildRows(generation),
    ...verdictRows(generation, language),
    ...datesOf(generation),
  ]
  return [
    `${domain}: generation ${id} is ${stateOf(generation)}\n`,
    table(rows.map(([name = '', value = '']) => [`  ${name}`, value])),
    error === null ? '' : `  cannot go on: ${printable(`${error.code}: ${error.message}`)}\n`,
    ...errors.map(
      ({ code, count: failed, example }) =>
        `  ${count(failed, 'document')} failed with ${code}, e.g. ${printable(`${example.document}: ${example.message}`)}\n`,
    ),
  ].join('')
}

const textLine = ({ copied, embedded, tokensEmbedded }: Generation): string =>
  copied === null || embedded === null
    ? 'embedded for ingestions: it came with the domain'
    : `${count(copied)} copied, ${count(embedded)} embedded (${count(tokensEmbedded ?? 0, 'token')})`

const documentLine = (documents: NonNullable<Generation['documents']>): string =>
  [
    `${count(documents.ready)} of ${count(documents.total)} ready`,
    ...(['waiting', 'preparing', 'embedding', 'failed'] as const).flatMap((state) =>
      documents[state] === 0 ? [] : [`${count(documents[state])} ${state}`],
    ),
  ].join(', ')

function buildRows(generation: Generation): string[][] {
  if (generation.state !== 'building') return []
  const { weight, tokensPerSecond, etaSeconds } = generation
  const speed = [
    `weight ${weight}`,
    ...(tokensPerSecond === null ? [] : [`${count(Math.round(tokensPerSecond))} tokens/s`]),
    ...(etaSeconds === null || etaSeconds === 0 ? [] : [`${duration(etaSeconds)} left`]),
  ]
  const stays = `${duration(generation.soakSeconds)}${generation.keepUpToDate ? ', kept up to date' : ''}`
  return [
    ['build', speed.join(', ')],
    ['switch', generation.switch === 'built' ? 'by itself once it is built' : 'by hand'],
    ['the old one', `stays ${stays}`],
    ['thresholds', generation.thresholds],
  ]
}

/** What the gate said, when it is asked again, and who overruled it with what reason. */
function verdictRows(generation: Generation, language: 'en' | 'zh'): string[][] {
  const { state, gated, forced, switchAgainAt } = generation
  const said = gated?.sentence?.[language]
  const isOpen = state === 'building' && gated?.state === 'done' && said !== undefined
  const overruled = forced?.gated?.sentence?.[language]
  return [
    ...(isOpen ? [['gate', `${verdictOf(gated)}: ${said}`]] : []),
    ...(isRefused(generation) && switchAgainAt !== null ? [['tried again', switchAgainAt]] : []),
    ...(forced === null ? [] : [['forced', `${forced.reason} (${forced.at})`]]),
    ...(overruled === undefined ? [] : [['although', overruled]]),
  ]
}

/** Where the two only find alike nothing passed: it is not refused. */
const verdictOf = ({ passed, evidence }: { passed?: boolean | undefined; evidence?: string | undefined }) =>
  passed !== true ? 'refused' : evidence === 'overlap' ? 'weak evidence, not refused' : 'passed'

const datesOf = (generation: Generation): string[][] =>
  (
    [
      ['begun', generation.startedAt ?? generation.createdAt],
      ['built', generation.builtAt],
      ['live since', generation.state === 'live' ? generation.liveSince : null],
      ['retired', generation.retiredAt],
      ['goes', generation.state === 'retired' ? generation.dropAt : null],
      ['ended', generation.endedAt],
    ] as const
  ).flatMap(([name, at]) => (at === null ? [] : [[name, at]]))

export function showPlan(domain: string, plan: GenerationPlan): string {
  const { documents, chunks, tokens, hours, speed, sampled, changes, adapted } = plan
  return [
    `${domain}: another generation, for a change of ${changes.join(', ')}\n`,
    table([
      ['  documents', count(documents)],
      ['  chunks', chunkLine(chunks)],
      ['  tokens', `${count(tokens.total)}: ${count(tokens.embedded)} to embed`],
      ['  time', timeOf(hours, speed)],
      ['  on disk', `${bytes(plan.bytes)} beside the live one, about`],
    ]),
    sampled === null ? '' : `  an estimate: ${count(sampled, 'document')} stand for all\n`,
    plan.copiedFrom === null
      ? ''
      : `  what is copied has the precision of ${plan.copiedFrom}: --no-copy computes it anew\n`,
    ...adapted.map(
      ({ field, from, to }) => `  ${field} becomes ${to} instead of ${from}: the model takes no more\n`,
    ),
  ].join('')
}

/** What is neither copied nor embedded has the text of another one. */
function chunkLine({ total, copied, embedded }: GenerationPlan['chunks']): string {
  const repeated = total - copied - embedded
  const rest = repeated > 0 ? `, ${count(repeated)} with the text of another` : ''
  return `${count(total)}: ${count(copied)} copied, ${count(embedded)} embedded${rest}`
}

function timeOf(hours: number | null, speed: GenerationPlan['speed']): string {
  if (hours === 0) return 'nothing to embed'
  if (hours === null || speed === null) return 'not known: nothing was embedded here yet'
  const by = `${count(Math.round(speed.tokensPerSecond))} tokens/s, measured with ${speed.of === 'this model' ? 'this' : 'another'} model`
  return `${hours * 3_600 < 1 ? 'less than a second' : duration(hours * 3_600)} at ${by}`
}

export function showSwitched({ domain, live, retired, replaced, again, behind }: Switched): string {
  if (retired === null) return `${domain}: generation ${live} is live already\n`
  return [
    `${domain}: generation ${live} is live, ${retired} stays for its soak time\n`,
    replaced === null ? '' : `${replaced} was kept until now: it goes, ${retired} is the one to go back to\n`,
    again === 0 ? '' : `${count(again, 'document')} on the way: prepared again for it\n`,
    behind === 0 ? '' : `${count(behind, 'document')} came while it was not live: received again\n`,
  ].join('')
}

/** What came of a gate: a sentence, the figures side by side, and the questions that got worse. */
export function showGate({ settings, report }: Gate, language: 'en' | 'zh'): string {
  if (report === null) return 'the gate never ran: millrace generations gate runs it\n'
  const { golden, sentence } = report
  const figure = (value: number | undefined) => (value === undefined ? '' : value.toFixed(4))
  return [
    `${verdictOf(report)}: ${printable(sentence[language])}\n`,
    golden === null || golden.live === null
      ? ''
      : table([
          ['', `generation ${report.live}`, `generation ${report.other}`, ''],
          ...Object.entries(golden.live).map(([name, value]) => [
            name,
            figure(value),
            figure(golden.other?.[name]),
            golden.failed.includes(name) ? `worse by more than ${settings.margin}` : '',
          ]),
        ]),
    golden === null || golden.worse.total === 0
      ? ''
      : `${count(golden.worse.total, 'question')} got worse:\n${table(
          golden.worse.first.map(({ question, live, other }) => [
            `  ${question}`,
            `${live.rank ?? 'not found'} -> ${other.rank ?? 'not found'}`,
          ]),
        )}`,
  ].join('')
}
