import type { Dirent } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, extname, join, resolve } from 'node:path'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { READABLE_EXTENSIONS } from '@millrace/files/formats'
import { glob, isDynamicPattern } from 'tinyglobby'
import { type Columns, headerOf } from './rows.js'

/** A file that is one document. */
export interface FoundFile {
  /** text: sent as text when it is UTF-8; file: sent as it is, the server reads it. */
  readonly kind: 'text' | 'file'
  readonly path: string
  /** The path below the folder (or the fixed part of the pattern) that was named, with slashes; else the name. */
  readonly id: string
}
/** A file of many documents: a JSON object a line, or a row a document. */
export interface ManyFile {
  readonly kind: 'lines' | 'rows'
  /** `-` is standard input. */
  readonly path: string
}
/** All of standard input as one text. */
export interface TypedText {
  readonly kind: 'typed'
  readonly id?: string | undefined
}
/** A page that the server fetches. */
export interface Page {
  readonly kind: 'url'
  readonly url: string
}
export type Input = FoundFile | ManyFile | TypedText | Page

export interface FindOptions {
  /** true: every CSV and NDJSON file is many documents; false: none is; else those that were named are. */
  readonly rows?: boolean | undefined
  readonly columns?: Columns | undefined
  /** What standard input is. Default: ndjson. */
  readonly format?: StdinFormat | undefined
  /** Of the text on standard input. */
  readonly id?: string | undefined
  /** A file with a URL a line; blank lines and those that begin with # are left out. */
  readonly urls?: string | undefined
}
export const STDIN_FORMATS = ['ndjson', 'csv', 'text'] as const
export type StdinFormat = (typeof STDIN_FORMATS)[number]

export interface Found {
  readonly inputs: readonly Input[]
  /** Files in folders that were left out, by extension: those of a kind that is not read, and `links`. */
  readonly ignored: Readonly<Record<string, number>>
}

/** Sent as text; every other format that is read goes as a file. */
const TEXT_EXTENSIONS = new Set(
  'txt text log rst adoc asciidoc org tex md markdown mdx'.split(' ').map((name) => `.${name}`),
)
// In folders .json is mostly settings of programs: it goes in when it is named.
const WALKED = new Set(READABLE_EXTENSIONS.filter((extension) => extension !== '.json'))
const READABLE = new Set(READABLE_EXTENSIONS)
const LINES = new Set(['.ndjson', '.jsonl'])
const ROWS = new Set(['.csv', '.tsv', '.tab'])

/**
 * What the arguments name: URLs, `-` (standard input), files as they are, folders with everything readable below them
 * except hidden files and node_modules, patterns (`docs/**\/*.md`) with what they match. Folders are in order of
 * their names; symbolic links below one are not followed.
 * @throws CodedError NO_SUCH_FILE, NO_FILES, DUPLICATE_ID when two files would be one document, MISSING_COLUMN
 */
export async function findInputs(paths: readonly string[], options: FindOptions = {}): Promise<Found> {
  const inputs: Input[] = []
  const byId = new Map<string, FoundFile>()
  const many = new Set<string>()
  const ignored: Record<string, number> = {}
  const ignore = (kind: string) => {
    ignored[kind] = (ignored[kind] ?? 0) + 1
  }
  const add = (input: Input) => {
    if ('path' in input && 'id' in input) {
      const other = byId.get(input.id)
      if (other !== undefined) return requireSame(other, input)
      byId.set(input.id, input)
    } else if ('path' in input) {
      const path = input.path === '-' ? '-' : resolve(input.path)
      if (many.has(path)) return
      many.add(path)
    }
    inputs.push(input)
  }
  for (const path of paths) {
    for await (const input of findOne(path, options, ignore)) add(input)
  }
  for (const url of options.urls === undefined ? [] : await urlsIn(options.urls)) add({ kind: 'url', url })
  if (inputs.length > 0) return { inputs, ignored }
  const left = Object.keys(ignored)
  throw new CodedError(
    'NO_FILES',
    paths.length === 0
      ? 'Nothing to ingest was named'
      : `No file that can be read in ${paths.join(', ')}${left.length === 0 ? '' : `, only ${left.join(', ')}`}`,
    { hint: 'Name files, folders, patterns in quotes, URLs, or - for standard input' },
  )
}

/** The files that paths name, each one document. */
export async function findFiles(paths: readonly string[]): Promise<FoundFile[]> {
  const { inputs } = await findInputs(paths, { rows: false })
  return inputs.filter((input): input is FoundFile => input.kind === 'text' || input.kind === 'file')
}

function requireSame(one: FoundFile, other: FoundFile): void {
  if (resolve(one.path) === resolve(other.path)) return
  throw new CodedError('DUPLICATE_ID', `${one.path} and ${other.path} would both be document "${other.id}"`, {
    hint: 'Ingest the folder above both, or one after the other into different domains',
  })
}

async function* findOne(
  path: string,
  options: FindOptions,
  ignore: (kind: string) => void,
): AsyncGenerator<Input> {
  if (path === '-') return yield stdinOf(options)
  if (/^https?:\/\//i.test(path)) return yield { kind: 'url', url: path }
  const found = await stat(path).catch((cause: unknown) => {
    if (codeOf(cause) === 'ENOENT' && isDynamicPattern(path)) return undefined
    const why = codeOf(cause) === 'ENOENT' ? 'There is no file or folder' : `${messageOf(cause)}:`
    throw new CodedError('NO_SUCH_FILE', `${why} ${path}`, { hint: 'Check the path', cause })
  })
  if (found === undefined) yield* matching(path, options, ignore)
  else if (found.isDirectory()) yield* walk(path, '', options, ignore)
  else yield await namedFile(path, options)
}

const stdinOf = ({ format = 'ndjson', id }: FindOptions): Input => {
  if (format === 'text') return { kind: 'typed', id }
  return { kind: format === 'csv' ? 'rows' : 'lines', path: '-' }
}

/** A file that was named is taken whatever its extension. */
async function namedFile(path: string, options: FindOptions): Promise<Input> {
  const { rows, columns } = options
  const extension = extname(path).toLowerCase()
  if (rows !== false && LINES.has(extension)) return { kind: 'lines', path }
  if (ROWS.has(extension) && rows !== false) {
    const asked = rows === true || columns?.text !== undefined
    if (asked || (await headerOf(path)).includes('text')) return { kind: 'rows', path }
  }
  return { kind: kindOf(extension), path, id: basename(path) }
}

const kindOf = (extension: string) =>
  READABLE.has(extension) && !TEXT_EXTENSIONS.has(extension) ? 'file' : 'text'

/** A file in a folder, or undefined for one that is not read. */
function inFolder(path: string, id: string, wanted: boolean, { rows }: FindOptions): Input | undefined {
  const extension = extname(path).toLowerCase()
  if (rows === true && LINES.has(extension)) return { kind: 'lines', path }
  if (rows === true && ROWS.has(extension)) return { kind: 'rows', path }
  return wanted || WALKED.has(extension) ? { kind: kindOf(extension), path, id } : undefined
}

async function* walk(
  folder: string,
  below: string,
  options: FindOptions,
  ignore: (kind: string) => void,
): AsyncGenerator<Input> {
  for (const entry of await entriesOf(folder)) {
    const path = join(folder, entry.name)
    if (entry.name.startsWith('.')) continue
    if (entry.isDirectory()) {
      if (entry.name !== 'node_modules') yield* walk(path, `${below}${entry.name}/`, options, ignore)
    } else if (entry.isFile()) {
      const input = inFolder(path, `${below}${entry.name}`, false, options)
      if (input === undefined) ignore(extname(path).toLowerCase() || 'without extension')
      else yield input
    } else ignore(entry.isSymbolicLink() ? 'links' : 'devices')
  }
}

/** A folder that cannot be read is no empty one: a sync would take its documents for gone. */
async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch (cause) {
    throw new CodedError('NO_SUCH_FILE', `Cannot read the folder ${folder}: ${messageOf(cause)}`, {
      hint: 'Check its rights',
      cause,
    })
  }
}

/** What a pattern matches; one that spells the extension out (`*.log`) takes files of it though folders do not. */
async function* matching(
  pattern: string,
  options: FindOptions,
  ignore: (kind: string) => void,
): AsyncGenerator<Input> {
  const segments = pattern.split('/')
  const fixed = segments.findIndex((segment) => isDynamicPattern(segment))
  const base = segments.slice(0, fixed).join('/') || (pattern.startsWith('/') ? '/' : '.')
  const spelled = extname(pattern)
  const wanted = spelled.length > 1 && !isDynamicPattern(spelled)
  const found = await glob(segments.slice(fixed).join('/'), {
    cwd: base,
    onlyFiles: true,
    followSymbolicLinks: false,
    expandDirectories: false,
    ignore: ['**/node_modules/**'],
  })
  for (const id of found.sort()) {
    const path = join(base, id)
    const input = inFolder(path, id, wanted, options)
    if (input === undefined) ignore(extname(path).toLowerCase() || 'without extension')
    else yield input
  }
}

async function urlsIn(path: string): Promise<string[]> {
  try {
    const lines = (await readFile(path, 'utf8')).replace(/^\uFEFF/, '').split(/\r?\n/)
    return lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'))
  } catch (cause) {
    throw new CodedError('NO_SUCH_FILE', `Cannot read ${path}: ${messageOf(cause)}`, {
      hint: '--urls takes a file with a URL a line',
      cause,
    })
  }
}
