import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { CHUNKING_KINDS, titleOf } from '@millrace/text'
import { type Command, Option } from 'commander'
import { type Client, type Preview, previewSchema } from './client.js'
import { domainPath } from './domain.js'
import { printable } from './table.js'

interface ChunkOptions {
  readonly domain: string
  readonly chunking?: string
  readonly size?: number
  readonly overlap?: number
  readonly context?: string
  readonly template?: string
  readonly pooling?: string
  readonly parentSize?: number
  readonly title?: string
  readonly json?: true
}

/** `millrace chunk FILE`: how a file would be divided, before anything is stored. */
export function addChunk(program: Command, client: Client, write: (text: string) => void): void {
  program
    .command('chunk')
    .description('show the chunks that a text file would have in a domain; nothing is stored')
    .argument('<file>', 'a text or Markdown file')
    .requiredOption('-d, --domain <name>', 'the domain whose model, chunking and cleaning are taken')
    .addOption(new Option('--chunking <kind>', 'another kind of chunking').choices(CHUNKING_KINDS))
    .option('--size <tokens>', 'tokens of a chunk at most', Number)
    .option('--overlap <tokens>', 'tokens that a chunk repeats of the one before it', Number)
    .addOption(
      new Option('--context <kind>', 'what the model reads first').choices(['title', 'headings', 'none']),
    )
    .option('--template <text>', 'the same in words of your own, with {title} and {headings}')
    .addOption(
      new Option('--pooling <how>', 'of a whole document: how windows become one').choices(['mean', 'max']),
    )
    .option('--parent-size <tokens>', 'tokens of a parent at most', Number)
    .option('--title <title>', "the document's title; left out: its first heading, or the file's name")
    .addOption(new Option('--json', 'print one JSON document on standard output'))
    .action(async (file: string, options: ChunkOptions) => {
      const text = await readText(file)
      const { chunking: kind, size, overlap, context, template, pooling, parentSize } = options
      const chunking = { kind, size, overlap, context, template, pooling, parentSize }
      const title = options.title ?? titleOf(text) ?? basename(file)
      const path = `${domainPath(options.domain)}/chunks/preview`
      const preview = await client.post(path, { text, title, chunking }, previewSchema)
      write(options.json === true ? `${JSON.stringify(preview)}\n` : showPreview(preview))
    })
}

async function readText(file: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file))
  } catch (error) {
    if (error instanceof TypeError) {
      throw new CodedError('INVALID_UTF8', `${file} is not UTF-8`, { hint: 'Save it as UTF-8', cause: error })
    }
    throw new CodedError('NO_SUCH_FILE', `${file} cannot be read: ${messageOf(error)} (${codeOf(error)})`, {
      hint: 'Check the path',
      cause: error,
    })
  }
}

/** Each chunk under a line with its span, tokens and what it repeats; sums at the end. */
export function showPreview({ chunks, parents, tokens, cut, model }: Preview): string {
  const parts = chunks.map((chunk, index) => {
    const facts = [
      `${chunk.tokens} tokens`,
      `${chunk.start} to ${chunk.end}`,
      ...(chunk.overlap > 0 ? [`repeats ${chunk.overlap} characters`] : []),
      ...(chunk.parent === null ? [] : [`in parent ${chunk.parent}`]),
      ...(chunk.headings.length === 0 ? [] : [chunk.headings.map(printable).join(' > ')]),
    ]
    const lines = chunk.text.split('\n').map((line) => `   ${printable(line)}`.trimEnd())
    return [`#${index}  ${facts.join(', ')}`, ...lines, ''].join('\n')
  })
  const sums = [
    `${chunks.length} chunks`,
    ...(parents.length === 0 ? [] : [`${parents.length} parents`]),
    `${tokens} tokens by ${model}`,
    ...(cut === 0 ? [] : [`${cut} characters in no chunk`]),
  ]
  return `${[...parts, sums.join(', ')].join('\n')}\n`
}
