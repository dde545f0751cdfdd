import { type Command, Option } from 'commander'
import { type Client, similaritySchema } from './client.js'
import type { Similarity } from './contract.js'
import { printable } from './table.js'

interface SimilarityOptions {
  readonly json?: true
  readonly domain?: string
  readonly explain?: true
}

/** Words that are shown. */
const WORDS = 20

export function addSimilarity(program: Command, client: Client, write: (text: string) => void): void {
  program
    .command('similarity')
    .description('how near two texts are, -1 to 1')
    .argument('<a>', 'a text')
    .argument('<b>', 'another text')
    .option('-d, --domain <name>', 'whose model and levels; the default model otherwise')
    .option('--explain', 'every score, and the words that both texts have')
    .addOption(new Option('--json', 'print one JSON document on standard output'))
    .action(async (text_a: string, text_b: string, { json, ...options }: SimilarityOptions) => {
      const found = await client.post('/similarity', { text_a, text_b, ...options }, similaritySchema)
      write(json === true ? `${JSON.stringify(found)}\n` : showSimilarity(found))
    })
}

/** The similarity and its level; where it is explained the scores, and the words with their shares. */
export function showSimilarity({ similarity, level, model, explain }: Similarity): string {
  const head = `${similarity.toFixed(4)}  ${printable(level)}  (${printable(model)})\n`
  if (explain === undefined) return head
  const scores = Object.entries(explain.scores).map(([kind, score]) => `${kind} ${score?.toFixed(4) ?? '-'}`)
  const words = explain.matches
    .slice(0, WORDS)
    .map(({ token, weight }) => `  ${`${Math.round(100 * weight)} %`.padStart(5)}  ${printable(token)}\n`)
  const rest = explain.matches.length - words.length
  return [head, `  ${scores.join(', ')}\n`, ...words, ...(rest > 0 ? [`  and ${rest} more\n`] : [])].join('')
}
