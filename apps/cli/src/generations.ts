import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError } from '@millrace/errors'
import { type Command, Option } from 'commander'
import type { Client } from './client.js'
import { domainPath } from './domain.js'
import { EXIT_WORSE } from './exit.js'
import {
  cancelledSchema,
  type Gate,
  type Generation,
  gateSchema,
  generationPlanSchema,
  generationSchema,
  generationsSchema,
  type Switched,
  switchedSchema,
} from './generations-contract.js'
import { follow, judge, POLL_MS } from './generations-follow.js'
import {
  makingOptions,
  type RunOptions,
  runOptions,
  type StartOptions,
  wishesOf,
} from './generations-options.js'
import { showGate, showGeneration, showGenerations, showPlan, showSwitched } from './generations-show.js'
import { addThresholds } from './generations-thresholds.js'

interface Output {
  readonly json?: true
}
type Print = (options: Output, value: unknown, text: () => string) => void

const json = () => new Option('--json', 'print one JSON document on standard output')
const ID = 'its id; left out: the one that is being built'

const MORE = `
  millrace generations start faq --model bge-m3 --dry-run     what it would take
  millrace generations start faq --model bge-m3 --wait        build it, with a bar
  millrace generations gate faq                               does it find as well?
  millrace generations switch faq                             searches see it from here on
  millrace generations rollback faq                           back, as long as the old one stays

Exit codes: 0 done; 2 it was built, but documents failed; 3 the gate refused; 1 it failed.`

/** `millrace generations …`: another model, other chunks or another storage without downtime. */
export function addGenerations(program: Command, client: Client, write: (text: string) => void): void {
  const print: Print = (options, value, text) =>
    write(options.json === true ? `${JSON.stringify(value)}\n` : text())
  const generations = program
    .command('generations')
    .description('another model, other chunks or another storage for a domain, without downtime')
    .addHelpText('after', MORE)
  addLooking(generations, client, print)
  addStart(generations, client, print)
  addChanging(generations, client, print)
  addSwitching(generations, client, print)
  addThresholds(generations, client, write, (domain, id) => pathOf(client, domain, id))
}

function addLooking(generations: Command, client: Client, print: Print): void {
  generations
    .command('list')
    .description('the generations of a domain, newest first; those that have ended too')
    .argument('<domain>', 'the domain')
    .addOption(json())
    .action(async (domain: string, options: Output) => {
      const all = await allOf(client, domain)
      print(options, all, () => showGenerations(domain, all))
    })
  generations
    .command('show')
    .description('a generation: what it is made with, and how far its build is')
    .argument('<domain>', 'the domain')
    .argument('[id]', ID)
    .addOption(json())
    .action(async (domain: string, id: string | undefined, options: Output) => {
      const one = await client.get(await pathOf(client, domain, id), generationSchema)
      print(options, one, () => showGeneration(one, client.language))
    })
  generations
    .command('watch')
    .description(
      'follow a build until it is done, or live where it takes over by itself; ctrl-c ends the watching, not the build',
    )
    .argument('<domain>', 'the domain')
    .argument('[id]', ID)
    .addOption(json())
    .action(async (domain: string, id: string | undefined, options: Output) => {
      const path = await pathOf(client, domain, id)
      const built = await follow(client, path, options.json === true)
      print(options, built, () => showGeneration(built, client.language))
      judge(built, client.language)
    })
}

function addStart(generations: Command, client: Client, print: Print): void {
  const start = generations
    .command('start')
    .description('build another generation beside the live one; what is left out stays as it is')
    .argument('<domain>', 'the domain')
  for (const option of [...makingOptions(), ...runOptions()]) start.addOption(option)
  start
    .option('--dry-run', 'only say what it would take: nothing is written')
    .option('--wait', 'until it is built; with --switch built until it is live, or its gate refused')
    .addOption(json())
    .action(async (domain: string, options: Output & StartOptions & { dryRun?: true; wait?: true }) => {
      const path = `${domainPath(domain)}/generations`
      const wishes = wishesOf(options)
      if (options.dryRun === true) {
        const plan = await client.post(path, { ...wishes, dryRun: true }, generationPlanSchema)
        print(options, plan, () => showPlan(domain, plan))
        return
      }
      const begun = await client.post(path, wishes, generationSchema)
      if (options.wait !== true) {
        print(
          options,
          begun,
          () => `${showGeneration(begun)}millrace generations watch ${domain} follows it\n`,
        )
        return
      }
      const built = await follow(client, `${path}/${begun.id}`, options.json === true)
      print(options, built, () => showGeneration(built, client.language))
      judge(built, client.language)
    })
}

function addChanging(generations: Command, client: Client, print: Print): void {
  for (const [name, description] of [
    ['pause', 'stop building for a while: workers finish what they have in hand, what is done stays'],
    ['resume', 'go on building'],
  ] as const) {
    generations
      .command(name)
      .description(description)
      .argument('<domain>', 'the domain')
      .argument('[id]', ID)
      .addOption(json())
      .action(async (domain: string, id: string | undefined, options: Output) => {
        const one = await client.post(`${await pathOf(client, domain, id)}/${name}`, {}, generationSchema)
        print(options, one, () => showGeneration(one, client.language))
      })
  }
  const change = generations
    .command('change')
    .description('change how a generation is built, takes over and stays')
    .argument('<domain>', 'the domain')
    .argument('[id]', ID)
  for (const option of runOptions()) change.addOption(option)
  change
    .option('--no-keep-up-to-date', 'the one that it replaces gets nothing that comes')
    .addOption(json())
    .action(async (domain: string, id: string | undefined, options: Output & RunOptions) => {
      const one = await client.patch(await pathOf(client, domain, id), wishesOf(options), generationSchema)
      print(options, one, () => showGeneration(one, client.language))
    })
  generations
    .command('cancel')
    .description('end a build; what it has is removed')
    .argument('<domain>', 'the domain')
    .argument('[id]', ID)
    .addOption(json())
    .action(async (domain: string, id: string | undefined, options: Output) => {
      const done = await client.post(`${await pathOf(client, domain, id)}/cancel`, {}, cancelledSchema)
      print(options, done, () => `${domain}: generation ${done.id} is cancelled\n`)
    })
}

function addSwitching(generations: Command, client: Client, print: Print): void {
  generations
    .command('gate')
    .description('whether a generation finds as well as the live one')
    .argument('<domain>', 'the domain')
    .argument('[id]', ID)
    .option('--last', 'what came of it last; nothing is run')
    .addOption(json())
    .action(async (domain: string, id: string | undefined, options: Output & { last?: true }) => {
      const path = `${await pathOf(client, domain, id)}/gate`
      if (options.last !== true) sayAsked(options)
      const gate = options.last === true ? await client.get(path, gateSchema) : await runGate(client, path)
      print(options, gate, () => showGate(gate, client.language))
      if (gate.report?.passed === false) process.exitCode = EXIT_WORSE
    })
  generations
    .command('switch')
    .description('make a generation the live one, in one transaction; the old one stays for its soak time')
    .argument('<domain>', 'the domain')
    .argument('[id]', ID)
    .option('--force <reason>', 'although documents failed in it, or its gate refuses; the reason is kept')
    .addOption(json())
    .action(async (domain: string, id: string | undefined, options: Output & { force?: string }) => {
      const body = options.force === undefined ? {} : { force: { reason: options.force } }
      if (options.force === undefined) sayAsked(options)
      const done = await switched(client, `${await pathOf(client, domain, id)}/switch`, body)
      if (done !== undefined) print(options, done, () => showSwitched(done))
    })
  generations
    .command('rollback')
    .description('make the generation that was live before the live one again')
    .argument('<domain>', 'the domain')
    .addOption(json())
    .action(async (domain: string, options: Output) => {
      const done = await client.post(`${domainPath(domain)}/generations/rollback`, {}, switchedSchema)
      print(options, done, () => showSwitched(done))
    })
}

const allOf = async (client: Client, domain: string): Promise<Generation[]> =>
  (await client.get(`${domainPath(domain)}/generations`, generationsSchema)).generations

/** Where a generation is over HTTP. @throws CodedError NOTHING_IS_BUILT where no id was given */
async function pathOf(client: Client, domain: string, id: string | undefined): Promise<string> {
  const path = `${domainPath(domain)}/generations`
  if (id !== undefined) return `${path}/${encodeURIComponent(id)}`
  const building = (await allOf(client, domain)).find(({ state }) => state === 'building')
  if (building !== undefined) return `${path}/${building.id}`
  throw new CodedError('NOTHING_IS_BUILT', `No generation of "${domain}" is being built`, {
    hint: `Name one: millrace generations list ${domain}`,
  })
}

/** To a person who waits. */
function sayAsked({ json }: Output): void {
  if (json === true || !process.stderr.isTTY) return
  process.stderr.write('asking the gate, which takes up to a minute where nothing stands …\n')
}

/** A golden set of many questions is asked by workers: waits until it is. */
async function runGate(client: Client, path: string): Promise<Gate> {
  let gate = await client.post(path, {}, gateSchema)
  while (gate.report?.state === 'running') {
    await sleep(2 * POLL_MS)
    gate = await client.post(`${path}?fresh=false`, {}, gateSchema)
  }
  return gate
}

/** Waits for a gate that is running; undefined when it refuses, which has an exit code of its own. */
async function switched(client: Client, path: string, body: object): Promise<Switched | undefined> {
  for (;;) {
    try {
      return await client.post(path, body, switchedSchema)
    } catch (error) {
      if (!(error instanceof CodedError)) throw error
      if (error.code === 'GATE_FAILED') {
        process.stderr.write(`${error.code}: ${error.message}\n${error.hint ?? ''}\n`)
        process.exitCode = EXIT_WORSE
        return undefined
      }
      if (error.code !== 'GATE_RUNNING') throw error
      await sleep(2 * POLL_MS)
    }
  }
}
