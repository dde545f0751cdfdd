import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Client } from './client.js'
import { type Thresholds, thresholdsSchema } from './generations-contract.js'
import { printable, table } from './table.js'
import { KINDS, setOne, type ThresholdsSet } from './thresholds.js'

interface ThresholdOptions {
  readonly json?: true
  readonly accept?: true | readonly string[]
  readonly set?: ThresholdsSet
  readonly fresh?: true
}

/** `dense,hybrid` as a list. */
function kindList(value: string): string[] {
  const kinds = value.split(',').map((kind) => kind.trim())
  if (kinds.every((kind) => KINDS.includes(kind))) return kinds
  throw new InvalidArgumentError(`It must be some of ${KINDS.join(',')}, or nothing: all.`)
}

/** `millrace generations thresholds`. @param pathOf where a generation is over HTTP */
export function addThresholds(
  generations: Command,
  client: Client,
  write: (text: string) => void,
  pathOf: (domain: string, id: string | undefined) => Promise<string>,
): void {
  generations
    .command('thresholds')
    .description('what the thresholds of the live generation are under another one; accept or replace them')
    .argument('<domain>', 'the domain')
    .argument('[id]', 'its id; left out: the one that is being built')
    .addOption(
      new Option('--accept [kinds]', 'take the new numbers: all, or of some kinds of score').argParser(
        kindList,
      ),
    )
    .addOption(
      new Option('--set <kind=score>', 'another number, or none; may be said several times').argParser(
        setOne,
      ),
    )
    .option('--fresh', 'measure anew')
    .addOption(new Option('--json', 'print one JSON document on standard output'))
    .action(async (domain: string, id: string | undefined, options: ThresholdOptions) => {
      const { accept, set, fresh, json } = options
      const path = `${await pathOf(domain, id)}/thresholds`
      const decision = {
        ...(accept === undefined ? {} : { accept }),
        ...(set === undefined ? {} : { thresholds: set }),
      }
      const found =
        Object.keys(decision).length === 0
          ? await client.get(`${path}${fresh === true ? '?fresh=true' : ''}`, thresholdsSchema)
          : await client.put(path, decision, thresholdsSchema)
      write(json === true ? `${JSON.stringify(found)}\n` : showThresholds(found))
    })
}

const DIGITS = 4
const figure = (value: number | null): string => (value === null ? 'none' : value.toFixed(DIGITS))

/** `unrelated (golden, logged)`: how it was found, and what was asked. */
const wayOf = ({ method, pairs: { from } }: Thresholds['items'][number]): string =>
  method === 'golden' || from.length === 0 ? method : `${method} (${from.join(', ')})`

export function showThresholds({ items, notes }: Thresholds): string {
  const range = (low: number | null, high: number | null) =>
    low === null || high === null ? '' : `${figure(low)} to ${figure(high)}`
  return [
    items.length === 0
      ? ''
      : table([
          ['score', 'of', 'old', 'new', '95 of 100', 'by', 'sure', 'state'],
          ...items.map((one) => [
            one.score,
            one.item,
            figure(one.old),
            one.state === 'replaced' ? figure(one.decided) : figure(one.new),
            range(one.low, one.high),
            wayOf(one),
            one.sureness,
            one.state,
          ]),
        ]),
    ...items
      .filter((one) => one.new === null || one.sureness === 'low')
      .map((one) => `${one.score} ${one.item}: ${printable(one.why)}\n`),
    ...notes.map((note) => `${printable(note)}\n`),
    items.some(({ state }) => state === 'proposed')
      ? '--accept takes the new numbers from the switch on, --set KIND=SCORE others\n'
      : '',
  ].join('')
}
