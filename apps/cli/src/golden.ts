import { readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Client } from './client.js'
import { domainPath } from './domain.js'
import { EXIT_PROBLEMS, EXIT_WORSE } from './exit.js'
import {
  addedSchema,
  comparisonSchema,
  type GoldenComparison,
  type GoldenReport,
  questionsSchema,
  recallSchema,
  runSchema,
  runsSchema,
} from './golden-contract.js'
import { showComparison, showRecall, showRun, showRuns, worsened } from './golden-show.js'
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
  readonly maxDrop: number
}

const json = () => new Option('--json', 'print one JSON document on standard output')

const within =
  (min: number, max: number, whole: boolean) =>
  (value: string): number => {
    const number = Number(value)
    if (value.trim() === '' || !(number >= min && number <= max) || (whole && !Number.isInteger(number))) {
      throw new InvalidArgumentError(`It must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}.`)
    }
    return number
  }

const MORE = `
FILE is CSV with a header question,documentId[,id,note], JSON ({"questions": [{"question", "documentId"}]}) or a
{"question", "documentId"} a line; - is standard input. A question with several documents stands in several rows.

  millrace golden add questions.csv --domain faq
  millrace golden run faq --compare last --max-drop 0.02

Exit codes of run and compare: 0 as good as before, 3 a figure fell by more than --max-drop, 2 nothing to compare.`

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
    .option('-k <count>', 'hits of each question that count', within(1, 1_000, true), 3)
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
    .option('--note <text>', 'kept with the run: what was changed')
    .option('--compare <run>', 'with an earlier run: its id, or last')
    .option('--max-drop <share>', 'how much a figure may fall against it', within(0, 1, false), 0)
    .addOption(json())
    .action(async (domain: string, options: RunOptions) => {
      const { k, mode, fusion, threshold, note, compare } = options
      const rerank = options.rerank === undefined ? undefined : rerankOf(options.rerank)
      const path = `${domainPath(domain)}/golden`
      // Before there is a newer one.
      const other = compare === 'last' ? await lastRun(client, path) : compare
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
      if (beside !== undefined) judge(beside, options.maxDrop)
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
    .option('--max-drop <share>', 'how much a figure may fall', within(0, 1, false), 0)
    .addOption(json())
    .action(async (domain: string, a: string, b: string, options: Output & { maxDrop: number }) => {
      const path = `${domainPath(domain)}/golden/runs/${encodeURIComponent(a)}/compare/${encodeURIComponent(b)}`
      const beside = await client.get(path, comparisonSchema)
      print(options, beside, () => showComparison(beside))
      judge(beside, options.maxDrop)
    })

  program
    .command('recall')
    .description("how many of the true nearest a domain's index finds, and how long that takes")
    .argument('<domain>', 'the domain')
    .option('--sample <count>', 'searches', within(1, 1_000, true), 100)
    .addOption(
      new Option('--from <what>', 'search with stored vectors, or with what was asked last (QUERY_LOG=text)')
        .choices(['vectors', 'queries'])
        .default('vectors'),
    )
    .option('-k <list>', 'recall at so many hits, with commas between', '1,10,100')
    .option('--ef-search <count>', "how far the index looks, instead of the domain's", within(1, 1_000, true))
    .addOption(json())
    .action(
      async (
        domain: string,
        options: Output & { sample: number; from: string; k: string; efSearch?: number },
      ) => {
        const { sample, k, efSearch } = options
        const query = new URLSearchParams({ sample: String(sample), k })
        if (efSearch !== undefined) query.set('efSearch', String(efSearch))
        const report = await client.get(`${domainPath(domain)}/recall?${query}`, recallSchema)
        print(options, report, () => showRecall(report))
      },
    )
}

const rerankOf = (by: string) => (by === 'none' ? null : { by })

/** Says on standard error what fell too far, so that standard output stays the report. */
function judge(comparison: GoldenComparison, maxDrop: number): void {
  const fell = worsened(comparison, maxDrop)
  if (comparison.common === 0) {
    process.stderr.write('the runs have no question in common\n')
    process.exitCode = EXIT_PROBLEMS
  } else if (fell.length > 0) {
    process.stderr.write(`worse than allowed: ${fell.join(', ')}\n`)
    process.exitCode = EXIT_WORSE
  }
}

const POLL_MS = 500

/** @throws CodedError with the run's own code when it failed */
async function finished(client: Client, path: string, begun: GoldenReport): Promise<GoldenReport> {
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

async function lastRun(client: Client, path: string): Promise<string | undefined> {
  const { runs } = await client.get(`${path}/runs?limit=1000`, runsSchema)
  return runs.find(({ state }) => state === 'finished')?.id
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

interface Problem {
  readonly path: string
  readonly code: string
  readonly message: string
}

function showAdded(
  domain: string,
  done: { added: number; replaced: number; removed: number; total: number; missingTotal: number } & {
    readonly missing: readonly { id: string; question: string; documentId: string }[]
  },
  problems: readonly Problem[],
): string {
  const { added, replaced, removed, total, missing, missingTotal } = done
  return [
    `${count(added)} added, ${count(replaced)} replaced, ${count(removed)} removed: ${domain} has ${count(total, 'question')}\n`,
    problems.length === 0 ? '' : `${count(problems.length, 'problem')}:\n`,
    table(problems.map(({ path, code, message }) => [`  ${path}`, code, message])),
    missingTotal === 0 ? '' : `${count(missingTotal)} expected, and not there yet:\n`,
    table(missing.slice(0, 20).map(({ documentId, question }) => [`  ${documentId}`, question.slice(0, 60)])),
  ].join('')
}

async function readBytes(path: string, stdin: Readable): Promise<Buffer> {
  if (path === '-') return buffer(stdin)
  return readFile(path).catch((cause: unknown) => {
    const why = codeOf(cause) === 'ENOENT' ? 'There is no file' : `${messageOf(cause)}:`
    throw new CodedError('NO_SUCH_FILE', `${why} ${path}`, { hint: 'Check the path', cause })
  })
}

export interface ReadGolden {
  /** As the server takes it. */
  readonly body: { readonly csv: string } | { readonly questions: readonly unknown[] }
  /** Lines that are no question at all. */
  readonly problems: readonly Problem[]
  /** Where the question of an index is. */
  readonly nameOf: (index: number) => string
}

/**
 * A file of questions: JSON when it is JSON, a JSON object a line when its first line is one, else CSV, which the server
 * reads.
 * @throws CodedError INVALID_UTF8, INVALID_JSON
 */
export function readGolden(bytes: Uint8Array, path: string): ReadGolden {
  const name = path === '-' ? 'standard input' : path
  const text = decode(bytes, name)
  if (!/^\s*[[{]/.test(text)) {
    return { body: { csv: text }, problems: [], nameOf: (index) => `${name} row ${index + 1}` }
  }
  const whole = parse(text)
  if (Array.isArray(whole)) {
    return { body: { questions: whole }, problems: [], nameOf: (index) => `${name} question ${index + 1}` }
  }
  if (whole !== undefined && hasQuestions(whole)) {
    return {
      body: { questions: whole.questions },
      problems: [],
      nameOf: (index) => `${name} question ${index + 1}`,
    }
  }
  return readLines(text, name)
}

const hasQuestions = (value: unknown): value is { readonly questions: readonly unknown[] } =>
  value !== null && typeof value === 'object' && 'questions' in value && Array.isArray(value.questions)

function readLines(text: string, name: string): ReadGolden {
  const lines = text
    .split('\n')
    .map((line, n) => ({ number: n + 1, line }))
    .filter(({ line }) => line.trim() !== '')
    .map(({ number, line }) => ({ number, value: parse(line) }))
  const good = lines.filter(({ value }) => value !== null && typeof value === 'object')
  if (good.length === 0) {
    throw new CodedError('INVALID_JSON', `${name} is no JSON`, {
      hint: 'Write {"questions": [{"question": "…", "documentId": "…"}]}, or such a question a line',
    })
  }
  const problems = lines
    .filter((line) => !good.includes(line))
    .map(({ number }) => ({
      path: `${name}:${number}`,
      code: 'INVALID_JSON',
      message: 'The line is no JSON object',
    }))
  return {
    body: { questions: good.map(({ value }) => value) },
    problems,
    nameOf: (index) => `${name}:${good[index]?.number ?? '?'}`,
  }
}

function decode(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new CodedError('INVALID_UTF8', `${name} is not UTF-8`, { hint: 'Save it as UTF-8', cause })
  }
}

/** Undefined for what is not JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
