import { Option } from 'commander'
import { timeWithin, within } from './numbers.js'
import { jsonObject } from './search.js'

/** What a generation is made with. */
export interface MakingOptions {
  readonly model?: string
  readonly chunking?: string
  readonly size?: number
  readonly overlap?: number
  readonly context?: string
  readonly template?: string
  readonly pooling?: string
  readonly parentSize?: number
  readonly cleaning?: Readonly<Record<string, unknown>>
  readonly storage?: string
  readonly outputs?: string
  readonly m?: number
  readonly efConstruction?: number
  readonly copy?: boolean
  readonly copySince?: string
}

/** How it is built and takes over. */
export interface RunOptions {
  readonly weight?: number
  readonly switch?: string
  readonly soak?: number
  readonly keepUpToDate?: boolean
  readonly thresholds?: string
  readonly gate?: Readonly<Record<string, unknown>>
}

export interface StartOptions extends MakingOptions, RunOptions {}

const KINDS = ['structure', 'markdown', 'sentence', 'fixed', 'document', 'parent']
const YEAR = 31_536_000

export const makingOptions = (): Option[] => [
  new Option('--model <id>', 'another model'),
  new Option('--chunking <kind>', 'another kind of chunking').choices(KINDS),
  new Option('--size <tokens>', 'tokens of a chunk at most').argParser(within(1, 1e6, true)),
  new Option('--overlap <tokens>', 'tokens that a chunk repeats of the one before it').argParser(
    within(0, 1e6, true),
  ),
  new Option('--context <kind>', 'what the model reads first').choices(['title', 'headings', 'none']),
  new Option('--template <text>', 'the same in words of your own, with {title} and {headings}'),
  new Option('--pooling <how>', 'of a whole document: how windows become one').choices(['mean', 'max']),
  new Option('--parent-size <tokens>', 'tokens of a parent at most').argParser(within(1, 1e6, true)),
  new Option('--cleaning <json>', 'steps to switch on or off, such as \'{"tables": false}\'').argParser(
    jsonObject,
  ),
  new Option('--storage <form>', 'how vectors are kept (docs/storage.md)').choices([
    'full',
    'half',
    'sq8',
    'sq4',
    'binary',
  ]),
  new Option('--outputs <list>', 'what is kept of a text, of dense,sparse,colbert'),
  new Option('--m <count>', 'neighbours of a vector in the index').argParser(within(2, 100, true)),
  new Option('--ef-construction <count>', 'candidates looked at while the index is built').argParser(
    within(4, 1_000, true),
  ),
  new Option('--no-copy', 'compute every vector anew, also of texts that stay'),
  new Option(
    '--copy-since <moment>',
    'take over only vectors of documents published since, such as 2026-01-31T00:00:00Z',
  ),
]

export const runOptions = (): Option[] => [
  new Option('--weight <share>', 'its share of embedding beside what is submitted, above 0 to 10').argParser(
    within(0.001, 10, false),
  ),
  new Option('--switch <when>', 'built: it takes over by itself (default: manual)').choices([
    'manual',
    'built',
  ]),
  new Option(
    '--soak <time>',
    'how long the one that it replaces stays, such as 12h or 7d (default: 1d)',
  ).argParser(timeWithin(60, YEAR)),
  new Option('--keep-up-to-date', 'the one that it replaces goes on getting what comes'),
  new Option('--thresholds <policy>', 'what becomes of thresholds at the switch').choices([
    'confirm',
    'carry',
    'defaults',
  ]),
  new Option('--gate <json>', 'what has to hold before, such as \'{"margin": 0.01}\'').argParser(jsonObject),
]

const filled = (fields: object): object | undefined => {
  const kept = Object.entries(fields).filter(([, value]) => value !== undefined)
  return kept.length === 0 ? undefined : Object.fromEntries(kept)
}

/** The options as HTTP takes them: what was not said is left out. */
export function wishesOf(options: StartOptions): object {
  const { chunking: kind, size, overlap, context, template, pooling, parentSize } = options
  const { m, efConstruction, outputs, copy, soak, ...rest } = options
  return (
    filled({
      model: rest.model,
      cleaning: rest.cleaning,
      chunking: filled({ kind, size, overlap, context, template, pooling, parentSize }),
      storage: rest.storage,
      outputs: outputs?.split(',').map((output) => output.trim()),
      index: filled({ m, efConstruction }),
      // The option is there, and true, unless it was refused.
      copy: copy === false ? false : undefined,
      copySince: rest.copySince,
      weight: rest.weight,
      switch: rest.switch,
      soakSeconds: soak,
      keepUpToDate: rest.keepUpToDate,
      thresholds: rest.thresholds,
      gate: rest.gate,
    }) ?? {}
  )
}
