import { CodedError } from '@millrace/errors'
import { type Command, Option } from 'commander'
import type { Client } from './client.js'
import { requireDomain } from './domain.js'
import { EXIT_PROBLEMS } from './exit.js'
import { findInputs, STDIN_FORMATS, type StdinFormat } from './find.js'
import { ingestFiles, planFiles } from './ingest.js'
import { bar, silent } from './progress.js'
import { showDeleted, showIgnored, showPlan } from './report.js'
import { quiet, sendingLine } from './sending.js'
import { showReport } from './show.js'

interface Options {
  readonly domain: string
  readonly create?: true
  readonly model?: string
  readonly source?: string
  readonly sync?: true
  readonly dryRun?: true
  readonly rows?: boolean
  readonly textColumn?: string
  readonly idColumn?: string
  readonly titleColumn?: string
  readonly format?: StdinFormat
  readonly id?: string
  readonly urls?: string
  readonly json?: true
}

const MORE = `
PATH is a file, a folder, a pattern in quotes ("docs/**/*.md"), an http(s) URL, or - for standard input.
Read are text, Markdown, HTML, PDF, DOCX, XLSX, PPTX, CSV and JSON Lines. The id of a document is its path below
the folder that was named, or the file's name. An .ndjson or .jsonl file that is named is a document a line,
a .csv or .tsv file with a column "text" a document a row.

  millrace ingest docs --domain docs --create
  millrace ingest "docs/**/*.pdf" --domain docs --source handbook --sync --dry-run
  millrace ingest faq.csv --domain faq --text-column answer --title-column question
  cat notes.ndjson | millrace ingest - --domain notes`

export function addIngest(program: Command, client: Client, write: (text: string) => void): void {
  program
    .command('ingest')
    .description('submit files, folders, rows, lines and URLs, and follow them to the end')
    .argument('[path...]', 'what to ingest')
    .requiredOption('-d, --domain <name>', 'the domain it goes into')
    .option('--create', 'create the domain when it does not exist')
    .option('--model <id>', 'the model of the domain that is created')
    .option('--source <name>', 'what the documents are a part of: a site, a folder, a system')
    .option('--sync', 'once all is ready, delete documents of the source that were not in it')
    .option(
      '--dry-run',
      'say what would be added, changed and deleted and what it would cost, and do nothing',
    )
    .option('--rows', 'every CSV and NDJSON file is a document a row or a line, those in folders too')
    .option('--no-rows', 'none is: each is sent whole, as one document')
    .option('--text-column <name>', 'the column of CSV that is the text (default: text)')
    .option('--id-column <name>', 'the column that is the id (default: id, when there is one)')
    .option('--title-column <name>', 'the column that is the title (default: title, when there is one)')
    .addOption(
      new Option('--format <format>', 'what standard input is (default: ndjson)').choices(STDIN_FORMATS),
    )
    .option('--id <id>', 'the id of a text on standard input')
    .option('--urls <file>', 'a file with a URL a line')
    .addOption(new Option('--json', 'print one JSON document on standard output'))
    .addHelpText('after', MORE)
    .action((paths: string[], options: Options) => run(client, write, paths, options))
}

async function run(
  client: Client,
  write: (text: string) => void,
  paths: readonly string[],
  options: Options,
): Promise<void> {
  check(paths, options)
  const columns = { text: options.textColumn, id: options.idColumn, title: options.titleColumn }
  // Before a domain is created for them.
  const { inputs, ignored } = await findInputs(paths, { ...options, columns })
  const isDry = options.dryRun === true
  await requireDomain(client, options.domain, options)
  const sending = options.json === true ? quiet : sendingLine(process.stderr)
  const how = { source: options.source, sync: options.sync, columns, sending }
  if (isDry) {
    const plan = await planFiles(client, options.domain, inputs, how)
    write(
      options.json === true
        ? `${JSON.stringify({ ...plan, ignored })}\n`
        : showPlan(plan) + showIgnored(ignored),
    )
    if (plan.problems.length > 0) process.exitCode = EXIT_PROBLEMS
    return
  }
  const report = await ingestFiles(
    client,
    options.domain,
    inputs,
    options.json === true ? silent : bar(),
    how,
  )
  write(
    options.json === true
      ? `${JSON.stringify({ ...report, ignored })}\n`
      : showReport(report) + showDeleted(report.deleted) + showIgnored(ignored),
  )
  if (report.problems.length > 0) process.exitCode = EXIT_PROBLEMS
}

/** @throws CodedError for options that do not go together */
function check(paths: readonly string[], { sync, source, id, format }: Options): void {
  if (sync === true && source === undefined) {
    throw new CodedError(
      'SYNC_NEEDS_SOURCE',
      '--sync deletes what is gone from a source, and none is named',
      {
        hint: 'Name it: --source NAME',
      },
    )
  }
  const stdin = paths.includes('-')
  if ((format !== undefined && !stdin) || (id !== undefined && format !== 'text')) {
    throw new CodedError(
      'INVALID_REQUEST',
      format === undefined ? '--id is for a text on standard input' : '--format is about standard input',
      { hint: 'Write: millrace ingest - --format text --id ID' },
    )
  }
}
