import { CodedError } from '@millrace/errors'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { z } from 'zod'
import type { Client } from './client.js'
import { domainPath } from './domain.js'
import { finished } from './golden.js'
import { comparisonSchema, runSchema } from './golden-contract.js'
import { showComparison } from './golden-show.js'
import { within } from './numbers.js'
import { jsonObject } from './search.js'
import { printable, table } from './table.js'
import { count } from './words.js'

const placed = z.object({ rank: z.number(), score: z.number(), level: z.string().nullable() })
const compared = z.object({
  query: z.string().nullable(),
  a: z.object({ rankedBy: z.string(), threshold: z.number().nullable() }),
  b: z.object({ rankedBy: z.string(), threshold: z.number().nullable() }),
  moved: z.record(z.string(), z.number()),
  rows: z.array(
    z.object({
      documentId: z.string(),
      move: z.string(),
      a: placed.nullable(),
      b: placed.nullable(),
      why: z.array(z.object({ code: z.string(), en: z.string(), zh: z.string() })),
    }),
  ),
})
const failed = z.object({
  query: z.string().nullable(),
  error: z.object({ code: z.string(), message: z.string() }),
})
const compareSchema = z.object({
  generations: z.array(
    z.object({ id: z.string(), state: z.string(), model: z.string(), documents: z.number() }),
  ),
  results: z.array(z.union([compared, failed])),
  golden: z
    .object({
      state: z.string(),
      runs: z.object({ a: z.string(), b: z.string() }),
      comparison: comparisonSchema.nullable(),
    })
    .nullable(),
  warnings: z.array(z.object({ code: z.string(), message: z.string() })),
})
type Compared = z.infer<typeof compareSchema>

interface CompareOptions {
  readonly json?: true
  readonly generations?: readonly [string, string]
  readonly golden?: true
  readonly k: number
  readonly mode?: string
  readonly filter?: Readonly<Record<string, unknown>>
}

/** `7,9` as two ids. */
function twoIds(value: string): readonly [string, string] {
  const [a, b, ...rest] = value.split(',').map((id) => id.trim())
  if (a && b && rest.length === 0) return [a, b]
  throw new InvalidArgumentError('It must be two ids with a comma between them, such as 7,9.')
}

/** `millrace compare`: what two generations of a domain find. */
export function addCompare(program: Command, client: Client, write: (text: string) => void): void {
  program
    .command('compare')
    .description('what two generations of a domain find, side by side: what moved, and why')
    .argument('<domain>', 'the domain')
    .argument('[query]', 'what to look for, in your own words')
    .option(
      '--generations <a,b>',
      'two ids (default: the live one, and the one that is built or was live before)',
      twoIds,
    )
    .option('--golden', 'instead of a query: all questions of the golden set')
    .option('-k <count>', 'hits of each, 1 to 100', within(1, 100, true), 10)
    .addOption(
      new Option('--mode <mode>', "by meaning, words or both; left out: the domain's").choices([
        'dense',
        'sparse',
        'hybrid',
      ]),
    )
    .option('--filter <json>', 'what documents must have, such as \'{"lang": "en"}\'', jsonObject)
    .addOption(new Option('--json', 'print one JSON document on standard output'))
    .action(async (domain: string, query: string | undefined, options: CompareOptions) => {
      const { json, ...rest } = options
      if ((query === undefined) === (options.golden === undefined)) {
        throw new CodedError('NO_QUERY', 'It takes either a query or --golden', {
          hint: 'millrace compare DOMAIN "what to look for", or millrace compare DOMAIN --golden',
        })
      }
      const path = domainPath(domain)
      const body = { ...rest, ...(query === undefined ? {} : { query }) }
      const done = await whole(client, path, await client.post(`${path}/compare`, body, compareSchema))
      write(json === true ? `${JSON.stringify(done)}\n` : showCompared(done, client.language))
    })
}

/** A large golden set is asked by workers: waits until it is. */
async function whole(client: Client, path: string, done: Compared): Promise<Compared> {
  const { golden } = done
  if (golden === null || golden.comparison !== null) return done
  const { a, b } = golden.runs
  for (const id of [a, b]) {
    const run = `${path}/golden`
    await finished(client, run, await client.get(`${run}/runs/${id}`, runSchema))
  }
  const comparison = await client.get(`${path}/golden/runs/${a}/compare/${b}`, comparisonSchema)
  return { ...done, golden: { ...golden, state: 'finished', comparison } }
}

export function showCompared(
  { generations, results, golden, warnings }: Compared,
  language: 'zh' | 'en',
): string {
  const [a, b] = generations
  const about = [a, b].map((one, n) => [
    `${n === 0 ? 'a' : 'b'}:`,
    `generation ${one?.id}`,
    one?.state ?? '',
    one?.model ?? '',
    count(one?.documents ?? 0, 'document'),
  ])
  return [
    table(about),
    ...warnings.map(({ message }) => `${printable(message)}\n`),
    ...results.map((result) => showResult(result, language)),
    golden?.comparison == null ? '' : showComparison(golden.comparison),
  ].join('')
}

function showResult(result: Compared['results'][number], language: 'zh' | 'en'): string {
  if ('error' in result) return `${result.error.code}: ${printable(result.error.message)}\n`
  const { rows, moved } = result
  if (rows.length === 0) return 'neither finds anything\n'
  const at = (hit: (typeof rows)[number]['a']) =>
    hit === null ? '' : `${hit.rank} (${hit.score.toFixed(4)})`
  const cells = rows.map(({ documentId, move, a, b, why }) => [
    documentId,
    at(a),
    at(b),
    move,
    why[0]?.[language] ?? '',
  ])
  const sums = Object.entries(moved).flatMap(([move, rows]) => (rows === 0 ? [] : [`${count(rows)} ${move}`]))
  return `${sums.join(', ')}\n${table([['document', 'a', 'b', 'move', 'why'], ...cells])}`
}
