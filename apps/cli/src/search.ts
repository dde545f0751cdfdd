import { type Command, InvalidArgumentError, Option } from 'commander'
import { type Client, searchSchema } from './client.js'
import { domainPath } from './domain.js'
import { within } from './numbers.js'
import { showHits } from './show.js'
import { soughtOf } from './vector.js'

interface SearchOptions {
  readonly json?: true
  readonly domain: string
  readonly k: number
  readonly threshold?: number
  readonly vector?: string
  readonly mode?: string
  readonly fusion?: string
  readonly rerank?: string
  readonly filter?: Readonly<Record<string, unknown>>
  readonly exact?: true
  readonly generation?: string
}

/** An option's value as an object. */
export function jsonObject(value: string): Record<string, unknown> {
  const parsed = attempt(value)
  if (parsed !== null && typeof parsed === 'object' && !Array.isArray(parsed)) return { ...parsed }
  throw new InvalidArgumentError('It must be a JSON object, such as \'{"lang": "en"}\'.')
}

function attempt(value: string): unknown {
  try {
    return JSON.parse(value)
  } catch {
    return undefined
  }
}

export function addSearch(program: Command, client: Client, write: (text: string) => void): void {
  program
    .command('search')
    .description('the chunks of a domain that fit best, by meaning, words or both')
    .argument('[query]', 'what to look for, in your own words')
    .requiredOption('-d, --domain <name>', 'the domain to search')
    .option('--vector <file>', 'instead of a query: a JSON array of numbers; - is standard input')
    .option('-k <count>', 'hits at most, 1 to 1000', within(1, 1_000, true), 5)
    .option(
      '--threshold <score>',
      'least score of a hit; of similarities -1 to 1; the domain has its own',
      within(-1, 1e9, false),
    )
    .addOption(
      new Option('--mode <mode>', "by meaning, words or both; left out: the domain's").choices([
        'dense',
        'sparse',
        'hybrid',
      ]),
    )
    .option('--fusion <preset>', 'with --mode hybrid: how both are put together, such as rrf')
    .option('--rerank <by>', 'colbert, or the id of a model that reranks')
    .option('--filter <json>', 'what documents must have, such as \'{"lang": "en"}\'', jsonObject)
    .option('--exact', 'without the index')
    .option('--generation <id>', 'one that is built or retired, to try it; left out: the live one')
    .addOption(new Option('--json', 'print one JSON document on standard output'))
    .action(async (query: string | undefined, options: SearchOptions) => {
      const { domain, vector, json, rerank, ...rest } = options
      const sought = await soughtOf(query, vector, process.stdin)
      const body = { ...sought, ...rest, ...(rerank === undefined ? {} : { rerank: { by: rerank } }) }
      const found = await client.post(`${domainPath(domain)}/search`, body, searchSchema)
      write(
        json === true ? `${JSON.stringify(found)}\n` : showHits(query ?? `the vector in ${vector}`, found),
      )
    })
}
