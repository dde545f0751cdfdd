import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError } from '@millrace/errors'
import { type Command, Option } from 'commander'
import type { Client } from './client.js'
import { EXIT_PROBLEMS } from './exit.js'
import { within } from './numbers.js'
import {
  scheduleDeletedSchema,
  scheduleDetailSchema,
  scheduleRunSchema,
  scheduleRunsSchema,
  scheduleSchema,
  schedulesSchema,
} from './schedules-contract.js'
import { showSchedule, showScheduleRuns, showSchedules, waitOf } from './schedules-show.js'

interface Output {
  readonly json?: true
}
interface CreateOptions extends Output {
  readonly domain?: string
  readonly do: string
  readonly option?: readonly string[]
  readonly cron?: string
  readonly every?: number
  readonly zone?: string
  readonly window?: string
  readonly tokens?: number
  readonly paused?: true
}

const MORE = `
What is done (docs/schedules.md has the options):
  reembed    tries failed documents again, and builds a generation where a newer recipe or the age of vectors asks for it
  refresh    asks again for documents that came from a URL
  golden     runs the golden set, and raises an alarm
  retention  deletes what is older than so many days
  upkeep     vacuums tables and rebuilds indexes that drifted

  millrace schedules create nightly --do refresh -d docs --cron "30 2 * * *" --zone Europe/Berlin --window 22:00-06:00
  millrace schedules create watch --do golden -d faq --every 86400 --option 'alarm={"metric":"hitAt3","below":0.9}'
  millrace schedules run nightly --wait`

const json = () => new Option('--json', 'print one JSON document on standard output')
const pathOf = (name: string) => `/v1/schedules/${encodeURIComponent(name)}`
const LOOK_MS = 1_000

/** `millrace schedules …`: what is done again and again. */
export function addSchedules(program: Command, client: Client, write: (text: string) => void): void {
  const print = (options: Output, value: unknown, text: () => string) =>
    write(options.json === true ? `${JSON.stringify(value)}\n` : text())
  const schedules = program
    .command('schedules')
    .description('what is done again and again: list, create, pause, run')
    .addHelpText('after', MORE)

  schedules
    .command('list', { isDefault: true })
    .description('all of them, with the next and the last run')
    .addOption(json())
    .action(async (options: Output) => {
      const all = await client.get('/v1/schedules', schedulesSchema)
      print(options, all.schedules, () => showSchedules(all.schedules))
    })

  addCreate(schedules, client, print)

  schedules
    .command('show')
    .description('one of them, with its last runs')
    .argument('<schedule>', 'its name')
    .addOption(json())
    .action(async (name: string, options: Output) => {
      const found = await client.get(pathOf(name), scheduleDetailSchema)
      print(options, found, () => showSchedule(found, found.history))
    })

  for (const [verb, description] of [
    ['pause', 'no more runs until it is resumed; one at work ends at its next step'],
    ['resume', 'go on with the next time it is due'],
  ] as const) {
    schedules
      .command(verb)
      .description(description)
      .argument('<schedule>', 'its name')
      .addOption(json())
      .action(async (name: string, options: Output) => {
        const changed = await client.post(`${pathOf(name)}/${verb}`, {}, scheduleSchema)
        print(options, changed, () => showSchedules([changed]))
      })
  }

  schedules
    .command('run')
    .description('begin a run now')
    .argument('<schedule>', 'its name')
    .option('--wait', 'until it has ended; exit code 2 when it failed, was stopped or raised an alarm')
    .addOption(json())
    .action(async (name: string, options: Output & { wait?: true }) => {
      const begun = await client.post(`${pathOf(name)}/run`, {}, scheduleRunSchema)
      const run = options.wait === true ? await ended(client, name, begun.id) : begun
      print(options, run, () => showScheduleRuns([run]))
      const isBad = run.outcome === 'failed' || run.outcome === 'stopped' || run.alarm !== null
      if (isBad) process.exitCode = EXIT_PROBLEMS
    })

  schedules
    .command('delete')
    .description('delete it with its runs')
    .argument('<schedule>', 'its name')
    .addOption(json())
    .action(async (name: string, options: Output) => {
      const gone = await client.remove(pathOf(name), scheduleDeletedSchema)
      const left = gone.paused.map(
        ({ domain, generation }) =>
          `generation ${generation} of ${domain}, which it began, stays, paused: millrace generations resume or cancel\n`,
      )
      print(options, gone, () => `deleted ${name}\n${left.join('')}`)
    })

  schedules
    .command('runs')
    .description('its runs, newest first; the last 100 are kept')
    .argument('<schedule>', 'its name')
    .option('--limit <count>', '1 to 100', within(1, 100, true), 20)
    .addOption(json())
    .action(async (name: string, options: Output & { limit: number }) => {
      const { runs } = await client.get(`${pathOf(name)}/runs?limit=${options.limit}`, scheduleRunsSchema)
      print(options, runs, () => showScheduleRuns(runs))
    })
}

function addCreate(
  schedules: Command,
  client: Client,
  print: (options: Output, value: unknown, text: () => string) => void,
): void {
  schedules
    .command('create')
    .description('have something done again and again')
    .argument('<name>', 'a lower-case letter, then lower-case letters, digits, - and _')
    .addOption(
      new Option('--do <action>', 'what')
        .choices(['reembed', 'refresh', 'golden', 'retention', 'upkeep'])
        .makeOptionMandatory(),
    )
    .option('-d, --domain <name>', 'in one domain; left out: in every domain')
    .option('--option <name=value...>', 'of the action, as olderThanDays=30; the value is JSON, or a word')
    .option(
      '--cron <expression>',
      'minute hour day month weekday, or @hourly, @daily, @weekly, @monthly, @yearly',
    )
    .option('--every <seconds>', 'instead of --cron', within(60, 31_622_400, true))
    .option('--zone <name>', 'the time zone of --cron and --window (default: UTC)')
    .option('--window <from-to>', 'work only between them, as 22:00-06:00')
    .option('--tokens <count>', 'embed at most so many tokens an hour', within(1, 1e12, true))
    .option('--paused', 'without a run until it is resumed')
    .addOption(json())
    .action(async (name: string, options: CreateOptions) => {
      const { domain, cron, every, zone, paused } = options
      const window = options.window === undefined ? undefined : windowOf(options.window)
      const action = { kind: options.do, ...optionsOf(options.option ?? []) }
      const more = { domain, cron, every, timeZone: zone, window, tokensAnHour: options.tokens, paused }
      const wishes = Object.entries(more).filter(([, value]) => value !== undefined)
      const body = { name, action, ...Object.fromEntries(wishes) }
      const created = await client.post('/v1/schedules', body, scheduleSchema)
      print(options, created, () => showSchedules([created]))
    })
}

/** `22:00-06:00`; what is in it is checked by the server. */
function windowOf(given: string): { readonly from: string; readonly to: string } {
  const [from = '', to = ''] = given.split('-')
  return { from: from.trim(), to: to.trim() }
}

/** `name=value` as options: a value that is JSON is read as such. */
export function optionsOf(given: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    given.map((one) => {
      const at = one.indexOf('=')
      if (at > 0) return [one.slice(0, at), wordOf(one.slice(at + 1))]
      throw new CodedError('BAD_OPTION', `--option ${one} is not name=value`, {
        hint: 'As in --option olderThanDays=30',
      })
    }),
  )
}

function wordOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Waits for a run to end, and says on standard error when it waits for its window or the next hour. */
async function ended(client: Client, name: string, id: string) {
  for (let told = ''; ; ) {
    const { history } = await client.get(pathOf(name), scheduleDetailSchema)
    const run = history.find((one) => one.id === id)
    if (run === undefined) {
      throw new CodedError('RUN_GONE', `Run ${id} of "${name}" is not kept any more`, {
        hint: '`millrace schedules show NAME` lists those that are',
      })
    }
    if (run.outcome !== null) return run
    const said = run.waits === null || run.waits.why === 'work' ? '' : waitOf(run.waits)
    if (said !== told && said !== '') process.stderr.write(`${name} ${said}\n`)
    told = said
    await sleep(LOOK_MS)
  }
}
