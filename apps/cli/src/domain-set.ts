import { type Command, Option } from 'commander'
import { type Client, domainThresholdsSchema } from './client.js'
import { domainPath } from './domain.js'
import { setOne, type ThresholdsSet } from './thresholds.js'

interface SetOptions {
  readonly json?: true
  readonly threshold: ThresholdsSet
}

/** `millrace domains set`: thresholds that hold from the next search on. */
export function addDomainSet(
  domains: Command,
  client: Client,
  print: (options: { readonly json?: true }, value: unknown, text: () => string) => void,
): void {
  domains
    .command('set')
    .description('set thresholds of a domain, for the recipe that is live; they hold from the next search on')
    .argument('<name>', 'the domain')
    .addOption(
      new Option(
        '--threshold <kind=score>',
        'least score of a hit, such as dense=0.4, or dense=none; may be said several times',
      )
        .argParser(setOne)
        .makeOptionMandatory(),
    )
    .addOption(new Option('--json', 'print one JSON document on standard output'))
    .action(async (name: string, options: SetOptions) => {
      const { dense, ...scores } = options.threshold
      const body = { ...dense, ...(Object.keys(scores).length === 0 ? {} : { scores }) }
      const domain = await client.patch(domainPath(name), body, domainThresholdsSchema)
      print(options, domain, () => {
        const all = { dense: { threshold: domain.threshold }, ...domain.scores }
        const shown = Object.entries(all).map(([kind, { threshold }]) => `${kind} ${threshold ?? 'none'}`)
        return `${domain.name}: thresholds ${shown.join(', ')}\n`
      })
    })
}
