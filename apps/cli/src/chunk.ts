import { readFile } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { CHUNKING_KINDS, titleOf } from '@millrace/text'
import { type Command, Option } from 'commander'
import { type Client, type Preview, previewSchema, type Streamed } from './client.js'
import { domainPath } from './domain.js'
import { printable } from './table.js'

interface ChunkOptions {
  readonly domain?: string
  readonly model?: string
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
    .description('show the chunks that a file would have; nothing is stored')
    .argument('<file>', 'a file of any readable format')
    .option('-d, --domain <name>', 'the domain whose model, chunking and cleaning are taken')
    .option('--model <id>', "without a domain: whose tokens count; left out: the server's default")
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
      const { chunking: kind, size, overlap, context, template, pooling, parentSize } = options
      const chunking = { kind, size, overlap, context, template, pooling, parentSize }
      const path = pathOf(options)
      const { text, bytes } = await readAny(file)
      const preview =
        text === undefined
          ? await client.send(path, formOf(file, bytes, { title: options.title, chunking }), previewSchema)
          : await client.post(
              path,
              { text, title: options.title ?? titleOf(text) ?? basename(file), chunking },
              previewSchema,
            )
      write(options.json === true ? `${JSON.stringify(preview)}\n` : showPreview(preview))
    })
}

function pathOf({ domain, model }: ChunkOptions): string {
  if (domain === undefined) {
    return `/v1/chunks/preview${model === undefined ? '' : `?model=${encodeURIComponent(model)}`}`
  }
  if (model === undefined) return `${domainPath(domain)}/chunks/preview`
  throw new CodedError('INVALID_REQUEST', 'A domain has its own model', {
    hint: 'Leave out --domain or --model',
  })
}

const TEXTS = new Set(['', '.txt', '.text', '.md', '.markdown'])

/** Text and Markdown in UTF-8 as text; of anything else the bytes, which the server reads. */
async function readAny(file: string): Promise<{ readonly text: string | undefined; readonly bytes: Buffer }> {
  let bytes: Buffer
  try {
    bytes = await readFile(file)
  } catch (error) {
    throw new CodedError('NO_SUCH_FILE', `${file} cannot be read: ${messageOf(error)} (${codeOf(error)})`, {
      hint: 'Check the path',
      cause: error,
    })
  }
  if (!TEXTS.has(extname(file).toLowerCase()) || bytes.includes(0)) return { text: undefined, bytes }
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), bytes }
  } catch {
    return { text: undefined, bytes }
  }
}

function formOf(file: string, bytes: Buffer, request: object): Streamed {
  const form = new FormData()
  form.append('request', JSON.stringify(request))
  form.append('file', new Blob([new Uint8Array(bytes)]), basename(file))
  const { headers, body } = new Response(form)
  if (body === null) throw new TypeError('a form has a body')
  return { contentType: headers.get('content-type') ?? '', bytes: body }
}

const counted = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? '' : 's'}`

function placed(place: NonNullable<Preview['chunks'][number]['place']>): string {
  if ('sheet' in place) return `sheet ${printable(place.sheet)}`
  if ('slide' in place) return `slide ${place.slide}`
  return place.pageTo === undefined ? `page ${place.page}` : `pages ${place.page} to ${place.pageTo}`
}

/** Each chunk under a line with its span, tokens and what it repeats; sums at the end. */
export function showPreview({ chunks, parents, tokens, cut, model }: Preview): string {
  const parts = chunks.map((chunk, index) => {
    const facts = [
      `${chunk.tokens} tokens`,
      `${chunk.start} to ${chunk.end}`,
      ...(chunk.overlap > 0 ? [`repeats ${chunk.overlap} characters`] : []),
      ...(chunk.place === null ? [] : [placed(chunk.place)]),
      ...(chunk.parent === null ? [] : [`in parent ${chunk.parent}`]),
      ...(chunk.headings.length === 0 ? [] : [chunk.headings.map(printable).join(' > ')]),
    ]
    const lines = chunk.text.split('\n').map((line) => `   ${printable(line)}`.trimEnd())
    return [`#${index}  ${facts.join(', ')}`, ...lines, ''].join('\n')
  })
  const sums = [
    counted(chunks.length, 'chunk'),
    ...(parents.length === 0 ? [] : [counted(parents.length, 'parent')]),
    `${tokens} tokens by ${model}`,
    ...(cut === 0 ? [] : [`${cut} characters in no chunk`]),
  ]
  return `${[...parts, sums.join(', ')].join('\n')}\n`
}
