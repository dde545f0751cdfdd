import { type Command, Option } from 'commander'
import { type Client, explainSchema } from './client.js'
import type { Explained } from './contract.js'
import { domainPath } from './domain.js'
import { within } from './numbers.js'
import { jsonObject } from './search.js'
import { printable } from './table.js'

interface ExplainOptions {
  readonly json?: true
  readonly domain: string
  readonly k: number
  readonly threshold?: number
  readonly mode?: string
  readonly fusion?: string
  readonly rerank?: string
  readonly filter?: Readonly<Record<string, unknown>>
}

/** Characters of a passage that are shown. */
const PASSAGE_CHARS = 120

export function addExplain(program: Command, client: Client, write: (text: string) => void): void {
  program
    .command('explain')
    .description('why a document is among the hits of a search, or not')
    .argument('<document>', 'its id')
    .argument('<query>', 'what was searched for')
    .requiredOption('-d, --domain <name>', 'the domain that is searched')
    .option('-k <count>', 'hits at most, 1 to 1000', within(1, 1_000, true), 5)
    .option('--threshold <score>', 'least score of a hit; the domain has its own', within(-1, 1e9, false))
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
    .addOption(new Option('--json', 'print one JSON document on standard output'))
    .action(async (documentId: string, query: string, options: ExplainOptions) => {
      const { domain, json, rerank, ...rest } = options
      const body = { documentId, query, ...rest, ...(rerank === undefined ? {} : { rerank: { by: rerank } }) }
      const explained = await client.post(`${domainPath(domain)}/explain`, body, explainSchema)
      write(json === true ? `${JSON.stringify(explained)}\n` : showExplained(explained, client.language))
      if (explained.verdict === 'UNKNOWN_DOCUMENT') process.exitCode = 1
    })
}

/** The verdict, the sentence, and the best chunks with their scores. */
export function showExplained(
  { verdict, sentence, chunks, details }: Explained,
  language: 'zh' | 'en',
): string {
  const places = Object.entries(details.exact ?? {}).map(([kind, { score, place, chunks: all }]) =>
    place === null
      ? `  ${kind}: ${score.toFixed(4)}, its place could not be worked out in time\n`
      : `  ${kind}: ${score.toFixed(4)}, number ${place} of ${all} when all are compared\n`,
  )
  const passages = chunks.map(({ chunk, text, scores }) => {
    const shown = Object.entries(scores).map(([kind, score]) => `${kind} ${score.toFixed(4)}`)
    return `  chunk ${chunk}  ${shown.join(', ')}\n    ${passage(text)}\n`
  })
  return [`${verdict}: ${printable(sentence[language])}\n`, ...places, ...passages].join('')
}

const passage = (text: string): string => {
  const line = printable(text).replaceAll(/\s+/g, ' ')
  return line.length > PASSAGE_CHARS ? `${line.slice(0, PASSAGE_CHARS).toWellFormed()}…` : line
}
