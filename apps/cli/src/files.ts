import type { Dirent } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, extname, join, relative, resolve, sep } from 'node:path'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { titleOf } from '@millrace/text'
import { parse as parseYaml } from 'yaml'

export interface FileDocument {
  readonly id: string
  readonly title: string
  readonly text: string
  readonly metadata: { readonly path: string }
}

/** A file that did not become a searchable document, and why. */
export interface BadFile {
  /** As the file was named or found, so that it can be opened. */
  readonly path: string
  readonly code: string
  readonly message: string
}

export interface FoundFile {
  readonly path: string
  /** The path below the folder that was named, with slashes; a named file's own name. */
  readonly id: string
}

/** Characters of a title at most; a line that is longer is a paragraph that looks like a heading. */
const TITLE_CHARS_MAX = 500
const EXTENSIONS = new Set(['.md', '.markdown', '.txt'])

/**
 * The text files that the paths name: files as they are, folders with everything below them except hidden
 * files and node_modules, in order of their names. Symbolic links below a folder are not followed.
 * @throws CodedError NO_SUCH_FILE, NO_FILES, DUPLICATE_ID when two of them would be one document
 */
export async function findFiles(paths: readonly string[]): Promise<FoundFile[]> {
  const files = (await Promise.all(paths.map(findOne))).flat()
  const byId = new Map<string, FoundFile>()
  for (const file of files) {
    const other = byId.get(file.id)
    if (other !== undefined && resolve(other.path) !== resolve(file.path)) {
      throw new CodedError(
        'DUPLICATE_ID',
        `${other.path} and ${file.path} would both be document "${file.id}"`,
        {
          hint: 'Ingest the folder above both, or one after the other into different domains',
        },
      )
    }
    byId.set(file.id, other ?? file)
  }
  if (byId.size === 0) {
    throw new CodedError('NO_FILES', `No .md, .markdown or .txt file in ${paths.join(', ')}`, {
      hint: 'Name files or folders that contain some',
    })
  }
  return [...byId.values()]
}

async function findOne(path: string): Promise<FoundFile[]> {
  const found = await stat(path).catch((cause: unknown) => {
    const why = codeOf(cause) === 'ENOENT' ? 'There is no file or folder' : `${messageOf(cause)}:`
    throw new CodedError('NO_SUCH_FILE', `${why} ${path}`, { hint: 'Check the path', cause })
  })
  if (!found.isDirectory()) return [{ path, id: basename(path) }]
  const paths = await walk(path)
  return paths.map((inner) => ({ path: inner, id: relative(path, inner).split(sep).join('/') }))
}

async function walk(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const wanted = entries.filter(isWanted).sort((a, b) => (a.name < b.name ? -1 : 1))
  const inner = await Promise.all(
    wanted.map((entry) => {
      const path = join(folder, entry.name)
      return entry.isDirectory() ? walk(path) : [path]
    }),
  )
  return inner.flat()
}

const isWanted = (entry: Dirent): boolean =>
  !entry.name.startsWith('.') &&
  (entry.isDirectory()
    ? entry.name !== 'node_modules'
    : entry.isFile() && EXTENSIONS.has(extname(entry.name).toLowerCase()))

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The file as a document, or what is wrong with it. */
export async function readDocument(file: FoundFile): Promise<FileDocument | BadFile> {
  try {
    const text = utf8.decode(await readFile(file.path))
    return {
      id: file.id,
      title: (titleIn(text) ?? nameOf(file.id)).slice(0, TITLE_CHARS_MAX).toWellFormed(),
      text,
      metadata: { path: file.id },
    }
  } catch (error) {
    const wrongBytes = codeOf(error) === 'ERR_ENCODING_INVALID_ENCODED_DATA'
    return {
      path: file.path,
      code: wrongBytes ? 'INVALID_UTF8' : codeOf(error),
      message: wrongBytes ? 'The file is not UTF-8' : messageOf(error),
    }
  }
}

const nameOf = (id: string): string => basename(id, extname(id))

/** What the front matter calls it, else the first heading. */
export function titleIn(text: string): string | undefined {
  const matter = /^\uFEFF?---[ \t]*\r?\n([\s\S]*?)\r?\n---[ \t]*(?:\r?\n|$)/.exec(text)
  return (matter?.[1] === undefined ? undefined : matterTitle(matter[1])) ?? titleOf(text)
}

function matterTitle(yaml: string): string | undefined {
  try {
    const fields: unknown = parseYaml(yaml)
    if (fields === null || typeof fields !== 'object' || !('title' in fields)) return undefined
    return typeof fields.title === 'string' && fields.title.trim() !== '' ? fields.title.trim() : undefined
  } catch {
    // Not YAML after all: the heading will do.
    return undefined
  }
}
