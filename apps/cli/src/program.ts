import { readFileSync } from 'node:fs'
import { type Engine, type Output as ModelOutput, OUTPUTS, type TextKind } from '@millrace/embed'
import { CodedError } from '@millrace/errors'
import { Command, InvalidArgumentError, Option } from 'commander'
import { z } from 'zod'
import { addChunk } from './chunk.js'
import { type Client, domainSchema, ingestionSchema } from './client.js'
import { addCompare } from './compare.js'
import { allDomains } from './domain.js'
import { addDomainSet } from './domain-set.js'
import { embedTexts, readTexts } from './embed.js'
import { EXIT_PROBLEMS } from './exit.js'
import { addExplain } from './explain.js'
import { addGenerations } from './generations.js'
import { addGolden } from './golden.js'
import { addIngest } from './ingest-command.js'
import { addModels } from './models/program.js'
import { addMove } from './move/commands.js'
import { within } from './numbers.js'
import { addRecall } from './recall.js'
import { addSchedules } from './schedules.js'
import { addSearch } from './search.js'
import { showDomains, showIngestion } from './show.js'
import { addSimilarity } from './similarity.js'
import { getStatus, type Screen, showStatus, watchStatus } from './status.js'
import { addStorage } from './storage.js'

export interface ProgramDeps {
  readonly client: Client
  /** Standard output: results, and with --json one JSON document and nothing else. */
  readonly write: (text: string) => void
  /** An engine in this process, for what needs no server. */
  readonly openEngine: () => Engine
  /** A terminal to draw a live view on; undefined: there is none. */
  readonly screen?: Screen | undefined
  /** Of the commands about models, which ask no server. Default: this process's. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

interface Output {
  readonly json?: true
}

interface DomainOptions {
  readonly model?: string
  readonly dims?: number
  readonly threshold?: number
  readonly storage?: string
  readonly outputs?: readonly string[]
  readonly mode?: string
}

const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')))

const EXIT_CODES = `
Exit codes: 0 done, 1 failed (standard error says why), 2 done but for the problems that are listed,
3 a golden run got worse than allowed, or the gate of a generation refused.`

const json = () => new Option('--json', 'print one JSON document on standard output')

/** The commands. Resolves to the process's exit code through `process.exitCode`. */
export function buildProgram({ client, write, openEngine, screen, env = process.env }: ProgramDeps): Command {
  const print = (options: Output, value: unknown, text: () => string) =>
    write(options.json === true ? `${JSON.stringify(value)}\n` : text())
  const program = new Command('millrace')
    .description(
      'Documents in, found by meaning: a client of a running Millrace (MILLRACE_URL, MILLRACE_API_KEY)',
    )
    .version(version)
    .showHelpAfterError('Add --help for what it takes.')
    .addHelpText('after', EXIT_CODES)

  addIngest(program, client, write)

  addSearch(program, client, write)
  addExplain(program, client, write)
  addCompare(program, client, write)

  addSimilarity(program, client, write)

  program
    .command('status')
    .description(
      'workers, what waits, running ingestions and domains; on a terminal drawn again every second until ctrl-c',
    )
    .option('--once', 'print it once')
    .addOption(json())
    .action(async (options: Output & { once?: true }) => {
      if (options.json !== true && options.once !== true && screen !== undefined) {
        return untilInterrupted((signal) => watchStatus(client, screen, signal))
      }
      const status = await getStatus(client)
      print(options, { url: client.url, ...status }, () => showStatus(client.url, status))
    })

  for (const [name, description] of [
    ['cancel', 'stop an ingestion; what is done stays, and resume goes on from there'],
    ['resume', 'go on with a cancelled ingestion, or try the failed documents of a finished one again'],
  ] as const) {
    program
      .command(name)
      .description(description)
      .argument('<ingestion>', 'its id, as status shows it')
      .addOption(json())
      .action(async (id: string, options: Output) => {
        const path = `/v1/ingestions/${encodeURIComponent(id)}/${name}`
        const ingestion = await client.post(path, {}, ingestionSchema)
        print(options, ingestion, () => showIngestion(ingestion))
      })
  }

  addChunk(program, client, write)
  addGenerations(program, client, write)
  addGolden(program, client, write)
  addRecall(program, client, write)
  addStorage(program, client, write)
  addSchedules(program, client, write)
  addMove(program, client, write)
  addDomains(program, client, print)
  addEmbed(program, openEngine)
  addModels(program, { env, write })
  return program
}

/** Ctrl-c ends what is shown; nothing else was under way. */
async function untilInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const stopped = new AbortController()
  const stop = () => stopped.abort()
  process.once('SIGINT', stop)
  try {
    await work(stopped.signal)
  } finally {
    process.off('SIGINT', stop)
  }
}

function addDomains(
  program: Command,
  client: Client,
  print: (options: Output, value: unknown, text: () => string) => void,
): void {
  const domains = program.command('domains').description('list domains, create one, or set its thresholds')
  domains
    .command('list', { isDefault: true })
    .description('the domains, as in status')
    .addOption(json())
    .action(async (options: Output) => {
      const all = await allDomains(client)
      print(options, all, () => showDomains(all))
    })
  domains
    .command('create')
    .description('create a domain')
    .argument('<name>', 'lower-case letters, digits, - and _, 55 at most')
    .option(
      '--model <id>',
      "the model of its vectors; left out: the server's default; external: documents bring theirs",
    )
    .option('--dims <count>', 'numbers of a vector, of an external domain', within(1, 16_000, true))
    .option('--threshold <similarity>', 'least similarity of a hit, -1 to 1', within(-1, 1, false))
    .addOption(
      new Option('--storage <form>', 'how vectors are kept (docs/storage.md)').choices([
        'full',
        'half',
        'sq8',
        'sq4',
        'binary',
      ]),
    )
    .option('--outputs <list>', 'what is kept of a text, of dense,sparse,colbert', outputList)
    .addOption(new Option('--mode <mode>', 'what its searches go by').choices(['dense', 'sparse', 'hybrid']))
    .addOption(json())
    .action(async (name: string, options: Output & DomainOptions) => {
      const { json: _json, mode, ...wishes } = options
      const search = mode === undefined ? {} : { search: { mode } }
      const created = await client.post('/v1/domains', { name, ...wishes, ...search }, domainSchema)
      print(options, created, () => `created ${created.name} (${created.model})\n`)
    })
  addDomainSet(domains, client, print)
}

/** `dense,sparse` as a list without repetitions. */
function outputList(value: string): ModelOutput[] {
  const names = value.split(',').map((name) => name.trim())
  const found = OUTPUTS.filter((output) => names.includes(output))
  if (names.every((name) => OUTPUTS.some((output) => output === name))) return found
  throw new InvalidArgumentError(`It must be some of ${OUTPUTS.join(',')}.`)
}

function addEmbed(program: Command, openEngine: () => Engine): void {
  program
    .command('embed')
    .description('vectors of texts as they are given, without a server and without cleaning')
    .argument('[text...]', 'texts')
    .requiredOption('--model <id>', 'the model')
    .option('--outputs <list>', 'what is wanted of dense,sparse,colbert', outputList, ['dense'])
    .option(
      '--window <tokens>',
      'tokens of a window; longer texts are pooled over windows',
      within(8, 1e6, true),
    )
    .option('--ndjson <file>', 'read the texts from a file with a {"text": …} a line; - is standard input')
    .addOption(
      new Option(
        '--kind <kind>',
        'what the texts are, for models with instructions; plain: none (default: plain, with --sql query)',
      ).choices(['query', 'document', 'plain']),
    )
    .option(
      '--sql',
      'print literals for SQL: the vector, and with --outputs dense,sparse the terms, a line each',
    )
    .addOption(json())
    .action(
      async (
        given: string[],
        options: Output & {
          model: string
          outputs: ModelOutput[]
          window?: number
          ndjson?: string
          kind?: TextKind
          sql?: true
        },
      ) => {
        if ((given.length === 0) === (options.ndjson === undefined)) {
          throw new CodedError('NO_TEXTS', 'Texts are taken either as arguments or from --ndjson', {
            hint: '`millrace help embed` says what it takes',
          })
        }
        const engine = openEngine()
        try {
          const texts = options.ndjson === undefined ? given : readTexts(options.ndjson, process.stdin)
          const kind = options.kind ?? (options.sql === true ? 'query' : 'plain')
          const failures = await embedTexts(
            engine,
            { ...options, kind },
            texts,
            process.stdout,
            options.json === true,
          )
          if (failures > 0) process.exitCode = EXIT_PROBLEMS
        } finally {
          await engine.close()
        }
      },
    )
}
