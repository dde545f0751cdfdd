import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError } from '@millrace/errors'
import { type Command, Option } from 'commander'
import type { z } from 'zod'
import type { Client } from './client.js'
import { domainPath } from './domain.js'
import { EXIT_PROBLEMS, EXIT_WORSE } from './exit.js'
import {
  addedSchema,
  comparisonSchema,
  type GoldenComparison,
  type GoldenReport,
  questionsSchema,
  runSchema,
  runsSchema,
} from './golden-contract.js'
import { type Problem, readBytes, readGolden } from './golden-file.js'
import { showComparison, showRun, showRuns, worsened } from './golden-show.js'
import { within } from './numbers.js'
import { table } from './table.js'
import { count } from './words.js'

interface Output {
  readonly json?: true
}
interface RunOptions extends Output {
  readonly k: number
  readonly mode?: string
  readonly fusion?: string
  readonly rerank?: string
  readonly threshold?: number
  readonly note?: string
  readonly compare?: string
  readonly maxDrop?: number
}

const json = () => new Option('--json', 'print one JSON document on standard output')

const MORE = `
FILE is CSV with a header question,documentId[,id,note], JSON ({"questions": [{"question", "documentId"}]}) or a
{"question", "documentId"} a line; - is standard input. A question with several documents stands in several rows.

  millrace golden add questions.csv --domain faq
  millrace golden run faq --compare last --max-drop 0.02

Exit codes of run and compare: 0 as good as before; 3 a figure fell by more than --max-drop, or a question could be
measured before and not now; 2 nothing to compare; 1 it failed, or measured nothing.`

/** `millrace golden …`: sets of questions, and runs over them. */
export function addGolden(program: Command, client: Client, write: (text: string) => void): void {
  const print = (options: Output, value: unknown, text: () => string) =>
    write(options.json === true ? `${JSON.stringify(value)}\n` : text())
  const golden = program
    .command('golden')
    .description('questions with the documents that answer them, and how many a search finds')
    .addHelpText('after', MORE)

  golden
    .command('add')
    .description('add questions; those with the same id, or asking the same, are replaced')
    .argument('<file>', 'CSV, JSON or JSON lines; - is standard input')
    .requiredOption('-d, --domain <name>', 'the domain that is to answer them')
    .option('--replace', 'what is not in the file goes')
    .addOption(json())
    .action(async (file: string, options: Output & { domain: string; replace?: true }) => {
      const { body, problems, nameOf } = readGolden(await readBytes(file, process.stdin), file)
      const query = options.replace === true ? '?replace=true' : ''
      const done = await client.post(`${domainPath(options.domain)}/golden${query}`, body, addedSchema)
      const refused = done.rejected.map(({ index, code, message }) => ({
        path: nameOf(index),
        code,
        message,
      }))
      const all = [...problems, ...refused]
      print(options, { ...done, problems: all }, () => showAdded(options.domain, done, all))
      if (all.length > 0) process.exitCode = EXIT_PROBLEMS
    })

  golden
    .command('list')
    .description('the questions of a domain')
    .argument('<domain>', 'the domain')
    .addOption(json())
    .action(async (domain: string, options: Output) => {
      const questions = await allQuestions(client, domain)
      print(options, questions, () =>
        questions.length === 0
          ? `no questions yet: millrace golden add FILE --domain ${domain}\n`
          : table([
              ['id', 'question', 'expected'],
              ...questions.map((one) => [one.id, one.question, one.documentIds.join(' ')]),
            ]),
      )
    })

  golden
    .command('run')
    .description('ask all questions, and say how many found their document')
    .argument('<domain>', 'the domain')
    .option('-k <count>', 'hits of each question that count, 1 to 1000', within(1, 1_000, true), 3)
    .addOption(
      new Option('--mode <mode>', "what searches go by; left out: the domain's").choices([
        'dense',
        'sparse',
        'hybrid',
      ]),
    )
    .option('--fusion <name>', "of mode hybrid: a preset; left out: the domain's")
    .option('--rerank <model>', "colbert, or the id of a model; none: without the domain's")
    .option('--threshold <score>', 'count what it would cut; the domain has its own', within(-1, 1e6, false))
    .option('--note <text>', 'kept with the run: what was changed; 2000 characters at most')
    .option('--compare <run>', 'with an earlier run: its id, or last')
    .option(
      '--max-drop <share>',
      'with --compare: how much a figure may fall, 0 to 1 (default: 0)',
      within(0, 1, false),
    )
    .addOption(json())
    .action(async (domain: string, options: RunOptions) => {
      const { k, mode, fusion, threshold, note, compare, maxDrop } = options
      if (maxDrop !== undefined && compare === undefined) {
        throw new CodedError(
          'NO_COMPARISON',
          '--max-drop says how much a figure may fall against another run',
          {
            hint: 'Say which with --compare: the id of a run, or last',
          },
        )
      }
      const rerank = options.rerank === undefined ? undefined : rerankOf(options.rerank)
      const path = `${domainPath(domain)}/golden`
      // Before there is a newer one, and before anything is asked in vain.
      const other = compare === undefined ? undefined : await earlierRun(client, path, compare)
      const wishes = Object.entries({ k, mode, fusion, rerank, threshold, note }).filter(
        ([, value]) => value !== undefined,
      )
      const begun = await client.post(`${path}/run`, Object.fromEntries(wishes), runSchema)
      const run = await finished(client, path, begun)
      const beside =
        other === undefined
          ? undefined
          : await client.get(`${path}/runs/${encodeURIComponent(other)}/compare/${run.id}`, comparisonSchema)
      print(options, { ...run, ...(beside === undefined ? {} : { comparison: beside }) }, () =>
        [
          showRun(run),
          beside === undefined ? '' : `\n${showComparison(beside)}`,
          compare === 'last' && other === undefined ? 'there is no earlier run to compare with\n' : '',
        ].join(''),
      )
      if (beside !== undefined) judge(beside, maxDrop ?? 0)
      if (run.measured === 0) {
        process.stderr.write(`${nothingMeasured(run)}\n`)
        process.exitCode = 1
      }
    })

  golden
    .command('runs')
    .description('the last 100 runs of a domain, newest first')
    .argument('<domain>', 'the domain')
    .addOption(json())
    .action(async (domain: string, options: Output) => {
      const { runs } = await client.get(`${domainPath(domain)}/golden/runs?limit=1000`, runsSchema)
      print(options, runs, () => showRuns(runs))
    })

  golden
    .command('compare')
    .description('two runs side by side: what got worse and better from A to B')
    .argument('<domain>', 'the domain')
    .argument('<a>', 'the id of a run')
    .argument('<b>', 'the id of a later run')
    .option('--max-drop <share>', 'how much a figure may fall, 0 to 1', within(0, 1, false), 0)
    .addOption(json())
    .action(async (domain: string, a: string, b: string, options: Output & { maxDrop: number }) => {
      const path = `${domainPath(domain)}/golden/runs/${encodeURIComponent(a)}/compare/${encodeURIComponent(b)}`
      const beside = await client.get(path, comparisonSchema)
      print(options, beside, () => showComparison(beside))
      judge(beside, options.maxDrop)
    })
}

const rerankOf = (by: string) => (by === 'none' ? null : { by })

/** Says on standard error what fell too far, so that standard output stays the report. */
function judge(comparison: GoldenComparison, maxDrop: number): void {
  const fell = worsened(comparison, maxDrop)
  if (fell.length > 0) {
    process.stderr.write(`worse than allowed: ${fell.join(', ')}\n`)
    process.exitCode = EXIT_WORSE
  } else if (comparison.common === 0) {
    process.stderr.write('the runs have no question in common\n')
    process.exitCode = EXIT_PROBLEMS
  }
}

const POLL_MS = 500

/** @throws CodedError with the run's own code when it failed */
export async function finished(client: Client, path: string, begun: GoldenReport): Promise<GoldenReport> {
  let run = begun
  while (run.state === 'running') {
    await sleep(POLL_MS)
    run = await client.get(`${path}/runs/${run.id}`, runSchema)
  }
  if (run.error === null) return run
  throw new CodedError(run.error.code, `Run ${run.id} failed: ${run.error.message}`, {
    hint: 'Run it again when that is mended',
  })
}

/** The id of a run that can be compared with; of `last` undefined where there is none yet. */
async function earlierRun(client: Client, path: string, wanted: string): Promise<string | undefined> {
  if (wanted === 'last') {
    const { runs } = await client.get(`${path}/runs?limit=1000`, runsSchema)
    // Those of a gate or a comparison may be of a generation that nobody searches.
    return runs.find(({ state, purpose }) => state === 'finished' && purpose == null)?.id
  }
  const { id, state } = await client.get(`${path}/runs/${encodeURIComponent(wanted)}`, runSchema)
  if (state === 'finished') return id
  throw new CodedError('RUN_NOT_FINISHED', `Run ${id} is ${state}: it cannot be compared`, {
    hint: 'Choose another one: `millrace golden runs DOMAIN` lists them',
  })
}

function nothingMeasured({ questions, unmeasured }: GoldenReport): string {
  const { missing = 0, notReady = 0, empty = 0, failed = 0 } = unmeasured ?? {}
  const reasons = [
    [missing, 'expect documents that are not there'],
    [notReady, 'documents that are not ready'],
    [empty, 'documents that are empty'],
    [failed, 'could not be asked'],
  ] as const
  const why = reasons.flatMap(([number, what]) => (number === 0 ? [] : [`${count(number)} ${what}`]))
  return `nothing was measured: of ${count(questions, 'question')}, ${why.join(', ')}`
}

async function allQuestions(client: Client, domain: string) {
  const path = `${domainPath(domain)}/golden?limit=1000`
  const first = await client.get(path, questionsSchema)
  const questions = [...first.questions]
  for (let { cursor } = first; cursor !== null; ) {
    const page = await client.get(`${path}&cursor=${encodeURIComponent(cursor)}`, questionsSchema)
    questions.push(...page.questions)
    cursor = page.cursor
  }
  return questions
}

function showAdded(domain: string, done: z.infer<typeof addedSchema>, problems: readonly Problem[]): string {
  const { added, replaced, unchanged, removed, total, missing, missingTotal } = done
  const did = [
    `${count(added)} added`,
    `${count(replaced)} replaced`,
    ...(unchanged === 0 ? [] : [`${count(unchanged)} unchanged`]),
    `${count(removed)} removed`,
  ]
  return [
    `${did.join(', ')}: ${domain} has ${count(total, 'question')}\n`,
    problems.length === 0 ? '' : `${count(problems.length, 'problem')}:\n`,
    table(problems.map(({ path, code, message }) => [`  ${path}`, code, message])),
    missingTotal === 0 ? '' : `${count(missingTotal)} expected, and not there yet:\n`,
    table(missing.slice(0, 20).map(({ documentId, question }) => [`  ${documentId}`, question.slice(0, 60)])),
  ].join('')
}
