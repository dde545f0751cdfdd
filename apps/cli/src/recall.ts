import { type Command, Option } from 'commander'
import type { Client } from './client.js'
import { domainPath } from './domain.js'
import { recallSchema } from './golden-contract.js'
import { showRecall } from './golden-show.js'
import { numberList, within } from './numbers.js'

interface RecallOptions {
  readonly json?: true
  readonly sample: number
  readonly from: string
  readonly k: string
  readonly efSearch?: number
}

export function addRecall(program: Command, client: Client, write: (text: string) => void): void {
  program
    .command('recall')
    .description("how many of the true nearest a domain's index finds, and how long that takes")
    .argument('<domain>', 'the domain')
    .option('--sample <count>', 'searches, 1 to 1000', within(1, 1_000, true), 100)
    .addOption(
      new Option('--from <what>', 'search with stored vectors, or with what was asked last (QUERY_LOG=text)')
        .choices(['vectors', 'queries'])
        .default('vectors'),
    )
    .option(
      '-k <list>',
      'recall at so many hits, 1 to 500, at most 10 of them with commas between',
      numberList(1, 500, 10),
      '1,10,100',
    )
    .option(
      '--ef-search <count>',
      "how far the index looks, 1 to 1000, instead of the domain's",
      within(1, 1_000, true),
    )
    .addOption(new Option('--json', 'print one JSON document on standard output'))
    .action(async (domain: string, { sample, from, k, efSearch, json }: RecallOptions) => {
      const query = new URLSearchParams({ sample: String(sample), from, k })
      if (efSearch !== undefined) query.set('efSearch', String(efSearch))
      const report = await client.get(`${domainPath(domain)}/recall?${query}`, recallSchema)
      write(json === true ? `${JSON.stringify(report)}\n` : showRecall(report))
    })
}
