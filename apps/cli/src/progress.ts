import { SingleBar } from 'cli-progress'
import type { Ingestion } from './client.js'

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
    format: `${options.label ?? 'ingesting'} {bar} {value}/{total} documents  {tokens} tokens  {rate}`,
    barsize: 30,
    hideCursor: true,
    noTTYOutput: options.always ?? false,
    notTTYSchedule: 1_000,
    stream: process.stderr,
    forceRedraw: true,
  })
  return {
    start: (documents) => drawn.start(documents, 0, { tokens: 0, rate: '' }),
    update: (ingestions, problems) => {
      const done = ingestions.reduce(
        (sum, { documents }) => sum + documents.ready + documents.failed + documents.cancelled,
        problems,
      )
      const tokens = ingestions.reduce((sum, one) => sum + one.tokens.embedded, 0)
      const rate = ingestions.reduce((sum, { tokensPerSecond }) => sum + (tokensPerSecond ?? 0), 0)
      drawn.update(done, {
        tokens: tokens.toLocaleString('en'),
        rate: rate === 0 ? '' : `${Math.round(rate).toLocaleString('en')} tokens/s`,
      })
    },
    stop: () => drawn.stop(),
  }
}
