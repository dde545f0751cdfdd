import { SingleBar } from 'cli-progress'
import type { Ingestion } from './client.js'
import { count, duration } from './words.js'

export interface Progress {
  start(documents: number): void
  /** All ingestions as they stand, and the files that never got that far. */
  update(ingestions: readonly Ingestion[], problems: number): void
  stop(): void
}

/** Nothing is shown: for `--json` and for pipes. */
export const silent: Progress = { start: () => undefined, update: () => undefined, stop: () => undefined }

/** A bar on standard error; cli-progress draws nothing where that is not a terminal unless `always`. */
export function bar(options: { readonly always?: boolean; readonly label?: string } = {}): Progress {
  const drawn = new SingleBar({
    format: `${options.label ?? 'ingesting'} {bar} {value}/{total} documents  {notes}`,
    barsize: 24,
    hideCursor: true,
    noTTYOutput: options.always ?? false,
    notTTYSchedule: 1_000,
    stream: process.stderr,
    forceRedraw: true,
    linewrap: false,
  })
  return {
    start: (documents) => drawn.start(documents, 0, { notes: '' }),
    update: (ingestions, problems) => {
      const notes = notesOf(ingestions, problems).join('  ')
      drawn.update(doneOf(ingestions) + problems, { notes })
      const total = ingestions.reduce((sum, { documents }) => sum + documents.total, problems)
      if (total > drawn.getTotal()) drawn.setTotal(total)
    },
    stop: () => drawn.stop(),
  }
}

/** Documents that have come to their end. */
const doneOf = (ingestions: readonly Ingestion[]): number =>
  ingestions.reduce((sum, { documents: d }) => sum + d.ready + d.failed + d.cancelled, 0)

/**
 * What a bar says beside the documents: tokens, their rate, the time left, errors, a sync and an index at work. Of
 * several ingestions the rates add up, and the time left is the longest: they share the workers.
 */
export function notesOf(ingestions: readonly Ingestion[], problems = 0): string[] {
  const running = ingestions.filter(({ state }) => state === 'running')
  const sum = (of: (ingestion: Ingestion) => number) => ingestions.reduce((all, one) => all + of(one), 0)
  const rate = running.reduce((all, { tokensPerSecond }) => all + (tokensPerSecond ?? 0), 0)
  const left = Math.max(-1, ...running.map(({ etaSeconds }) => etaSeconds ?? -1))
  const errors = problems + sum(({ documents, rejected }) => documents.failed + rejected.total)
  const building = ingestions.find(({ index }) => index.state === 'building')?.index
  const syncing = running.some(
    ({ sync, receiving, documents: d }) =>
      sync?.state === 'waiting' && !receiving && d.received + d.preparing + d.embedding === 0,
  )
  return [
    `${count(
      sum(({ tokens }) => tokens.embedded),
      'token',
    )}`,
    rate > 0 ? `${count(Math.round(rate))} tokens/s` : '',
    left >= 0 ? `${duration(left)} left` : '',
    errors > 0 ? count(errors, 'error') : '',
    running.some(({ receiving }) => receiving) ? 'still sending' : '',
    syncing ? 'deleting what is gone' : '',
    building === undefined ? '' : indexNote(building),
  ].filter((note) => note !== '')
}

const indexNote = ({ percent }: Ingestion['index']): string =>
  `building the index${percent === undefined ? '' : ` ${percent} %`}`
