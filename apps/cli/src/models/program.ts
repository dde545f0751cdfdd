import type { RepoWishes } from '@millrace/models'
import { type Command, Option } from 'commander'
import type { ImportWishes, Shown } from './commands.js'

export interface ModelsDeps {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Standard output. */
  readonly write: (text: string) => void
}

interface Output {
  readonly json?: true
}

const json = () => new Option('--json', 'print one JSON document on standard output')

const PLACES = `
Models are looked for in MODELS_DIR (default DATA_DIR/models, that is ./data/models) and in the repository's models/;
pull and import put theirs into the first. HF_ENDPOINT and HF_TOKEN say which hub, and who asks.`

/** The commands about models. They need no server; what runs models is loaded only when one of them is called. */
export function addModels(program: Command, { env, write }: ModelsDeps): void {
  const show = (options: Output, { value, text, exitCode = 0 }: Shown) => {
    write(options.json === true ? `${JSON.stringify(value)}\n` : text)
    if (exitCode !== 0) process.exitCode = exitCode
  }
  const load = () => import('./commands.js')
  const models = program
    .command('models')
    .description('list models, fetch, check, import or quantize one; needs no server')
    .addHelpText('after', PLACES)
  models
    .command('list', { isDefault: true })
    .description('the models that are here, and those that can be pulled')
    .addOption(json())
    .action(async (options: Output) => show(options, (await load()).listCommand(env)))
  addPull(models, show, env)
  models
    .command('verify')
    .description('compare every file with its bytes and sha256; exit code 1 when one is wrong')
    .argument('[id]', 'a model of the list; left out: all that are here')
    .addOption(json())
    .action(async (id: string | undefined, options: Output) =>
      show(options, await (await load()).verifyCommand(env, id)),
    )
  addImport(models, show, env)
  addQuantize(models, show, env)
}

type Show = (options: Output, shown: Shown) => void

function addPull(models: Command, show: Show, env: ModelsDeps['env']): void {
  const pull = models
    .command('pull')
    .description('fetch the files of a model, or what is missing or altered of them')
    .argument(
      '<model>',
      'a model of the list, or a repository of the hub, OWNER/NAME, which is then imported',
    )
    .option('--id <id>', 'of a repository: what the model is called from now on; left out: its NAME')
    .option('--revision <name>', 'of a repository: a commit, tag or branch; left out: main')
  withWishes(pull).action(async (model: string, options: Output & RepoWishes) => {
    const { json: isJson, ...wishes } = options
    if (!model.includes('/') && Object.keys(wishes).length > 0) {
      pull.error('error: only --json goes with a model of the list; the other options are for OWNER/NAME')
    }
    const { pullCommand } = await import('./commands.js')
    show(options, await pullCommand(env, model, wishes, isJson === true))
  })
}

function addImport(models: Command, show: Show, env: ModelsDeps['env']): void {
  const bring = models
    .command('import')
    .description('make a model of a folder as it is on a hub: config.json, tokenizer.json, an ONNX graph')
    .argument('<dir>', 'the folder; it stays as it is, its files are copied')
    .requiredOption('--id <id>', 'what the model is called from now on')
  withWishes(bring).action(async (dir: string, options: Output & ImportWishes) => {
    const { json: isJson, ...wishes } = options
    const { importCommand } = await import('./commands.js')
    show(options, await importCommand(env, dir, wishes, isJson === true))
  })
}

/** What may be said of a model that is imported. */
const withWishes = (command: Command): Command =>
  command
    .addOption(
      new Option(
        '--pooling <how>',
        'how the tokens become one vector; left out: 1_Pooling, or the graph',
      ).choices(['cls', 'mean', 'max']),
    )
    .option('--graph <file>', 'the graph, where there are several; left out: onnx/model.onnx or model.onnx')
    .option('--query-instruction <text>', 'put before every query')
    .option('--document-instruction <text>', 'put before every document')
    .option('--languages <codes>', 'for example en,zh', (codes) =>
      codes.split(',').map((code) => code.trim()),
    )
    .option('--licence <name>', 'for example MIT')
    .addOption(json())

function addQuantize(models: Command, show: Show, env: ModelsDeps['env']): void {
  models
    .command('quantize')
    .description(
      'write the int8-row variant of a model: 2 to 3 times as fast on processors, a quarter of the size',
    )
    .argument('<id>', 'a model that is here in float32')
    .addOption(
      new Option('--bits <bits>', 'of the weights; 7 for processors without VNNI alone')
        .choices(['7', '8'])
        .default('8'),
    )
    .option('--force', 'write it again when it is there; vectors made with the old one no longer compare')
    .addOption(json())
    .action(async (id: string, options: Output & { bits: string; force?: true }) => {
      const { quantizeCommand } = await import('./commands.js')
      const wishes = { bits: options.bits === '7' ? 7 : 8, force: options.force === true } as const
      show(options, await quantizeCommand(env, id, wishes, options.json === true))
    })
}
